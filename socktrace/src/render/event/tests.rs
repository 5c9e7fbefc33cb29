use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::event::{
    Congestion, Direction, Ending, Family, Key, Learnt, Life, Opener, Owner, Phase, Protocol,
    Resent, Reset, Retransmission, Rtt, SinceBoot, Subject, Traffic, Transition,
};
use crate::socket::{Cookie, InetEnd, State};

fn event(what: What) -> Event {
    Event {
        at: SinceBoot { nanos: 2_000_000_000 },
        socket: Subject {
            key: Key(1),
            cookie: Some(Cookie(0x1a)),
            generation: 0,
            netns: 7,
            protocol: Protocol::Tcp,
            family: Family::Inet6,
            local: InetEnd { addr: "127.0.0.1".parse().unwrap(), port: 40000 },
            peer: InetEnd { addr: "::ffff:1.2.3.4".parse().unwrap(), port: 0 },
            ifindex: 0,
            owner: None,
            subflow_of: None,
        },
        what,
    }
}

fn printer(layout: Layout, format: Format) -> EventPrinter {
    let mut printer = EventPrinter::new(layout, format, TimeStyle::Wall, Shown::default(), None);
    printer.set_reset_reasons([(ResetReason(14), "TCP_STATE")].into_iter());
    printer
}

/// The line without its time.
fn line(layout: Layout, event: &Event) -> String {
    let mut out = Vec::new();
    printer(layout, Format::Columns).event(&mut out, event);
    let line = String::from_utf8(out).unwrap();
    assert_eq!(&line[2..3], ":");
    line[16..].to_owned()
}

/// The object without its times and what all have.
fn json(event: &Event) -> serde_json::Value {
    let mut out = Vec::new();
    printer(Layout::Trace, Format::Json).event(&mut out, event);
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
    let mut value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let object = value.as_object_mut().unwrap();
    assert!(object.remove("time_unix_us").unwrap().is_i64());
    assert!(object.remove("time").unwrap().is_string());
    value
}

fn owned(comm: &[u8], learnt: Learnt) -> Owner {
    let mut name = [0; 16];
    name[..comm.len()].copy_from_slice(comm);
    let started = SinceBoot { nanos: 0 };
    Owner { pid: 12, uid: 3, cgroup_id: 4, started, comm: name, learnt }
}

fn life() -> Life {
    Life {
        opened: Some(SinceBoot { nanos: 1_949_999_000 }),
        connected: Some(SinceBoot { nanos: 1_950_000_000 }),
        ending: Ending {
            protocol: Protocol::Tcp,
            opener: Some(Opener::Active),
            last: State::FinWait2,
            error: 0,
            was_reset_by_peer: false,
            reset_sent: false,
            reason: None,
            peer_closed: true,
            by_process: false,
        },
        traffic: Traffic {
            bytes_acked: 1002,
            bytes_sent: 1000,
            bytes_received: 6,
            rtt: Some(Rtt { us: 41, var_us: 20 }),
            min_rtt_us: Some(12),
            ..Traffic::default()
        },
        subflows: Vec::new(),
    }
}

#[test]
fn a_transition_is_a_line() {
    let what = What::Transition(Transition {
        old: State::SynSent,
        new: State::Established,
        held: Some(Duration::from_micros(41_007)),
        error: 0,
        traffic: None,
        awaits_reset: false,
    });
    assert_eq!(
        line(Layout::Trace, &event(what)),
        "tcp   1a       -                      127.0.0.1:40000       \
         [::ffff:1.2.3.4]:*    SYN-SENT   ESTAB      41.007\n"
    );
}

#[test]
fn a_failed_connection_says_why() {
    let what = What::Transition(Transition {
        old: State::SynSent,
        new: State::Close,
        held: None,
        error: 111,
        traffic: Some(Traffic { total_retrans: 1, ..Traffic::default() }),
        awaits_reset: false,
    });
    assert!(line(Layout::Trace, &event(what)).ends_with(
        " SYN-SENT   UNCONN     -         \
         error:ECONNREFUSED bytes_acked:0 bytes_received:0 retrans:1\n"
    ));
}

fn again() -> What {
    What::Retransmission(Retransmission {
        kind: Resent::Data,
        phase: Some(Phase::Fast),
        state: State::Established,
        sequence: u32::MAX,
        length: 10,
        segments: 1,
        congestion: Congestion::Recovery,
        rto: Some(Duration::from_millis(204)),
        total: 3,
    })
}

#[test]
fn a_retransmission_is_a_line() {
    assert!(line(Layout::Trace, &event(again())).ends_with(
        " ESTAB      retransmit -         kind:data phase:fast seq:4294967295 len:10 retrans:3\n"
    ));
    assert!(
        line(Layout::Retransmissions, &event(again()))
            .ends_with(" ESTAB      data   fast    4294967295 10     recovery 204.000    3\n")
    );
}

#[test]
fn a_reset_says_who_sent_it_and_why() {
    let reset =
        |direction, reason| What::Reset(Reset { direction, reason, state: Some(State::Close) });
    let sent = event(reset(Direction::Sent, Some(ResetReason(14))));
    assert!(
        line(Layout::Trace, &sent)
            .ends_with(" UNCONN     reset      -         direction:sent reason:TCP_STATE\n")
    );
    let received = event(reset(Direction::Received, None));
    assert!(line(Layout::Trace, &received).ends_with(" direction:received\n"));
    assert_eq!(json(&sent)["reason"], "TCP_STATE");
}

#[test]
fn a_life_is_a_line() {
    assert_eq!(
        line(Layout::Life, &event(What::Life(life()))),
        "tcp   1a       -                      127.0.0.1:40000       [::ffff:1.2.3.4]:*    \
         active  50.001     1000     5        0       0.041   0.001       closed-by-us    \
         SYN-SENT>ESTAB>FIN-WAIT-1>FIN-WAIT-2>TIME-WAIT\n"
    );
}

#[test]
fn lives_that_end_in_the_same_state_may_have_come_to_it_in_other_ways() {
    let mut printer = printer(Layout::Life, Format::Columns);
    let mut path = |opener| {
        let mut life = life();
        (life.ending.opener, life.ending.last) = (opener, State::LastAck);
        let mut out = Vec::new();
        printer.event(&mut out, &event(What::Life(life)));
        String::from_utf8(out).unwrap().split_whitespace().last().unwrap().to_owned()
    };
    for _ in 0..2 {
        assert_eq!(path(Some(Opener::Active)), "SYN-SENT>ESTAB>CLOSE-WAIT>LAST-ACK");
        assert_eq!(path(Some(Opener::Passive)), "SYN-RECV>ESTAB>CLOSE-WAIT>LAST-ACK");
        assert_eq!(path(None), "ESTAB>CLOSE-WAIT>LAST-ACK");
    }
}

#[test]
fn the_longest_path_fits() {
    let mut life = life();
    life.connected = None;
    let line = line(Layout::Life, &event(What::Life(life)));
    assert!(line.ends_with(" SYN-SENT>SYN-RECV>ESTAB>FIN-WAIT-1>FIN-WAIT-2>TIME-WAIT\n"), "{line}");
}

#[test]
fn addresses_that_share_a_place_are_told_apart() {
    let mut printer = printer(Layout::Trace, Format::Columns);
    let step = again();
    for _ in 0..2 {
        for last in 0..=255 {
            let mut event = event(step.clone());
            event.socket.peer.addr = Ipv4Addr::new(10, 9, 100, last).into();
            let mut out = Vec::new();
            printer.event(&mut out, &event);
            let line = String::from_utf8(out).unwrap();
            assert!(line.contains(&format!(" 10.9.100.{last}:")), "{line}");
        }
    }
}

#[test]
fn what_may_not_have_arrived_is_marked() {
    let mut life = life();
    life.ending.last = State::Established;
    life.traffic.bytes_acked = 1000;
    life.ending.reset_sent = true;
    life.ending.reason = Some(ResetReason(14));
    (life.opened, life.ending.opener) = (None, None);
    let line = line(Layout::Life, &event(What::Life(life)));
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        fields[5..],
        ["-", "-", "<=1000", "5", "0", "0.041", "-", "reset-by-us:TCP_STATE", "ESTAB"]
    );
}

#[test]
fn an_owner_cannot_split_a_line() {
    for (comm, learnt, expected) in [
        (&b"curl"[..], Learnt::OwnEvent, "curl[12]"),
        (b"curl", Learnt::Listener, "curl[12]*"),
        (b"a b\n\x1b[31m\xff", Learnt::OwnEvent, "a_b..[31m?[12]"),
    ] {
        let (text, length) = places::owner_text(&owned(comm, learnt));
        assert_eq!(std::str::from_utf8(&text[..length]).unwrap(), expected);
        assert!(text[length..].iter().all(|byte| *byte == b' '));
    }
}

#[test]
fn each_field_has_a_column_and_each_column_a_field() {
    let printer_of = |layout| {
        let mut out = Vec::new();
        printer(layout, Format::Columns).header(&mut out);
        String::from_utf8(out).unwrap().split_whitespace().count()
    };
    for (layout, what) in [(Layout::Life, What::Life(life())), (Layout::Retransmissions, again())] {
        let line = line(layout, &event(what));
        assert_eq!(line.split_whitespace().count() + 1, printer_of(layout), "{line}");
    }
}

#[test]
fn an_event_is_an_object() {
    let mut life = event(What::Life(life()));
    life.socket.owner = Some(owned(b"curl", Learnt::OwnEvent));
    let expected = serde_json::json!({
        "event": "life", "netid": "tcp", "family": "inet6", "cookie": 26, "generation": 0,
        "netns": 7,
        "local": {"addr": "127.0.0.1", "port": 40000},
        "peer": {"addr": "::ffff:1.2.3.4", "port": 0},
        "owners": [
            {"pid": 12, "comm": "curl", "uid": 3, "cgroup_id": 4, "learnt": "own-event"}
        ],
        "duration_us": 50001, "opened": "active", "connect_us": 1,
        "bytes_sent": 1000, "bytes_received": 5, "bytes": "exact",
        "bytes_retrans": 0, "retrans": 0, "rtt_us": 41, "rttvar_us": 20, "min_rtt_us": 12,
        "states": ["SYN-SENT", "ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"],
        "end": "closed", "closed_by": "us"
    });
    let mut value = json(&life);
    assert!(value.as_object_mut().unwrap().remove("opened_unix_us").unwrap().is_i64());
    assert_eq!(value, expected);
    let value = json(&event(again()));
    assert_eq!(value["kind"], "data");
    assert_eq!(value["rto_us"], 204_000);
}
