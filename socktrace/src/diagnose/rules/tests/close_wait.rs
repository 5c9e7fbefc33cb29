use super::*;

#[test]
fn connections_that_are_not_closed() {
    let left = |age, sent, count| {
        let mut socket = tcp(State::CloseWait);
        (socket.info.last_ack_recv_ms, socket.info.last_data_sent_ms) = (age, sent);
        fired(&evidence(vec![socket; count]))
    };
    assert_eq!(left(5000, 9000, 200), [("close-wait", CRITICAL)]);
    assert_eq!(left(5000, 9000, 20), [("close-wait", WARNING)]);
    assert_eq!(left(5000, 9000, 9), [("close-wait", NOTE)]);
    assert_eq!(left(500, 9000, 200), [], "just closed by the peers");
    assert_eq!(left(5000, 10, 200), [], "half-closed and in use");

    let waiting = Tcp { inode: Inode(0), ..tcp(State::CloseWait) };
    assert_eq!(fired(&evidence(vec![waiting; 200])), [], "not accepted yet");
}

#[test]
fn few_close_waits_are_many_for_a_small_limit() {
    let mut socket = tcp(State::CloseWait);
    (socket.info.last_ack_recv_ms, socket.info.last_data_sent_ms) = (5000, 9000);
    let mut evidence = evidence(vec![socket; 20]);
    evidence.processes.known.get_mut(&7).unwrap().descriptor_limit = Some(64);
    assert_eq!(fired(&evidence), [("close-wait", CRITICAL)]);
}
