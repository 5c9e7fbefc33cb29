use super::*;
use crate::socket::{Netlink, Packet, PacketDetail, Unix, Vsock};

fn matches(text: &str, socket: &Socket<'_>) -> bool {
    Around::new().judge(&expr(text), socket)
}

fn check(socket: &Socket<'_>, holds: &[&str], fails: &[&str]) {
    for text in holds {
        assert!(matches(text, socket), "{text}");
    }
    for text in fails {
        assert!(!matches(text, socket), "{text}");
    }
}

#[test]
fn ip_sockets() {
    let mut socket = inet(("10.0.0.1", 32768), ("10.1.0.1", 443));
    socket.ifindex = 1;
    socket.ext.mark = Some(6);
    socket.ext.cgroup_id = Some(42);
    check(
        &Socket::Inet(socket),
        &[
            "src 10.0.0.1",
            "src 10/8",
            "src 10.0.0.9/24",
            "dst 10.1.0.1:443",
            "dst *:443",
            "dst 0.0.0.0/0",
            "not dst 10.0.0/24",
            "dport = 443",
            "dport >= 443",
            "dport > 442",
            "dport < 444",
            "dport != 1",
            "sport = *",
            "dport >= *",
            "autobound",
            "dev lo",
            "fwmark = 6",
            "fwmark = 2/2",
            "cgroup = /slice",
            "src many",
            "not src six",
            "dport = 1 or dport = 443 and sport > 1024",
        ],
        &[
            "src 10.0.0.2",
            "src 10.0.0.1:80",
            "dst ::/0",
            "dst 10.0/16",
            "dport > 443",
            "dport < 443",
            "dport = 70000",
            "dport <= *",
            "dev 2",
            "fwmark = 4",
            "fwmark 6/2",
            "cgroup id-1",
            "src unix:*",
            "src netlink:*",
            "src link:*",
            "src vsock:*",
        ],
    );
    let unmarked = Socket::Inet(inet(("10.0.0.1", 80), ("10.1.0.1", 32767)));
    check(&unmarked, &["fwmark = 0", "dev 0", "cgroup id-0"], &["autobound", "cgroup /slice"]);
}

#[test]
fn an_ipv4_prefix_holds_mapped_addresses_and_not_the_other_way_round() {
    let mapped = Socket::Inet(inet(("::ffff:10.0.0.1", 80), ("::ffff:10.1.0.1", 80)));
    check(
        &mapped,
        &["src 10/8", "src [::ffff:10.0.0.1]", "dst 0.0.0.0/0", "dst ::/0:80"],
        &["src 11/8", "src [::1]"],
    );
    let plain = Socket::Inet(inet(("10.0.0.1", 80), ("10.1.0.1", 80)));
    check(&plain, &["src 10/8"], &["src [::ffff:10.0.0.1]", "dst ::/0:80"]);
    let v6 = Socket::Inet(inet(("fd00::1", 80), ("::", 0)));
    check(&v6, &["src fd00::/16:80", "src many", "dst [::]"], &["src 0.0.0.0/0", "dst 0"]);
}

#[test]
fn unix_sockets() {
    let unix = |name| {
        Socket::Unix(Unix {
            table: Table::UnixStream,
            state: State::Listen,
            name,
            peer_name: None,
            inode: Inode(100),
            peer_inode: Inode(7),
            cookie: Cookie::default(),
            recv_queue: 0,
            send_queue: 0,
            uid: None,
            shutdown: None,
            file: None,
            pending: None,
            skmem: None,
        })
    };
    check(
        &unix(Some(b"/run/Foo.sock")),
        &[
            "src unix:*foo*",
            "src unix:/RUN/foo.s?ck",
            "src unix:*",
            "src unix:*[m-p].sock",
            "src *:100",
            "dst unix:*",
            "dst unix:",
            "not src unix:foo",
        ],
        &["src unix:foo*", "src unix:", "src unix:*[!a-z].sock", "autobound", "src 10/8"],
    );
    check(
        &unix(Some(b"\0abs\0tract")),
        &["src unix:@abs@tract", "src unix:@*", "src unix:?ABS*"],
        &["src unix:abs*", "autobound"],
    );
    check(&unix(Some(b"\x000f3b1")), &["autobound"], &["src unix:"]);
    check(&unix(Some(b"\x000F3B1")), &["not autobound"], &["autobound"]);
    check(&unix(None), &["src unix:", "src unix:*", "autobound"], &["src unix:?*"]);
}

#[test]
fn packet_sockets() {
    let packet = |protocol, ifindex| {
        Socket::Packet(Packet {
            table: Table::PacketRaw,
            protocol,
            ifindex,
            inode: Inode::default(),
            cookie: Cookie::default(),
            recv_queue: 0,
            uid: 0,
            skmem: None,
            detail: PacketDetail::default(),
        })
    };
    check(
        &packet(0x0800, 1),
        &[
            "src link:ip",
            "src link:ip:lo",
            "src link:*:lo",
            "sport = link:lo",
            "dev lo",
            "src *",
            "dst link:*",
            "dst link:0:0",
            "dport = 0",
        ],
        &["src link:2054", "src link:ip:0", "dst link:ip", "dport = 1", "autobound"],
    );
    check(&packet(0, 0), &["autobound", "src link:0:0"], &["src link:ip"]);
}

#[test]
fn netlink_sockets() {
    let netlink = |protocol, port_id| {
        Socket::Netlink(Netlink {
            protocol,
            port_id,
            peer_port_id: 0,
            peer_group: None,
            groups: 0,
            recv_queue: 0,
            send_queue: 0,
            inode: Inode::default(),
            cookie: Cookie::default(),
            sk: 0,
            cb: 0,
            skmem: None,
        })
    };
    check(
        &netlink(0, 4242),
        &[
            "src netlink:rtnl",
            "src netlink:rtnl:4242",
            "src netlink:*:4242",
            "sport = netlink:4242",
            "sport > netlink::1",
            "not autobound",
        ],
        &["src netlink:tcpdiag", "src netlink:rtnl:kernel", "sport = netlink:kernel", "autobound"],
    );
    check(
        &netlink(4, 0xffff_fff0),
        &["autobound", "src netlink:4:-16", "sport = netlink:-16"],
        &["src netlink:rtnl"],
    );
    check(&netlink(4, 0), &["src netlink:tcpdiag:kernel"], &["autobound"]);
}

#[test]
fn vsock_sockets() {
    let socket = Socket::Vsock(Vsock {
        table: Table::VsockStream,
        state: State::Established,
        socket_type: 1,
        local_cid: 2,
        local_port: 1024,
        peer_cid: 3,
        peer_port: 22,
        inode: Inode::default(),
        cookie: Cookie::default(),
        shutdown: 0,
    });
    check(
        &socket,
        &[
            "src vsock:2",
            "src vsock:2:1024",
            "src vsock:*:1024",
            "dst vsock:3:22",
            "dport = vsock:22",
            "sport >= vsock:1024",
            "autobound",
        ],
        &["src vsock:3", "src vsock:2:1", "dport = vsock:23", "dst 10/8"],
    );
}

proptest! {
    /// The C library, told to fold case, is what `ss` asks.
    #[test]
    fn globs_match_as_fnmatch_does(
        pattern in r"([abA@/*?\[\]\\!^-]|\[[!^]?[a-cA-C]-?[b-d]\]|\[\[:(alpha|digit|upper|space|punct|xdigit):\]\]){0,6}",
        name in r"[abcAB@/*?\[\]\\!^1 -]{0,8}",
    ) {
        let c_string = |text: &str| std::ffi::CString::new(text).unwrap();
        let (c_pattern, c_name) = (c_string(&pattern), c_string(&name));
        const FNM_CASEFOLD: i32 = 16;
        // SAFETY: both strings end with NUL and live through the call.
        let result = unsafe { libc::fnmatch(c_pattern.as_ptr(), c_name.as_ptr(), FNM_CASEFOLD) };
        let glob = Glob::new(pattern.clone().into_bytes());
        prop_assert_eq!(glob.matches(name.as_bytes()), result == 0, "{} {}", pattern, name);
    }
}

#[test]
fn a_glob_of_many_stars_does_not_take_long() {
    let name = vec![b'a'; 107];
    assert!(!Glob::new(b"*a".repeat(50).into_iter().chain(*b"b").collect()).matches(&name));
}
