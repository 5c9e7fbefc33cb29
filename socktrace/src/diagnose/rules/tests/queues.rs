use super::*;

#[test]
fn readers() {
    let unread = |recv_q, last_data_recv_ms| {
        let mut socket = tcp(State::Established);
        (socket.recv_q, socket.info.last_data_recv_ms) = (recv_q, last_data_recv_ms);
        socket
    };
    let once = |socket: Tcp| fired(&evidence(vec![socket]));
    assert_eq!(once(unread(100_000, 20_000)), [("slow-reader", CRITICAL)]);
    assert_eq!(once(unread(100_000, 2_000)), [("slow-reader", WARNING)]);
    assert_eq!(once(unread(100_000, 3)), [], "just came");
    assert_eq!(once(unread(500, 20_000)), [], "next to nothing");
    assert_eq!(once(Tcp { inode: Inode(0), ..unread(100_000, 20_000) }), [], "not accepted yet");

    let reading = |bytes| {
        let mut socket = lasting(unread(100_000, 3));
        socket.info.bytes_received += bytes;
        once(socket)
    };
    assert_eq!(reading(10_000), [("slow-reader", CRITICAL)], "5 kB a second of 100 kB");
    assert_eq!(reading(50_000_000), [], "busy, and keeps up");
    let mut emptied = lasting(unread(100_000, 20_000));
    emptied.earlier.as_mut().unwrap().least_recv_q = 0;
    assert_eq!(once(emptied), [], "was empty in between");
}

#[test]
fn closed_windows() {
    let closed = |probes| {
        let mut socket = Tcp { send_q: 50_000, ..tcp(State::Established) };
        socket.info.backoff = probes;
        socket.timer = Timer { kind: TimerKind::Persist, retransmits: 0, expires_ms: 400 };
        socket
    };
    assert_eq!(fired(&evidence(vec![closed(4)])), [("zero-window", WARNING)]);
    assert_eq!(fired(&evidence(vec![closed(1)])), [("zero-window", NOTE)]);
    assert_eq!(fired(&evidence(vec![closed(0)])), [], "closed a moment ago");

    let mut reader = tcp(State::Established);
    (reader.local, reader.peer) = (reader.peer, reader.local);
    (reader.recv_q, reader.info.last_data_recv_ms) = (100_000, 9000);
    let both = fired(&evidence(vec![closed(4), reader]));
    assert_eq!(both, [("slow-reader", CRITICAL)], "its reader is here, and is the cause");
}

#[test]
fn senders_without_an_answer() {
    let silent = |retransmits, last_ack_recv_ms| {
        let mut socket = Tcp { send_q: 1000, ..tcp(State::Established) };
        socket.timer = Timer { kind: TimerKind::On, retransmits, expires_ms: 400 };
        socket.info.last_ack_recv_ms = last_ack_recv_ms;
        fired(&evidence(vec![socket]))
    };
    assert_eq!(silent(4, 5000), [("stuck-sender", WARNING)]);
    assert_eq!(silent(1, 5000), []);
    assert_eq!(silent(4, 100), []);
}

#[test]
fn a_few_of_many_clients_may_pause_or_vanish() {
    let mut silent = Tcp { send_q: 1000, ..tcp(State::Established) };
    silent.timer = Timer { kind: TimerKind::On, retransmits: 4, expires_ms: 400 };
    silent.info.last_ack_recv_ms = 5000;
    let mut paused = Tcp { send_q: 1000, ..tcp(State::Established) };
    paused.timer.kind = TimerKind::Persist;
    paused.info.backoff = 6;
    let mut busy = evidence(vec![silent, paused]);
    busy.states = [(State::Established, 5000)].into_iter().collect();
    assert_eq!(fired(&busy), [("zero-window", NOTE), ("stuck-sender", NOTE)]);
}

#[test]
fn what_limits_a_sender_is_a_note() {
    let mut socket = Tcp { send_q: 1000, ..tcp(State::Established) };
    (socket.info.busy_time, socket.info.rwnd_limited) = (10_000_000, 8_000_000);
    assert_eq!(fired(&evidence(vec![socket.clone()])), [("receiver-limited", NOTE)]);
    assert_eq!(fired(&watched(evidence(vec![lasting(socket.clone())]))), [], "not meanwhile");
    socket.info.rwnd_limited = 0;
    socket.info.sndbuf_limited = 6_000_000;
    assert_eq!(fired(&evidence(vec![socket.clone()])), [("send-buffer-limited", NOTE)]);
    socket.info.sndbuf_limited = 4_000_000;
    assert_eq!(fired(&evidence(vec![socket])), []);
}
