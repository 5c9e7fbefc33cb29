//! The filter language: the same sockets as `ss` for the same words.

use socktrace_tests::compare::over_population;

fn check(table: &[&str]) {
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        comparison.check(table);
    });
}

#[test]
fn every_state_and_group() {
    check(&[
        "-tan state established",
        "-tan state syn-sent",
        "-tan state syn-recv",
        "-tan state syn-rcv",
        "-tan state fin-wait-1",
        "-tan state fin-wait-2",
        "-tan state time-wait",
        "-tan state unconnected",
        "-tan state closed",
        "-tan state close",
        "-tan state close-wait",
        "-tan state last-ack",
        "-tan state listening",
        "-tan state listen",
        "-tan state closing",
        "-tan state bound-inactive",
        "-tan state all",
        "-tan state connected",
        "-tan state synchronized",
        "-tan state bucket",
        "-tan state big",
        "-tn state ESTABLISHED",
        "-tn State Listening",
        "-tn state estab",
        "-tn state close-wait",
    ]);
}

#[test]
fn states_accumulate_and_are_excluded() {
    check(&[
        "-tn exclude established",
        "-tn exclude listening",
        "-tn exclude connected",
        "-tn exclude all",
        "-tan state established state listening",
        "-tan state all exclude established",
        "-tan state connected exclude established",
        "-tan exclude established exclude listening",
        "-tan exclude established state listening",
        "-tan state big exclude time-wait",
        "-tl state established",
        "-tl exclude listening",
        "-tB state established",
        "-t state time-wait",
        "-to state time-wait",
        "-n state established",
        "-n state listening",
        "-n state closed",
        "-n exclude established",
        "-un state closed",
        "-un state established",
        "-xn state listening",
        "-x state established",
        "-x exclude established",
        "-0 state closed",
        "-0 state established",
        "-A netlink state closed",
        "-A netlink state listening",
        "-wan state closed",
        "-Mn state listening",
        "-Man exclude listening",
        "state syn-recv",
        "state all -tn",
        "-tn state established -H",
        "-tn state bucket -e",
    ]);
}

#[test]
fn ports_under_every_operator() {
    check(&[
        "-tan 'sport = :41001'",
        "-tan sport = 41001",
        "-tan 'sport == :41001'",
        "-tan 'sport eq :41001'",
        "-tan 'sport :41001'",
        "-tan sport :41001",
        "-tan 'sport != :41001'",
        "-tan 'sport ne :41001'",
        "-tan 'sport neq :41001'",
        "-tan 'sport > :50000'",
        "-tan 'sport gt :50000'",
        "-tan 'sport < :1024'",
        "-tan 'sport lt :1024'",
        "-tan 'sport >= :50001'",
        "-tan 'sport ge :50001'",
        "-tan 'sport geq :50001'",
        "-tan 'sport <= :80'",
        "-tan 'sport le :80'",
        "-tan 'sport leq :80'",
        "-tan 'dport = :41001'",
        "-tan dport = 41001",
        "-tan 'dport != :41001'",
        "-tan 'dport > :50000'",
        "-tan 'dport < :50000'",
        "-tan 'dport >= :50001'",
        "-tan 'dport <= :41001'",
        "-tan 'sport = :ssh'",
        "-tan 'sport = :http or sport = :https'",
        "-tan 'dport = :bgp'",
        "-tan sport = postgresql",
        "-uan 'sport = :domain'",
        "-uan 'dport = :domain'",
        "-uan 'sport >= :50400'",
        "-tan 'sport = 0'",
        "-tan 'sport = :*'",
        "-tan 'sport = :65535'",
        "-tan 'sport > 65534'",
        "-tan 'sport < 1'",
        "-tuan 'sport < :1024'",
        "-an 'sport = :22'",
        "-wan 'sport = :1'",
        "-wan 'sport = :icmp'",
        "-tan 'sport = inet:41001'",
        "-tan 'sport = inet:22'",
        "-tan 'sport = inet6:22'",
    ]);
}

#[test]
fn addresses_and_prefixes() {
    check(&[
        "-tan src 127.0.0.1",
        "-tan dst 127.0.0.1",
        "-tan 'src = 127.0.0.1'",
        "-tan 'src == 127.0.0.1'",
        "-tan 'src != 127.0.0.1'",
        "-tan 'dst ne 127.0.0.1'",
        "-tan src 127.0.0.1:41001",
        "-tan dst 127.0.0.1:41001",
        "-tan src 127.0.0.0/8",
        "-tan dst 127.0.0.0/30",
        "-tan src 127/8",
        "-tan src 127.0/16",
        "-tan src 127.0.7/24",
        "-tan src 127.0.7.0/24",
        "-tan dst 127.0.7.1/32",
        "-tan src 0.0.0.0/0",
        "-tan src 0.0.0.0",
        "-tan src 0/0",
        "-tan src '[::1]'",
        "-tan dst '[::1]'",
        "-tan src '[::1]:41001'",
        "-tan src ::1",
        "-tan dst ::1/128",
        "-tan src '[::]/0'",
        "-tan src '[::]'",
        "-tan src ::/0",
        "-tan src '[fe80::]/10'",
        "-tan src '[::ffff:127.0.0.1]'",
        "-tan src ::ffff:0:0/96",
        "-tan src '[::ffff:127.0.0.1]:41002'",
        "-tan src '*'",
        "-tan src '*:41001'",
        "-tan dst ':41001'",
        "-tan src ':22'",
        "-tan src :ssh",
        "-tan src localhost",
        "-tan dst localhost:41001",
        "-tan src inet:127.0.0.1",
        "-tan src inet:127.0.0.1:41001",
        "-tan src inet6:[::1]",
        "-tan src inet6:[::1]:41001",
        "-tan src inet:*",
        "-tan dst inet6:*",
        "-tan src 127.0.0.1/33",
        "-tan src 127.0.0.1 dst 127.0.0.2",
        "-uan src 127.0.0.1",
        "-uan dst 127.0.0.9:discard",
        "-uan src 224/4",
        "-wan src 127.0.0.1",
        "-wan dst ::1",
        "-an src 127.0.0.1",
        "-an dst ::1",
        "-4an src ::1",
        "-6an src 127.0.0.1",
        "-6tan dst 127/8",
        "src 127.0.0.1",
        "-tan src 127.0.0.1 sport = 41001",
        "-Man src 127.0.0.1:41030",
        "-tan src 127.0.0.53",
        "-tan 'src 127.0.0.1/8:41001'",
        "-tan src 127.0.0.0/8:22",
    ]);
}

#[test]
fn connectives_and_parentheses() {
    check(&[
        "-tan 'sport = :41001 or dport = :41001'",
        "-tan 'sport = :41001 || dport = :41001'",
        "-tan 'sport = :41001 | dport = :41001'",
        "-tan 'sport = :41001 and dst 127.0.0.2'",
        "-tan 'sport = :41001 && dst 127.0.0.2'",
        "-tan 'sport = :41001 & dst 127.0.0.2'",
        "-tan 'sport = :41001 dst 127.0.0.2'",
        "-tan not sport = :41001",
        "-tan 'not sport = :41001'",
        "-tan '! sport = :41001'",
        "-tan '( sport = :41001 )'",
        "-tan ( sport = :41001 )",
        "-tan 'not ( sport = :41001 or dport = :41001 )'",
        "-tan '( sport = :41001 or sport = :41002 ) and src ::1'",
        "-tan 'sport = :41001 or sport = :41002 and src ::1'",
        "-tan 'src ::1 and sport = :41001 or sport = :41002'",
        "-tan 'not not sport = :41001'",
        "-tan '! ( ! ( sport = :22 ) )'",
        "-tan 'sport = :22 or sport = :80 or sport = :443'",
        "-tan 'sport != :22 sport != :80 sport != :443'",
        "-tan '( sport > :41000 and sport < :41010 ) or ( dport > :41000 and dport < :41010 )'",
        "-tan state established '( sport = :41001 or dport = :41001 )'",
        "-tan state listening sport = :22",
        "-tan exclude listening 'sport < :42000'",
        "-tan '( stat = listening )'",
        "-tan 'sport = :22' 'or' 'sport = :80'",
        "-tan sport = :22 or sport = :80",
        "-tan 'dst 127.0.0.1 and ! dport = :41001'",
        "-tan 'not src 127.0.0.1 and not src ::1'",
        "-tan 'not (src 127.0.0.1 or src ::1) or dport 22'",
    ]);
}

/// `ss` wants blanks between an operator and its operands.
#[test]
fn blanks_may_be_left_out() {
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        comparison.check_liberties(&[
            ("-tan sport=:22", "-tan 'sport = :22'"),
            ("-tan 'sport>:50000'", "-tan 'sport > :50000'"),
            ("-tan 'sport >:50000'", "-tan 'sport > :50000'"),
            ("-tan '!sport = :41001'", "-tan '! sport = :41001'"),
            ("-tan '(sport = :41001)'", "-tan '( sport = :41001 )'"),
            ("-tan '((((sport = :22))))'", "-tan 'sport = :22'"),
        ]);
    });
}

#[test]
fn devices_marks_cgroups_and_bound_ports() {
    check(&[
        "-tan dev lo",
        "-tan 'dev = lo'",
        "-tan 'dev == lo'",
        "-tan 'dev != lo'",
        "-tan dev 1",
        "-tan dev st0",
        "-tan 'not dev lo'",
        "-uan dev lo",
        "-wan dev lo",
        "-an dev lo",
        "-0an dev lo",
        "-tan dev lo or sport = :22",
        "-tan fwmark 0x1234",
        "-tan fwmark = 4660",
        "-tan 'fwmark = 0xbeef'",
        "-tan 'fwmark != 0xbeef'",
        "-tan fwmark 0x1000/0xf000",
        "-tan 'fwmark = 0/0'",
        "-tan fwmark 0",
        "-uan fwmark 0xffffffff",
        "-wan fwmark 7",
        "-tane fwmark 0xbeef",
        "-tan cgroup /",
        "-tan cgroup = /sys/fs/cgroup",
        "-tan autobound",
        "-tan not autobound",
        "-uan autobound",
        "-xa autobound",
        "-tan autobound or sport = :22",
        "-tan 'autobound and dport = :41001'",
        "-tan cgroup /sys/fs/cgroup/unified",
        "-tan 'cgroup != /sys/fs/cgroup/unified'",
        "-tan cgroup /sys/fs/cgroup/unified/socktrace-living-{pid}",
        "-tan --cgroup cgroup /sys/fs/cgroup/unified/socktrace-living-{pid}",
        "-tan 'not cgroup /sys/fs/cgroup/unified/socktrace-living-{pid} and sport > :42000'",
        "-uane cgroup /sys/fs/cgroup/unified/socktrace-living-{pid}",
    ]);
}

#[test]
fn globs_of_unix_sockets() {
    check(&[
        "-xa src {dir}/stream",
        "-xa src '{dir}/*'",
        "-xa src '*stream*'",
        "-xa src '*STREAM*'",
        "-xa src unix:{dir}/dgram",
        "-xa src 'unix:*'",
        "-xa dst '*'",
        "-xa dst '*stream'",
        "-xa src '@*'",
        "-xa src @abstract",
        "-xa src '@embedded*'",
        "-xa 'src = @abstract'",
        "-xa 'src != @abstract'",
        "-xa 'not src @abstract'",
        "-xa src '*[dm]gram'",
        "-xa src '*with?blank'",
        "-xa src '*quote*'",
        "-xa src '*upper:80'",
        "-xa src '*:80'",
        "-xa 'src *stream or src @abstract'",
        "-xa sport = 1",
        "-xa 'sport > 1'",
        "-xa dport = 0",
        "-a src unix:@abstract",
        "-an src 'unix:*seq*'",
        "-a dst unix:x",
        "-xa state listening src '@*'",
        "-xa src /nothing",
        "-A unix_dgram -a src '*dgram'",
        "-xa src '*\\*and*'",
    ]);
}

#[test]
fn netlink_packet_and_vsock_forms() {
    check(&[
        "-A netlink src netlink:rtnl",
        "-A netlink src netlink:0",
        "-A netlink src netlink:rtnl:0",
        "-A netlink src netlink:rtnl:kernel",
        "-A netlink src netlink:genl",
        "-A netlink src netlink:rtnl:424242",
        "-A netlink -n src netlink:0:424242",
        "-A netlink 'src netlink:*:31337'",
        "-A netlink src rtnl",
        "-A netlink 'sport = 31337'",
        "-A netlink dst netlink:rtnl",
        "-a src netlink:xfrm",
        "-f netlink -an src netlink:9",
        "-0a src link:lo",
        "-0a src link:ip",
        "-0a src link:arp:lo",
        "-0a src 'link:*'",
        "-0a src link:ip:lo",
        "-0a src 'link:*:lo'",
        "-0a sport = 1",
        "-0a dev lo",
        "-0an src link:2054",
        "-a src link:ip6",
        "-0a 'not src link:ip'",
        "--vsock -a src vsock:1",
        "--vsock -a src vsock:1:1234",
        "-a src vsock:*",
        "--vsock -a sport = 1234",
    ]);
}

#[test]
fn a_family_in_the_filter_narrows_the_tables() {
    check(&[
        "-a src inet:*",
        "-a src inet6:*",
        "-an dst inet:127.0.0.1",
        "-a src unix:*stream*",
        "-tuan src inet6:[::1]",
        "-an 'src inet:127.0.0.1 or src unix:@abstract'",
        "-an 'src inet:127.0.0.1 and src unix:@abstract'",
        "-4 -an src unix:@abstract",
        "-t -a src unix:@abstract",
        "-x -a src inet:127.0.0.1",
        "-a sport = inet:22",
        "-a 'dport = inet6:41001'",
    ]);
}

#[test]
fn filters_in_a_file() {
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        for (name, text) in [
            ("ports", "sport = :41001 or dport = :41001\n"),
            ("states", "state established\nstate listening"),
            ("lines", "( sport = :22\n  or\n\tsport = :80 )\n"),
            ("empty", ""),
            ("blank", " \n\t\n"),
            ("comment", "# nothing\nsport = :22\n"),
            ("quoted", "src \"127.0.0.1\"\n"),
            ("wrong", "sport = :41001 or\n"),
            ("long", &"sport = :22 or ".repeat(300).replace(":22 or sport", ":22 or\nsport")),
        ] {
            let path = comparison.case(&format!("{{dir}}/{name}.filter"));
            std::fs::write(&path.arguments()[0], text).unwrap();
        }
        comparison.check_liberties(&[(
            "-tan -F {dir}/states.filter",
            "-tan state established state listening",
        )]);
        comparison.check(&[
            "-tan -F {dir}/ports.filter",
            "-tan --filter={dir}/ports.filter",
            "-tan -F {dir}/lines.filter",
            "-tan -F {dir}/empty.filter",
            "-tan -F {dir}/blank.filter",
            "-tan -F {dir}/comment.filter",
            "-tan -F {dir}/quoted.filter",
            "-tan -F {dir}/wrong.filter",
            "-tan -F {dir}/long.filter",
            "-tan -F {dir}/ports.filter dst 127.0.0.2",
            "-tan -F {dir}/ports.filter or sport = :22",
            "-tan -F {dir}/ports.filter -F {dir}/ports.filter",
            "-tan -F {dir}/missing.filter",
            "-tan -F -",
        ]);
    });
}
