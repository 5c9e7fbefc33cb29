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

    let orphans = |count, limit| {
        let mut evidence = evidence(Vec::new());
        evidence.counters.set("TCP.orphan", count);
        evidence.host.tcp_max_orphans = limit;
        judged(&evidence).pop()
    };
    let severity = |count| orphans(count, Some(1000)).map(|finding| finding.severity);
    assert_eq!(severity(600), Some(CRITICAL));
    assert_eq!(severity(300), Some(WARNING));
    assert_eq!(severity(220), Some(NOTE));
    assert_eq!(severity(150), None);
    let what = |limit| orphans(220, limit).map(|finding| finding.what).unwrap_or_default();
    assert!(what(Some(1000)).ends_with("(22% of tcp_max_orphans)"), "{}", what(Some(1000)));
    assert!(what(None).ends_with("have no process any more"), "{}", what(None));
}

#[test]
fn how_a_pile_grew_is_told_once_it_was_watched() {
    for state in [State::CloseWait, State::FinWait2, State::LastAck, State::SynSent] {
        let mut old = Tcp { peer: end("192.0.2.1", 443), ..tcp(state) };
        (old.info.last_ack_recv_ms, old.info.last_data_sent_ms) = (90_000, 90_000);
        old.timer.retransmits = 3;
        let old = lasting(old);
        let mut young = Tcp { earlier: None, ..old.clone() };
        (young.info.last_ack_recv_ms, young.timer.retransmits) = (0, 0);
        let before = Earlier { state: State::Established, ..young.remember() };
        let changed = Tcp { earlier: Some(before), ..young.clone() };
        let pile = vec![old; 60];
        let what =
            |more: &[Tcp]| judged(&watched(evidence([&pile, more].concat())))[0].what.clone();
        assert!(what(&[]).ends_with(", not growing"), "{}", what(&[]));
        let grown = what(&[young.clone(), changed]);
        assert!(grown.contains("60 connection"), "{grown}");
        assert!(grown.ends_with(", 2 new while it was watched"), "{grown}");
        let unwatched = judged(&evidence(pile.clone()))[0].what.clone();
        assert!(!unwatched.contains("growing"), "{unwatched}");
        assert_eq!(fired(&watched(evidence(vec![young; 60]))), [], "{state:?}: all too young");
    }
}
