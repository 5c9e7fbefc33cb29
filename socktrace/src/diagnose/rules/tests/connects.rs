use super::*;

#[test]
fn connects_that_fail() {
    let away = end("192.0.2.1", 443);
    assert_eq!(fired(&failing(away, 100, vec![])), [("connect-failed", CRITICAL)]);
    assert_eq!(fired(&failing(away, 5, vec![])), [("connect-failed", WARNING)]);
    assert_eq!(fired(&failing(away, 2, vec![])), []);
    assert!(judged(&failing(away, 5, vec![]))[0].what.contains("client[9] cannot connect"));
    let mut elsewhere = failing(away, 100, vec![]);
    elsewhere.traced.as_mut().unwrap().failed_connects[0].is_here = false;
    assert_eq!(fired(&elsewhere), [], "from another namespace");
}

#[test]
fn connects_without_an_answer() {
    let unanswered = |retransmits, count, peer| {
        let mut socket = Tcp { peer, ..tcp(State::SynSent) };
        socket.timer = Timer { kind: TimerKind::On, retransmits, expires_ms: 400 };
        vec![socket; count]
    };
    let away = end("192.0.2.1", 443);
    assert_eq!(fired(&evidence(unanswered(3, 5, away))), [("connect-unanswered", WARNING)]);
    assert_eq!(fired(&evidence(unanswered(3, 1, away))), [("connect-unanswered", NOTE)]);
    assert_eq!(fired(&evidence(unanswered(1, 5, away))), [], "one lost SYN");
    let mut here = unanswered(3, 5, end("10.0.0.1", 80));
    here.push(Tcp { recv_q: 129, ..listener("0.0.0.0", 80) });
    assert_eq!(fired(&evidence(here)), [("accept-queue", CRITICAL)], "the listener is the cause");
}
