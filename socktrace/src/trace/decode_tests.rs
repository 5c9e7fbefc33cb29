use proptest::prelude::*;
use socktrace_common::Shared;

use super::*;
use crate::event::End;

const DECODER: Decoder = Decoder { tick: Duration::from_millis(4), has_reset_reason: true };

fn socket() -> raw::Socket {
    let mut local = [0; 16];
    local[..4].copy_from_slice(&[127, 0, 0, 1]);
    raw::Socket {
        key: 0xffff_8000_0000_1000,
        cookie: 0x2a,
        local,
        peer: [0; 16],
        local_port: 80,
        peer_port: 0,
        family: AF_INET,
        protocol: 6,
        netns: 7,
        ifindex: 0,
    }
}

fn header(kind: raw::Kind, flags: u32) -> raw::Header {
    raw::Header { kind, flags, time_ns: 5_000_000_001 }
}

fn transition(old: u8, new: u8) -> raw::Transition {
    raw::Transition {
        header: header(raw::TRANSITION, 0),
        socket: socket(),
        owner: raw::Owner::UNKNOWN,
        held_ns: raw::UNKNOWN_NS,
        born_ns: 0,
        connection: 0,
        old,
        new,
        error: 0,
        reserved: 0,
    }
}

fn bytes<T: Shared>(record: &T) -> &[u8] {
    // SAFETY: a shared type has no padding, so all of its bytes are initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of::<T>()) }
}

fn decode<T: Shared>(record: &T) -> Record {
    DECODER.record(bytes(record), &mut Generations::default())
}

fn event<T: Shared>(record: &T) -> Event {
    match decode(record) {
        Record::Event { event, .. } => event,
        other => panic!("{other:?}"),
    }
}

fn step(event: &Event) -> &Transition {
    let What::Transition(step) = &event.what else { panic!("{event:?}") };
    step
}

#[test]
fn a_transition_is_read() {
    let event = event(&transition(7, 10));
    assert_eq!(event.at, SinceBoot { nanos: 5_000_000_001 });
    assert_eq!(event.socket.cookie, Some(Cookie(0x2a)));
    assert_eq!(event.socket.local, InetEnd { addr: [127, 0, 0, 1].into(), port: 80 });
    assert_eq!(event.socket.owner, None);
    assert_eq!(
        *step(&event),
        Transition {
            old: State::Close,
            new: State::Listen,
            held: None,
            error: 0,
            traffic: None,
            awaits_reset: false,
        }
    );
}

#[test]
fn a_mapped_address_stays_an_ipv6_one() {
    let mut record = transition(7, 10);
    record.socket.family = 10;
    record.socket.local = "::ffff:1.2.3.4".parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(event(&record).socket.local.addr.to_string(), "::ffff:1.2.3.4");
}

#[test]
fn an_owner_is_read() {
    let mut record = transition(7, 2);
    record.owner = raw::Owner {
        start_ns: 3,
        cgroup_id: 4,
        comm: [u64::from_ne_bytes(*b"a\0\0\0\0\0\0\0"), 0],
        tgid: 5,
        uid: 6,
        learnt: raw::ACCEPTOR,
        reserved: 0,
    };
    let owner = event(&record).socket.owner.unwrap();
    assert_eq!((owner.pid, owner.uid, owner.cgroup_id), (5, 6, 4));
    assert_eq!((owner.comm(), owner.learnt), (&b"a"[..], Learnt::Acceptor));
}

#[test]
fn time_wait_is_told_where_it_begins() {
    let closing = |old, flags, error| {
        let mut transition = transition(old, 7);
        transition.header = header(raw::CLOSING, flags);
        transition.error = error;
        let event = event(&raw::Closing { transition, traffic: raw::Traffic::NONE });
        step(&event).new
    };
    assert_eq!(closing(5, 0, 0), State::TimeWait);
    assert_eq!(closing(11, 0, 0), State::TimeWait);
    assert_eq!(closing(9, 0, 0), State::Close);
    assert_eq!(closing(5, flag::RESET_RECEIVED, 0), State::Close);
    assert_eq!(closing(5, 0, libc::ETIMEDOUT as u16), State::Close);
}

#[test]
fn a_birth_is_told_with_the_first_transition() {
    let mut record = transition(3, 1);
    (record.born_ns, record.held_ns) = (4_000_000_000, 1_000_000_001);
    let Record::Event { event, born } = decode(&record) else { panic!() };
    assert_eq!(born, Some(SinceBoot { nanos: 4_000_000_000 }));
    // SYN-RECV is no time.
    assert_eq!(step(&event).held, None);
}

fn life(last: u8, flags: u32, error: u16) -> Life {
    let record = raw::Life {
        header: header(raw::LIFE, flags),
        socket: socket(),
        owner: raw::Owner::UNKNOWN,
        traffic: raw::Traffic {
            bytes_sent: 1500,
            bytes_retrans: 500,
            bytes_received: 11,
            ..raw::Traffic::NONE
        },
        opened_ns: 4_000_000_001,
        connected_ns: 4_000_500_001,
        connection: 0,
        reason: 14,
        last,
        reserved: 0,
        error,
    };
    match event(&record).what {
        What::Life(life) => life,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_life_is_read() {
    let life = life(5, flag::ACTIVE | flag::PEER_FIN, 0);
    assert_eq!(life.duration(SinceBoot { nanos: 5_000_000_001 }), Some(Duration::from_secs(1)));
    assert_eq!(life.connect_latency(), Some(Duration::from_micros(500)));
    assert_eq!((life.bytes_sent(), life.bytes_received()), (1000, 10));
    assert_eq!(life.ending.end(), End::Closed);
    assert_eq!(life.ending.reason, None);
    assert_eq!(
        life.path().states().map(State::name).collect::<Vec<_>>(),
        ["SYN-SENT", "ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
    );
}

#[test]
fn the_kernels_reason_belongs_to_a_reset_that_was_sent() {
    let ending = life(1, flag::RESET_SENT, 0).ending;
    assert_eq!(ending.reason, Some(ResetReason(14)));
    assert_eq!(life(1, flag::RESET_RECEIVED, 104).ending.reason, None);
}

#[test]
fn a_reconnected_socket_is_in_its_next_generation() {
    let mut generations = Generations::default();
    let mut decode = |old, new, kind| {
        let mut step = transition(old, new);
        step.header.kind = kind;
        let closing = raw::Closing { transition: step, traffic: raw::Traffic::NONE };
        match DECODER.record(bytes(&closing), &mut generations) {
            Record::Event { event, .. } => event.socket.generation,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(decode(7, 2, raw::TRANSITION), 0);
    assert_eq!(decode(2, 7, raw::CLOSING), 0);
    assert_eq!(decode(7, 2, raw::TRANSITION), 1);
    assert_eq!(decode(2, 1, raw::TRANSITION), 1);
}

#[test]
fn a_retransmission_says_what_for() {
    let record = |state, congestion, resent| raw::Retransmission {
        header: header(raw::RETRANSMISSION, 0),
        socket: socket(),
        owner: raw::Owner::UNKNOWN,
        sequence: u32::MAX,
        length: 10,
        total: 1,
        rto_ticks: 50,
        segments: 2,
        state,
        congestion,
        resent,
        reserved: [0; 3],
    };
    for (state, congestion, resent, kind, phase) in [
        (1, 0, raw::SEGMENT, Resent::Data, Some(Phase::Probe)),
        (1, 3, raw::SEGMENT, Resent::Data, Some(Phase::Fast)),
        (4, 4, raw::SEGMENT, Resent::Data, Some(Phase::Timeout)),
        (1, 2, raw::SEGMENT, Resent::Data, None),
        (2, 4, raw::SEGMENT, Resent::Syn, Some(Phase::Timeout)),
        (3, 0, raw::SYN_ACK, Resent::SynAck, Some(Phase::Timeout)),
    ] {
        let event = event(&record(state, congestion, resent));
        let What::Retransmission(again) = event.what else { panic!() };
        assert_eq!((again.kind, again.phase), (kind, phase));
        assert_eq!(again.rto, Some(Duration::from_millis(200)));
        assert_eq!((again.sequence, again.length, again.segments), (u32::MAX, 10, 2));
    }
}

proptest! {
    #[test]
    fn no_record_is_too_strange(
        record in proptest::collection::vec(any::<u8>(), 0..250),
        kind in 0u8..8,
    ) {
        let mut record = record;
        if let Some(first) = record.get_mut(..4) {
            first.copy_from_slice(&[kind, 0, 0, 0]);
        }
        DECODER.record(&record, &mut Generations::default());
    }
}
