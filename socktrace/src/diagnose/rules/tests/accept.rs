use super::*;

#[test]
fn accept_queues() {
    let with = |recv_q, drops| {
        let mut socket = listener("10.0.0.1", 80);
        (socket.recv_q, socket.skmem.drops) = (recv_q, Some(drops));
        socket
    };
    let once = |socket: Tcp| fired(&evidence(vec![socket]));
    assert_eq!(once(with(129, 0)), [("accept-queue", CRITICAL)], "full");
    assert_eq!(once(with(128, 0)), [("accept-queue", WARNING)], "one more fits");
    assert_eq!(once(with(64, 0)), [], "half full");
    assert_eq!(once(with(0, 5)), [("accept-queue", NOTE)], "overflowed some time ago");

    let burst = Tcp { recv_q: 129, ..lasting(with(0, 0)) };
    assert_eq!(once(burst), [], "full at one of two looks is a burst");
    let stuck = judged(&evidence(vec![lasting(with(129, 9))]));
    assert_eq!((stuck[0].severity, stuck[0].sure), (CRITICAL, Sure::Certain));
    assert!(stuck[0].what.contains("app[7]") && stuck[0].what.contains("9 dropped"));

    let mut dropping = lasting(with(3, 9));
    dropping.earlier.as_mut().unwrap().drops = 4;
    let dropping =
        |drops| Tcp { skmem: SkMem { drops: Some(drops), ..dropping.skmem }, ..dropping.clone() };
    let meanwhile = |drops| fired(&watched(evidence(vec![dropping(drops)])));
    assert_eq!(meanwhile(400), [("accept-queue", CRITICAL)]);
    assert_eq!(meanwhile(9), [("accept-queue", WARNING)], "a burst");
}

#[test]
fn the_reason_for_not_accepting_is_told() {
    let mut full = evidence(vec![Tcp { recv_q: 129, ..listener("10.0.0.1", 80) }]);
    full.processes.known.get_mut(&7).unwrap().doing = vec![Doing::Stopped];
    assert!(judged(&full)[0].advice[0].contains("is stopped"));
    let process = full.processes.known.get_mut(&7).unwrap();
    process.doing = vec![Doing::InCall("futex()".into())];
    assert!(judged(&full)[0].advice[0].contains("futex()"));
}

#[test]
fn handshakes_that_pile_up() {
    let pending = |count| {
        let pending = Tcp { inode: Inode(0), ..tcp(State::SynRecv) };
        let others = std::iter::repeat_n(pending, count);
        fired(&evidence(others.chain([listener("0.0.0.0", 80)]).collect()))
    };
    assert_eq!(pending(100), [("syn-backlog", WARNING)]);
    assert_eq!(pending(60), []);

    let counted = |cookies: u64| {
        let mut evidence = watched(evidence(Vec::new()));
        evidence.counters_before.set("TcpExt.SyncookiesSent", 1000);
        evidence.counters.set("TcpExt.SyncookiesSent", 1000 + cookies);
        fired(&evidence)
    };
    assert_eq!(counted(500), [("syn-backlog", WARNING)]);
    assert_eq!(counted(5), [], "half a cookie a second");
}
