use super::*;

/// Two ways to write one filter.
const SAME: &[(&str, &str)] = &[
    ("dport = :22", "dport 22"),
    ("dport = :22", "dport == 22"),
    ("dport = :22", "dport eq :22"),
    ("dport = :22", "dport = *:22"),
    ("dport = :22", "dport = 0x16"),
    ("dport = :22", "dport = 026"),
    ("dport = :22", r"\dport = 2\2"),
    ("dport = :22", "  dport\n=\t22 "),
    ("dport = :22", "dport=22"),
    ("dport = :22", "dport=:22"),
    ("dport = :22", "dport =:22"),
    ("dport = :22", "(dport = 22)"),
    ("dport != :22", "dport ne 22"),
    ("dport != :22", "dport neq 22"),
    ("dport != :22", "dport!=22"),
    ("dport != :22", "not dport = 22"),
    ("dport != :22", "!dport = 22"),
    ("dport != :22", "! ! ! dport = 22"),
    ("dport != :22", "!(dport=22)"),
    ("sport > :22", "sport gt 22"),
    ("sport < :22", "sport lt 22"),
    ("sport >= :22", "sport ge 22"),
    ("sport >= :22", "sport geq 22"),
    ("sport >= :22", "sport>=:22"),
    ("sport <= :22", "sport le 22"),
    ("sport <= :22", "sport leq 22"),
    ("sport = :80", "sport = http"),
    ("sport = :80", "sport = :www"),
    ("sport = :80", "sport = [80]"),
    ("sport = :-1", "sport = *"),
    ("sport = :-1", "sport = :"),
    ("sport = :-1", "sport = 4294967295"),
    ("sport = :1 and sport = :2", "sport = 1 sport = 2"),
    ("sport = :1 and sport = :2", "sport = 1 & sport = 2"),
    ("sport = :1 and sport = :2", "sport = 1 && sport = 2"),
    ("sport = :1 and sport = :2", "(sport = 1)(sport = 2)"),
    ("sport = :1 or sport = :2", "sport = 1 | sport = 2"),
    ("sport = :1 or sport = :2", "sport = 1 || sport = 2"),
    ("sport = :1 or sport = :2", "( sport = 1 ) or ( sport = 2 )"),
    ("sport = :1 or sport = :2 and sport = :3", "( sport = 1 or sport = 2 ) and sport = 3"),
    ("sport = :1 and sport = :2 or sport = :3", "( sport = 1 and sport = 2 ) or sport = 3"),
    ("sport = :1 or sport = :2 sport = :3", "( sport = 1 or sport = 2 ) and sport = 3"),
    ("not sport = :1 and sport = :2", "( not sport = 1 ) and sport = 2"),
    ("not sport = :1 or sport = :2", "( not sport = 1 ) or sport = 2"),
    ("dst 127.0.0.0/8", "dst 127/8"),
    ("dst 127.0.0.0/8", "dst = 127.0/255.0.0.0"),
    ("dst 193.233.7.0/24", "dst 193.233.7/24"),
    ("dst 1.0.0.0/32", "dst 1"),
    ("dst 127.1.0.0", "dst 0x7f.1"),
    ("dst 10.0.0.1/24:80", "dst 10.0.0.1/0x18:http"),
    ("dst [::1]:22", "dst ::1:22"),
    ("dst [::1]:22", "dst [::1]22"),
    ("dst [::1/64]", "dst ::1/64"),
    ("dst [::1/64]:22", "dst ::1/64:22"),
    ("dst *:22", "dst :22"),
    ("dst *:22", "dst *22"),
    ("dst *:22", "dst []:22"),
    ("dst *:22", "dst [*]:22"),
    ("dst *:22", "dst any:22"),
    ("dst *", "dst :"),
    ("dst *", "dst default"),
    ("dst 0.0.0.0/0", "dst inet:all"),
    ("dst 127.0.0.1 or dst [::1]", "dst localhost"),
    ("dst 127.0.0.1:80", "dst inet:localhost:http"),
    ("dst [::1]", "dst inet6:localhost"),
    ("not ( dst 10.0.0.1 or dst 10.0.0.2 or dst [fd00::1] )", "not dst many"),
    ("dev lo", "dev = lo"),
    ("dev != lo", "not dev lo"),
    ("dev != lo", "dev ne lo"),
    ("fwmark = 1", "fwmark 0x1/0xffffffff"),
    ("fwmark = 8/2", "fwmark 010/0x2"),
    ("fwmark = 0xffffffff", "fwmark -1"),
    ("fwmark = 0", "fwmark 0x100000000"),
    ("cgroup = /slice", "cgroup /slice"),
    ("cgroup != /slice", "! cgroup /slice"),
    ("src unix:*foo*", "sport = unix:*foo*"),
    ("src netlink:rtnl:0", "src netlink:0:kernel"),
    ("src netlink:rtnl", "src netlink:rtnl:*"),
    ("src netlink:*:7", "src netlink::7"),
    ("src link:ip:lo", "src link:2048:1"),
    ("src link:*", "src link:"),
    ("src vsock:*:5", "src vsock::5"),
    ("src vsock:2", "src vsock:0x2:*"),
];

#[test]
fn a_filter_can_be_written_in_several_ways() {
    for (one, other) in SAME {
        assert_eq!(expr(one), expr(other), "{one:?} and {other:?}");
    }
}

/// What is refused, the line that `ss` prints for it, and the word that is marked.
const REFUSED: &[(&str, &str, &str)] = &[
    ("dport = nosuch", "\"nosuch\" does not look like a port.", "nosuch"),
    ("dport = 5x", "\"5x\" does not look like a port.", "5x"),
    ("dport = ::5", "\":5\" does not look like a port.", "::5"),
    ("dport = 99999999999", "\"99999999999\" does not look like a port.", "99999999999"),
    ("dport = 1.2.3.4:22", "\"1.2.3.4:22\" does not look like a port.", "1.2.3.4:22"),
    ("dport = HTTP", "\"HTTP\" does not look like a port.", "HTTP"),
    ("dst ::1", "an inet prefix is expected rather than \":\".", "::1"),
    ("dst 1.2.3.4/33", "an inet prefix is expected rather than \"1.2.3.4/33\".", "1.2.3.4/33"),
    ("dst 1.2.3.4/08", "an inet prefix is expected rather than \"1.2.3.4/08\".", "1.2.3.4/08"),
    (
        "dst 1.2.3.4/255.0.255.0",
        "an inet prefix is expected rather than \"1.2.3.4/255.0.255.0\".",
        "1.2.3.4/255.0.255.0",
    ),
    ("dst 1.", "an inet prefix is expected rather than \"1.\".", "1."),
    ("dst 1.2.3.4.5", "an inet prefix is expected rather than \"1.2.3.4.5\".", "1.2.3.4.5"),
    ("dst localhost/8", "an inet prefix is expected rather than \"localhost/8\".", "localhost/8"),
    ("dst inet6:1.2.3.4", "an inet prefix is expected rather than \"1.2.3.4\".", "inet6:1.2.3.4"),
    ("dst inet:six", "an inet prefix is expected rather than \"six\".", "inet:six"),
    ("dst [fe80::1%lo]", "an inet prefix is expected rather than \"fe80::1%lo\".", "[fe80::1%lo]"),
    ("dst [::1", "Cannot parse dst/src address.", "[::1"),
    ("foo and bar", "an inet prefix is expected rather than \"foo\".", "foo"),
    ("DPORT = 1", "an inet prefix is expected rather than \"DPORT\".", "DPORT"),
    ("dev = nosuch", "Cannot parse device.", "nosuch"),
    ("dev -1", "Cannot parse device.", "-1"),
    ("fwmark = x", "Cannot parse mark x.", "x"),
    ("fwmark 1/", "Cannot parse mark 1/.", "1/"),
    ("cgroup nosuch", "Cannot parse cgroup nosuch: entity not found", "nosuch"),
    ("src netlink:nosuch", "Cannot parse dst/src address.", "netlink:nosuch"),
    ("src netlink:300", "Cannot parse dst/src address.", "netlink:300"),
    ("sport = netlink:rtnl:1", "Cannot parse dst/src address.", "netlink:rtnl:1"),
    ("src link:65536", "Cannot parse dst/src address.", "link:65536"),
    ("src vsock:1:", "Cannot parse dst/src address.", "vsock:1:"),
    ("src vsock:x", "Cannot parse dst/src address.", "vsock:x"),
    ("state nosuch", "wrong state name: nosuch", "nosuch"),
    ("state", "Command line is not complete. Try option \"help\"", ""),
    ("dst > 1.2.3.4", SYNTAX, ">"),
    ("dst != 1.2.3.4", SYNTAX, "!="),
    ("dev > lo", SYNTAX, ">"),
    ("autobound = 1", SYNTAX, "="),
    ("sport = sport", SYNTAX, "sport"),
    ("src and src 1", SYNTAX, "and"),
    ("dst 1.2.3.4 1.2.3.5", SYNTAX, "1.2.3.5"),
    ("sport", SYNTAX, ""),
    ("sport =", SYNTAX, ""),
    ("sport = 1 or", SYNTAX, ""),
    ("or sport = 1", SYNTAX, "or"),
    ("( autobound", SYNTAX, ""),
    ("autobound )", SYNTAX, ")"),
    ("( )", SYNTAX, ")"),
    ("not", SYNTAX, ""),
    ("!", SYNTAX, ""),
    ("=", SYNTAX, "="),
    ("22", SYNTAX, "22"),
];

const SYNTAX: &str = "the filter is not understood";

#[test]
fn an_error_says_what_ss_says_and_marks_the_word() {
    for (text, line, word) in REFUSED {
        let error = parsed(text).expect_err(text);
        let message = error.to_string();
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines[0], *line, "{text:?}");
        assert_eq!(&text[error.span.clone()], *word, "{text:?}: {message}");
        assert_eq!(lines[1], format!("  {text}"), "{text:?}");
        assert!(lines[2].contains("^ expected "), "{text:?}: {message}");
    }
}

#[test]
fn the_mark_stands_under_the_word() {
    let error = parsed("sport = 1\nand dport = nö!\x1b or dev lo").unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"nö!?\" does not look like a port.\n  \
         and dport = nö!? or dev lo\n              \
         ^^^^ expected a port number or the name of a service, [FAMILY:][:]PORT after dport"
    );
}

#[test]
fn states_add_up() {
    let only = |states: &[State]| Some(StateSet::of(states));
    let all_but = |states: &[State]| Some(StateSet::ALL.without(StateSet::of(states)));
    let table = [
        ("", None),
        ("autobound", None),
        ("state established", only(&[State::Established])),
        ("state ESTABLISHED", only(&[State::Established])),
        ("state close state syn-rcv", only(&[State::Close, State::SynRecv])),
        ("exclude listening", all_but(&[State::Listen])),
        ("excl listening state listening", Some(StateSet::ALL)),
        ("state connected exclude syn-sent", parsed("state synchronized").unwrap().states),
        ("state connected", all_but(&[State::Listen, State::Close])),
        ("exclude bucket", parsed("state big").unwrap().states),
        ("state established exclude established", None),
        ("exclude all", None),
        ("state bound-inactive autobound", only(&[State::BoundInactive])),
    ];
    for (text, states) in table {
        assert_eq!(parsed(text).unwrap().states, states, "{text:?}");
    }
}

#[test]
fn the_last_family_prefix_narrows_the_listing_and_is_the_default_from_there() {
    let table = [
        ("dst 1.2.3.4", None),
        ("dst inet:1.2.3.4", Some(Family::Inet)),
        ("sport = inet6:22", Some(Family::Inet6)),
        ("src unix:* or dst netlink:rtnl", Some(Family::Netlink)),
        ("dev lo and src link:ip", Some(Family::Packet)),
    ];
    for (text, family) in table {
        assert_eq!(parsed(text).unwrap().family, family, "{text:?}");
    }
    assert_eq!(expr("src unix:a or src b"), expr("src unix:a or src unix:b"));
    let unix = Scope { family: Some(Family::Unix), ..NO_FAMILY };
    let filter = parsed_in(unix, "src =foo) and src !x").unwrap();
    assert_eq!(filter.expr, Some(expr("src unix:=foo) and src unix:!x")));
    assert_eq!(filter.family, Some(Family::Unix));
}

#[test]
fn a_service_is_looked_up_for_the_tables_that_are_listed() {
    let scope =
        |tables: &[Table]| Scope { family: None, tables: TableSet::of(tables), any_netns: false };
    assert!(parsed_in(scope(&[Table::Tcp]), "dport = exec").is_ok());
    assert!(parsed_in(scope(&[Table::Udp]), "dport = exec").is_err());
    assert!(parsed_in(scope(&[Table::Tcp, Table::Udp]), "dport = biff").is_ok());
    assert!(parsed_in(scope(&[Table::Raw]), "dport = http").is_err());
}

#[test]
fn the_words_may_come_in_one_argument_or_many_and_then_from_a_file() {
    let whole = parsed("state listening sport = 1 and dport = 2 or dev lo").unwrap();
    let words = "state listening sport = 1 and dport = 2 or dev lo".split(' ').map(OsString::from);
    let words: Vec<OsString> = words.collect();
    assert_eq!(parse(None, &words, NO_FAMILY, &World).unwrap(), whole);
    let first = ["state", "listening", "sport = 1"].map(OsString::from);
    let file = b"# a comment\ndport = 2\n\n# another\nor\ndev lo\n";
    assert_eq!(parse(Some(file), &first, NO_FAMILY, &World).unwrap(), whole);
    assert_eq!(parse(Some(b"autobound"), &[], NO_FAMILY, &World), parsed("autobound"));
    assert!(parse(Some(b" # not a comment"), &[], NO_FAMILY, &World).is_err());
}

#[test]
fn deep_nesting_is_refused_and_long_chains_are_not() {
    let deep = |n: usize| format!("{} autobound {}", "( ".repeat(n), ") ".repeat(n));
    assert_eq!(expr(&deep(200)), expr("autobound"));
    assert_eq!(parsed(&deep(201)).unwrap_err().kind, ErrorKind::NestedTooDeep);
    assert_eq!(parsed(&"(".repeat(1_000_000)).unwrap_err().kind, ErrorKind::NestedTooDeep);
    assert_eq!(expr(&format!("{} autobound", "! ".repeat(100_000))), expr("autobound"));
    let Expr::Or(parts) = expr(&vec!["sport = 1"; 10_000].join(" or ")) else { panic!() };
    assert_eq!(parts.len(), 10_000);
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same_tree(tree in expression()) {
        let text = tree.to_string();
        prop_assert_eq!(parsed(&text).map(|filter| filter.expr), Ok(Some(tree)), "{}", text);
    }

    #[test]
    fn any_text_is_parsed_or_refused_with_a_mark(text in r"(\PC|[a-z0-9 =!<>()|&:.*/\[\]\\-]){0,60}") {
        if let Err(error) = parsed(&text) {
            prop_assert!(error.to_string().contains("^ expected "));
        }
    }

    #[test]
    fn words_in_any_order_are_parsed_or_refused(words in prop::collection::vec(prop::sample::select(vec![
        "dst", "src", "dport", "sport", "dev", "fwmark", "cgroup", "autobound", "=", "!=", ">=",
        "eq", "not", "!", "and", "&", "or", "||", "(", ")", "(autobound)", "1", ":22", "127/8",
        "[::1]:22", "unix:*", "netlink:rtnl", "state", "established", "\\", "lo", "dport=1)",
    ]), 0..14)) {
        let text = words.join(" ");
        if let Ok(Filter { expr: Some(tree), .. }) = parsed(&text) {
            let again = tree.to_string();
            prop_assert_eq!(parsed(&again).map(|filter| filter.expr), Ok(Some(tree)), "{}", text);
        }
    }
}
