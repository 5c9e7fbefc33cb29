use super::*;

#[test]
fn datagrams_that_are_dropped() {
    let dropping = |recv_q, drops, before| {
        let mut evidence = evidence(Vec::new());
        evidence.datagrams.push(Datagram {
            local: end("0.0.0.0", 53),
            cookie: Cookie(1),
            inode: Inode(7),
            recv_q,
            rcvbuf: 200_000,
            drops,
            drops_before: before,
        });
        fired(&evidence)
    };
    assert_eq!(dropping(0, 50, Some(10)), [("udp-drops", WARNING)]);
    assert_eq!(dropping(190_000, 50, None), [("udp-drops", WARNING)], "full, and has dropped");
    assert_eq!(dropping(0, 50, Some(50)), [("udp-drops", NOTE)], "long ago");
    assert_eq!(dropping(190_000, 0, None), [], "full, and has dropped nothing");
}

#[test]
fn unix_listeners() {
    let queue = |waiting, backlog| {
        let mut evidence = evidence(Vec::new());
        evidence.unix_listeners.push(UnixListener {
            name: b"/run/app".to_vec(),
            inode: Inode(7),
            waiting,
            backlog,
            least_waiting: waiting,
        });
        fired(&evidence)
    };
    assert_eq!(queue(129, 128), [("unix-accept-queue", CRITICAL)]);
    assert_eq!(queue(120, 128), [("unix-accept-queue", WARNING)]);
    assert_eq!(queue(100, 128), []);
    assert_eq!(queue(1, 1), [], "one waits, one more may");
}

#[test]
fn netlink_messages_that_are_missed() {
    let missing = |drops, before| {
        let mut evidence = evidence(Vec::new());
        evidence.netlink.push(NetlinkReceiver {
            protocol: 0,
            port_id: 7,
            inode: Inode(7),
            recv_q: 0,
            drops,
            drops_before: before,
        });
        fired(&evidence)
    };
    assert_eq!(missing(5, Some(2)), [("netlink-drops", WARNING)]);
    assert_eq!(missing(5, Some(5)), [("netlink-drops", NOTE)]);
    assert_eq!(missing(0, Some(0)), []);
}
