use super::*;

#[test]
fn connections_that_do_not_end() {
    let stuck = |state, age, count, inode| {
        let mut socket = Tcp { inode: Inode(inode), ..tcp(state) };
        socket.info.last_ack_recv_ms = age;
        fired(&evidence(vec![socket; count]))
    };
    assert_eq!(stuck(State::FinWait2, 90_000, 60, 7), [("fin-wait-2", WARNING)]);
    assert_eq!(stuck(State::FinWait2, 30_000, 60, 7), []);
    assert_eq!(stuck(State::FinWait2, 90_000, 60, 0), [], "the kernel ends those");
    assert_eq!(stuck(State::LastAck, 9_000, 60, 0), [("last-ack", WARNING)]);
    assert_eq!(stuck(State::LastAck, 9_000, 40, 0), []);

    let orphans = |count| {
        let mut evidence = evidence(Vec::new());
        evidence.counters.set("TCP.orphan", count);
        evidence.host.tcp_max_orphans = Some(1000);
        fired(&evidence)
    };
    assert_eq!(orphans(600), [("orphans", CRITICAL)]);
    assert_eq!(orphans(300), [("orphans", WARNING)]);
    assert_eq!(orphans(220), [("orphans", NOTE)]);
    assert_eq!(orphans(150), []);
}
