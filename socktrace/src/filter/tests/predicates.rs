//! The words that `ss` lacks.

use super::*;
use crate::socket::Unix;

fn check(socket: &Socket<'_>, holds: &[&str], fails: &[&str]) {
    let around = Around::new();
    for text in holds {
        assert!(around.judge(&expr(text), socket), "{text}");
    }
    for text in fails {
        assert!(!around.judge(&expr(text), socket), "{text}");
    }
}

/// A connection of nginx, with all that the kernel tells of one.
fn connection(info: &[u8]) -> Socket<'_> {
    let mut socket = inet(("10.0.0.1", 80), ("10.1.0.1", 50_000));
    socket.inode = Inode(10);
    socket.cookie = Cookie(0x19a9b7);
    socket.uid = 7;
    (socket.recv_queue, socket.send_queue) = (0, 65_537);
    socket.timer = Timer { kind: TimerKind::Keepalive, ..Timer::default() };
    socket.ext.info = Some(info);
    socket.ext.congestion = Some(b"cubic");
    socket.ext.cgroup_id = Some(2);
    socket.ext.tos = Some(0x10);
    socket.ext.class_id = Some(6);
    Socket::Inet(socket)
}

fn tcp_info() -> Vec<u8> {
    let mut bytes = info(50_001, 1_000_000);
    for (at, value) in [
        (8, 201_000u32),
        (16, 1448),
        (32, 2),
        (44, 500),
        (52, 1500),
        (72, 9_000),
        (80, 10),
        (100, 3),
        (148, 40_000),
    ] {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    bytes[128..136].copy_from_slice(&2000u64.to_ne_bytes());
    bytes[208..216].copy_from_slice(&1000u64.to_ne_bytes());
    bytes
}

#[test]
fn of_a_connection_everything_can_be_asked() {
    check(
        &connection(&tcp_info()),
        &[
            "pid = 100",
            "pid 200",
            "pid > 150",
            "pid != 1",
            "comm = nginx",
            "procname = nginx or procname = apache2",
            "comm = ng*",
            r"comm = \(sd\ pam\)",
            "uid = 7",
            "uid = daemon",
            "uid < 8",
            "gid = wheel",
            "ino = 10",
            "sk = 19a9b7",
            "sk 0x19a9b7",
            "cookie = 0x19a9b7",
            "cookie = 1681847",
            "netns = self",
            "netns = 4026531840",
            "cgroup = /system.slice/*",
            "cgroup = /system.slice/nginx.service/*",
            "cgroup = *nginx*",
            "cgroup = /*",
            "unit = nginx",
            "unit = nginx.service",
            "unit = system.slice",
            "proto = tcp",
            "ipproto = 6",
            "ipproto = tcp and state established",
            "state = established",
            "state != listening",
            "cc = cubic",
            "cc != bbr",
            "rtt > 50ms",
            "rtt <= 50.001ms",
            "rttvar = 9ms",
            "minrtt < 0.05s",
            "rto = 201ms",
            "cwnd = 10",
            "mss >= 1448",
            "retrans > 0",
            "lost = 2",
            "recvq = 0",
            "sendq > 64k",
            "sent = 999000",
            "received < 2k",
            "lastsnd = 500ms",
            "lastrcv > 1s",
            "idle < 1s",
            "timer = keepalive",
            "tos = 0x10",
            "priority 6",
            "mark = 0",
            "dport > :1024 uid = daemon",
        ],
        &[
            "pid = 1",
            "not pid = 100",
            "pid != 100",
            "comm = Nginx",
            "comm = ngin",
            "uid = 0",
            "gid = 0",
            "cgroup = /system/*",
            "cgroup = /slice",
            "unit = nginx.scope",
            "proto = udp",
            "ipproto = icmp",
            "state = listening",
            "rtt > 50.001ms",
            "backlog >= 0%",
            "age >= 0",
            "duration >= 0",
            "oldstate = established",
            "path = *",
            "reason = *",
            "opened = active",
            "end = closed",
            "timer = on",
        ],
    );
}

#[test]
fn a_container_goes_by_the_beginning_of_its_id() {
    let info = tcp_info();
    let Socket::Inet(mut socket) = connection(&info) else { unreachable!() };
    socket.ext.cgroup_id = Some(3);
    let inside = Socket::Inet(socket);
    check(
        &inside,
        &["container = 0123456789ab", "container = 0123", "container != web"],
        &["container = 0124", "container = 012", "container = web", "pod = *"],
    );
    check(&connection(&info), &["container != 0123"], &["container = *", "pod = x"]);
}

#[test]
fn what_a_socket_cannot_have_is_false_and_its_negation_true() {
    let mut udp = inet(("10.0.0.1", 53), ("10.1.0.1", 50_000));
    udp.table = Table::Udp;
    let udp = Socket::Inet(udp);
    check(
        &udp,
        &["not rtt > 5ms", "not rtt <= 5ms", "cc != cubic", "pid != 1", "ipproto = 17"],
        &["rtt > 5ms", "rtt <= 5ms", "retrans = 0", "sent >= 0", "path = *", "backlog < 1%"],
    );
}

#[test]
fn zero_that_the_kernel_says_for_want_of_a_value_is_none() {
    let mut waiting = inet(("10.0.0.1", 80), ("10.1.0.1", 50_000));
    waiting.state = State::TimeWait;
    check(&Socket::Inet(waiting), &["uid != 0"], &["uid = 0", "ino = 0", "cookie = 0"]);
    let nothing = vec![0; 240];
    check(&connection(&nothing), &["retrans = 0", "sent = 0"], &["rtt < 1s", "minrtt < 1s"]);
    // An old kernel's structure ends before the bytes sent.
    let short = vec![0; 192];
    check(&connection(&short), &["received = 0"], &["sent = 0"]);
    // Nothing was sent yet, and the kernel's clock counts from its own start.
    let Socket::Inet(mut opening) = connection(&nothing) else { unreachable!() };
    opening.state = State::SynSent;
    check(&Socket::Inet(opening), &["sent = 0"], &["idle >= 0", "lastsnd >= 0"]);
}

#[test]
fn a_listener_has_a_backlog_and_no_connection() {
    let mut listener = inet(("10.0.0.1", 80), ("0.0.0.0", 0));
    listener.state = State::Listen;
    (listener.recv_queue, listener.send_queue) = (410, 511);
    let info = tcp_info();
    listener.ext.info = Some(&info);
    check(
        &Socket::Inet(listener.clone()),
        &["backlog > 80%", "backlog < 81%", "recvq > 400", "backlog > 80.2"],
        &["backlog > 80.3%", "cwnd > 0", "rtt > 0", "retrans >= 0"],
    );
    (listener.recv_queue, listener.send_queue) = (0, 0);
    check(&Socket::Inet(listener), &["backlog = 0%"], &["backlog > 0"]);
}

#[test]
fn a_unix_socket_is_found_by_its_path_or_by_the_file_that_is_meant() {
    let unix = |name, file| {
        Socket::Unix(Unix {
            table: Table::UnixStream,
            state: State::Listen,
            name,
            peer_name: None,
            inode: Inode(20),
            peer_inode: Inode(0),
            cookie: Cookie(1),
            recv_queue: 1,
            send_queue: 2,
            uid: Some(0),
            shutdown: None,
            file,
            pending: None,
            skmem: None,
        })
    };
    check(
        &unix(Some(b"/var/run/docker.sock"), None),
        &[
            "path = /var/run/docker.sock",
            "path = /var/run/*",
            "path = *docker*",
            "uid = 0",
            "proto = unix",
            "proto = u_str",
            "backlog = 50%",
            r"procname = \(sd*",
        ],
        &["path = /var/run/Docker.sock", "path = /run/link.sock", "proto = u_dgr", "timer = off"],
    );
    check(
        &unix(Some(b"/other/name"), Some(FILE)),
        &["path = /run/link.sock", "path = /other/name"],
        &["path = /run/link.*"],
    );
    check(&unix(Some(b"\0abstract"), None), &["path = @abstract"], &["path = abstract"]);
    check(&unix(None, None), &["path != x"], &["path = *"]);
}

#[test]
fn states_are_words_like_others_and_add_up_where_they_follow_each_other() {
    let same = [
        ("dport = 1 state listening", "dport = 1 and state = listening"),
        (
            "dport = 1 state listening state closed",
            "dport = 1 and ( state listening or state closed )",
        ),
        ("dport = 1 exclude established", "dport = 1 and state != established"),
        ("state=listening", "state = listening"),
        ("(state listening or dport = 1)", "( state listening or dport = 1 )"),
    ];
    let set = |names: &str| parsed(names).unwrap().states.unwrap();
    for (one, other) in same {
        let around = Around::new();
        for state in State::ALL {
            let mut socket = inet(("10.0.0.1", 1), ("10.0.0.2", 1));
            socket.state = state;
            let socket = Socket::Inet(socket);
            assert_eq!(
                around.judge(&expr(one), &socket),
                around.judge(&expr(other), &socket),
                "{one} {state:?}"
            );
        }
    }
    // First, they are those of `ss`, whatever follows; as an alternative they are not.
    let first = parsed("state listening and dport = 1").unwrap();
    assert_eq!((first.states, first.expr), (Some(set("state listening")), Some(expr("dport = 1"))));
    let either = parsed("state listening or dport = 1").unwrap();
    assert_eq!(either.states, None);
    assert_eq!(either.expr, Some(expr("( state listening ) or dport = 1")));
    assert_eq!(either.expr.unwrap().states(), Some(StateSet::ALL));
    let later = expr("dport = 1 and state listening");
    assert_eq!(later.states(), Some(StateSet::of(&[State::Listen])));
    assert_eq!(expr("dport = 1").states(), None);
}

#[test]
fn only_what_is_asked_for_is_fetched() {
    let table: &[(&str, &[Need])] = &[
        ("pid = 1 or dport = 2", &[Need::Owners]),
        ("not comm = x", &[Need::Owners]),
        ("gid = 0", &[Need::Owners]),
        ("container = x or unit = y", &[Need::Owners]),
        ("rtt > 1ms", &[Need::Info]),
        ("cc = bbr", &[Need::CongestionControl]),
        ("tos = 1", &[Need::Tos]),
        ("uid = 0", &[Need::UnixUser]),
        ("path = /run/link.sock", &[Need::UnixFile]),
        ("path = /run/link.*", &[]),
        ("netns = self", &[Need::Netns]),
        ("sendq > 1k and backlog > 1% and cgroup = /a/* and timer = on", &[]),
    ];
    for (text, needs) in table {
        let expr = expr(text);
        let own: Vec<Need> = Need::ALL.into_iter().filter(|need| expr.needs(*need)).collect();
        assert_eq!(own, *needs, "{text}");
    }
}

#[test]
fn what_the_table_decides_is_not_asked_of_the_socket() {
    let table = [
        ("proto = tcp and dport = 1", Table::Tcp, Verdict::Open(expr("dport = 1"))),
        ("proto = tcp and dport = 1", Table::Udp, Verdict::Known(false)),
        ("rtt > 1ms or dport = 1", Table::Udp, Verdict::Open(expr("dport = 1"))),
        ("not rtt > 1ms", Table::Udp, Verdict::Known(true)),
        ("path = x", Table::Tcp, Verdict::Known(false)),
        ("ipproto = icmp", Table::Raw, Verdict::Open(expr("ipproto = icmp"))),
        ("ipproto = 6", Table::Tcp, Verdict::Known(true)),
    ];
    for (text, of, verdict) in table {
        assert_eq!(expr(text).in_table(of), verdict, "{text} {of:?}");
    }
}

#[test]
fn the_new_words_shadow_nothing_that_may_be_a_value() {
    for word in words::PREDICATES.iter().filter(|word| word.of != words::Of::Ss) {
        for name in word.names() {
            // It is looked up as the name of a host and of a service, which it is not here.
            let error = parsed(&format!("src {name}")).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Prefix(name.into()), "{name}");
            let error = parsed(&format!("sport = {name}")).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Port(name.into()), "{name}");
            assert!(parsed(&format!("src unix:{name} and comm = {name}")).is_ok(), "{name}");
        }
    }
    assert!(parsed("comm = dport and comm = state").is_ok());
    for text in ["comm = and", "comm = or", "comm !"] {
        assert!(parsed(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_wrong_is_marked_and_what_was_meant_is_guessed() {
    let table = [
        ("pdi = 1", "pdi", "did you mean pid?"),
        ("prcname = x", "prcname", "did you mean procname?"),
        ("dprot = 1", "dprot", "did you mean dport?"),
        ("dport = 1 and stat listening", "stat", "did you mean state?"),
        ("state listning", "listning", "did you mean listening?"),
        ("dport = 1 and state = estabished", "estabished", "did you mean established?"),
        ("state ESTAB", "ESTAB", "did you mean established?"),
        ("state != LISTEN", "LISTEN", "did you mean listening?"),
        ("proc = nginx", "proc", "did you mean procname?"),
        ("proto = tpc", "tpc", "did you mean tcp?"),
        ("timer = keepaliv", "keepaliv", "did you mean keepalive?"),
        ("end = rest", "rest", "did you mean reset?"),
        ("rtt > 50", "50", "a time with its unit, such as 300us, 50ms"),
        ("sendq > 64q", "64q", "a number of bytes, such as 1500, 64k"),
        ("backlog > x%", "x%", "a percentage, such as 80% after backlog"),
        ("uid = nobodyhere", "nobodyhere", "the name or number of a user after uid"),
        ("sk = xyz", "xyz", "hexadecimal"),
        ("cookie = 19a9b7", "19a9b7", "0x hexadecimal"),
        ("cookie > 1", ">", "= or != after cookie"),
        ("comm > x", ">", "= or != after comm"),
        ("pid = ", "", "a number after pid"),
    ];
    for (text, word, expected) in table {
        let error = parsed(text).unwrap_err();
        assert_eq!(&error.text[error.span.clone()], word.as_bytes(), "{text}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    // What is like nothing gets the whole list, and no guess.
    let error = parsed("quux = 1").unwrap_err().to_string();
    assert!(error.contains("dst, src") && !error.contains("did you mean"), "{error}");
}
