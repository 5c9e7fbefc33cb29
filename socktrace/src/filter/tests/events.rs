//! Events as subjects, and the third back end: what the eBPF programs run, run here.

use std::time::Duration;

use socktrace_common as common;
use socktrace_common::probe::{Facts, Judgement, known};

use super::*;
use crate::event::{
    End as Finish, Ending, Event, Key, Learnt, Life, Opener, Owner, Protocol as Netid, ResetReason,
    Rtt, SinceBoot, Subject as Socketed, Traffic, Transition, What,
};

const SECOND: u64 = 1_000_000_000;

fn comm(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    comm
}

fn owner(pid: u32, name: &str) -> Owner {
    Owner {
        pid,
        uid: 7,
        cgroup_id: 2,
        started: SinceBoot { nanos: 1 },
        comm: comm(name),
        learnt: Learnt::OwnEvent,
    }
}

fn subject(local: (&str, u16), peer: (&str, u16)) -> Socketed {
    let socket = inet(local, peer);
    Socketed {
        key: Key(1),
        cookie: Some(Cookie(0x1f)),
        generation: 0,
        netns: 4_026_531_840,
        protocol: Netid::Tcp,
        family: match socket.family {
            Family::Inet => crate::event::Family::Inet,
            _ => crate::event::Family::Inet6,
        },
        local: socket.local,
        peer: socket.peer,
        ifindex: 0,
        owner: Some(owner(100, "nginx")),
        subflow_of: None,
    }
}

fn life(sent: u64, duration: Option<u64>, rtt_us: Option<u32>) -> What {
    What::Life(Life {
        opened: duration.map(|duration| SinceBoot { nanos: 100 * SECOND - duration }),
        connected: None,
        ending: Ending {
            protocol: Netid::Tcp,
            opener: Some(Opener::Active),
            last: State::FinWait2,
            error: 0,
            was_reset_by_peer: false,
            reset_sent: false,
            reason: Some(ResetReason(3)),
            peer_closed: true,
            by_process: false,
        },
        traffic: Traffic {
            bytes_received: 101,
            bytes_sent: sent + 10,
            bytes_retrans: 10,
            rtt: rtt_us.map(|us| Rtt { us, var_us: 1 }),
            total_retrans: 2,
            ..Traffic::default()
        },
        subflows: Vec::new(),
    })
}

fn event(what: What) -> Event {
    let socket = subject(("10.0.0.1", 50_000), ("10.1.0.1", 443));
    Event { at: SinceBoot { nanos: 100 * SECOND }, socket, what }
}

fn judge(expr: &Expr, event: &Event) -> bool {
    let known = Around::new();
    let around = Surroundings {
        ports: Some(&known.ports),
        homes: Some(&known.homes),
        facts: Some(&known),
        ..Surroundings::default()
    };
    let reason = |reason: ResetReason| (reason.0 == 3).then_some("NO_SOCKET");
    expr.matches(&Occurred { event, around, reason: &reason })
}

fn check(event: &Event, holds: &[&str], fails: &[&str]) {
    for text in holds {
        assert!(judge(&expr(text), event), "{text}");
    }
    for text in fails {
        assert!(!judge(&expr(text), event), "{text}");
    }
}

#[test]
fn of_a_life_its_course_and_its_end_can_be_asked() {
    check(
        &event(life(300, Some(SECOND / 50), Some(25))),
        &[
            "dport = :443",
            "dst 10.1.0.1:443",
            "pid = 100",
            "procname = ngin*",
            "uid = daemon",
            "gid = wheel",
            "unit = nginx",
            "cgroup = /system.slice/*",
            "sk = 1f",
            "netns = self",
            "proto = tcp",
            "duration = 20ms",
            "age < 50ms",
            "sent = 300",
            "received = 100",
            "rtt < 1ms",
            "retrans = 2",
            "end = closed",
            "opened = active",
            "reason = NO_*",
            "state = established",
            "state = time-wait",
            "autobound",
        ],
        &[
            "dport = :80",
            "pid = 1",
            "comm = ngin",
            "duration > 20ms",
            "sent > 300",
            "end = reset",
            "opened = passive",
            "state = listening",
            "recvq >= 0",
            "path = *",
            "newstate = established",
        ],
    );
}

#[test]
fn of_a_transition_both_states_can_be_asked() {
    let step = Transition {
        old: State::SynSent,
        new: State::Established,
        held: Some(Duration::from_millis(3)),
        error: 0,
        traffic: None,
        awaits_reset: false,
    };
    check(
        &event(What::Transition(step)),
        &[
            "oldstate = syn-sent",
            "newstate = established and duration > 2ms",
            "state = established",
            "end != closed",
        ],
        &[
            "oldstate = established",
            "newstate = syn-sent",
            "state = syn-sent",
            "sent >= 0",
            "age > 0",
        ],
    );
}

/// What the programs gather of an event, once all of it is known.
fn facts(event: &Event) -> Facts {
    let socket = &event.socket;
    let is_ipv6 = socket.family == crate::event::Family::Inet6;
    let mapped = |address: IpAddr| {
        let bytes = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        [0, 8].map(|at| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i])))
    };
    let words =
        |comm: [u8; 16]| [0, 8].map(|at| u64::from_ne_bytes(std::array::from_fn(|i| comm[at + i])));
    let mut facts = Facts {
        socket: common::Socket {
            key: 1,
            cookie: socket.cookie.map_or(0, |cookie| cookie.0),
            local: [0; 16],
            peer: [0; 16],
            local_port: socket.local.port,
            peer_port: socket.peer.port,
            family: if is_ipv6 { 10 } else { 2 },
            protocol: if socket.protocol == Netid::Tcp { 6 } else { 262 },
            netns: socket.netns,
            ifindex: socket.ifindex,
        },
        owner: common::Owner::UNKNOWN,
        traffic: common::Traffic::NONE,
        local: mapped(socket.local.addr),
        peer: mapped(socket.peer.addr),
        duration_ns: 0,
        sent: 0,
        received: 0,
        states: 0,
        known: known::SOCKET
            | known::COOKIE
            | known::PEER
            | known::LOCAL_ADDRESS
            | known::LOCAL_PORT,
        settled: known::OWNER,
        rtt_us: 0,
    };
    if let Some(owner) = &socket.owner {
        facts.owner = common::Owner {
            comm: words(owner.comm),
            tgid: owner.pid,
            uid: owner.uid,
            learnt: common::OWN_EVENT,
            ..common::Owner::UNKNOWN
        };
        facts.known |= known::OWNER;
    }
    match &event.what {
        What::Life(life) => {
            let traffic = &life.traffic;
            facts.traffic.total_retrans = traffic.total_retrans;
            facts.sent = traffic.bytes_sent - traffic.bytes_retrans;
            facts.received = traffic.bytes_received - 1;
            facts.known |= known::TRAFFIC;
            facts.settled |= known::DURATION | known::RTT;
            if let Some(duration) = life.duration(event.at) {
                facts.duration_ns = duration.as_nanos() as u64;
                facts.known |= known::DURATION;
            }
            if let Some(rtt) = traffic.rtt {
                facts.rtt_us = rtt.us.into();
                facts.known |= known::RTT;
            }
        }
        What::Transition(step) => {
            facts.states = 1 << step.new as u64;
            facts.known |= known::STATE;
        }
        _ => {}
    }
    facts
}

fn any_event() -> impl Strategy<Value = Event> {
    let what = prop_oneof![
        (
            prop::sample::select(vec![0u64, 1000, 65_536]),
            prop::option::of(prop::sample::select(vec![0, 1_000_000, 50_000_000])),
            prop::option::of(1..6000u32),
        )
            .prop_map(|(sent, duration, rtt)| life(sent, duration, rtt)),
        (prop::sample::select(State::ALL.to_vec()), prop::sample::select(State::ALL.to_vec()))
            .prop_map(|(old, new)| {
                What::Transition(Transition {
                    old,
                    new,
                    held: None,
                    error: 0,
                    traffic: None,
                    awaits_reset: false,
                })
            }),
    ];
    let owners =
        prop::option::of(prop::sample::select(vec![(100, "nginx"), (7, "n"), (200, "dport")]));
    (inet_socket(), what, owners, any::<bool>()).prop_map(|(socket, what, process, is_tcp)| {
        let mut event = event(what);
        event.socket.family = match socket.family {
            Family::Inet => crate::event::Family::Inet,
            _ => crate::event::Family::Inet6,
        };
        (event.socket.local, event.socket.peer) = (socket.local, socket.peer);
        event.socket.ifindex = socket.ifindex;
        event.socket.owner = process.map(|(pid, name)| owner(pid, name));
        let is_life = matches!(event.what, What::Life(_));
        event.socket.protocol = if is_tcp || is_life { Netid::Tcp } else { Netid::Mptcp };
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn the_programs_refuse_nothing_that_matches(
        tree in expression(),
        events in prop::collection::vec(any_event(), 20),
        hidden in any::<u32>(),
    ) {
        let Some(probe) = probe(&tree) else { return Ok(()) };
        for event in events {
            let matches = judge(&tree, &event);
            let mut facts = facts(&event);
            let judgement = probe.judge(&facts);
            prop_assert!(!matches || judgement == Judgement::Pass, "{}: {:?}", tree, event);
            // What is known of a socket when it opens is less, and must not refuse more.
            facts.known &= !hidden;
            facts.settled = 0;
            prop_assert!(!matches || probe.judge(&facts) == Judgement::Pass, "{}: {:?}", tree, event);
        }
    }
}

#[test]
fn what_the_programs_know_they_decide_alone() {
    let events = [event(life(300, Some(SECOND / 50), Some(25))), event(life(0, None, None)), {
        let mut other = event(life(300, Some(SECOND), Some(9000)));
        other.socket = subject(("::1", 443), ("::ffff:10.0.0.1", 80));
        other.socket.owner = Some(owner(200, "nginx-worker"));
        other
    }];
    for text in [
        "dport = :443",
        "dport != :443",
        "sport >= :443 and dport < :81",
        "dst 10/8",
        "not dst 10.1.0.0/16",
        "src [::1]",
        "src ::/0",
        "not src [::1] or dport = :80",
        "pid = 100",
        "pid != 100",
        "comm = nginx",
        "comm = nginx*",
        "comm = nginx-worker",
        "not comm = nginx-worker",
        "uid = 7 and netns = self",
        "sk = 1f",
        "proto = tcp",
        "proto = udp",
        "duration > 100ms",
        "duration <= 20ms",
        "not duration <= 20ms",
        "sent = 300 or rtt > 5ms",
        "rtt < 26us",
        "retrans = 2 and received = 100",
        "( dport = :443 and pid = 100 ) or ( dport = :80 and comm = nginx* )",
    ] {
        let tree = expr(text);
        let probe = probe(&tree).unwrap_or_else(|| panic!("{text} is not compiled"));
        for event in &events {
            let passes = probe.judge(&facts(event)) == Judgement::Pass;
            assert_eq!(passes, judge(&tree, event), "{text}: {event:?}");
        }
    }
}

#[test]
fn only_what_lasts_refuses_for_ever() {
    let event = event(life(300, Some(SECOND), None));
    for (text, judgement) in [
        ("dport = :1", Judgement::Never),
        ("proto = mptcp", Judgement::Never),
        ("netns = 1", Judgement::Never),
        ("dst 11/8 and pid = 1", Judgement::Never),
        ("pid = 1", Judgement::NotNow),
        ("dport = :1 or pid = 1", Judgement::NotNow),
        ("sport = :1", Judgement::NotNow),
        ("dev lo", Judgement::NotNow),
        ("dport = :443", Judgement::Pass),
    ] {
        assert_eq!(probe(&expr(text)).unwrap().judge(&facts(&event)), judgement, "{text}");
    }
}

#[test]
fn what_has_no_room_is_left_to_userspace() {
    let ports: Vec<String> = (0..100).map(|port| format!("dport = :{port}")).collect();
    assert_eq!(probe(&expr(&ports.join(" or "))), None);
    let conjunction = ports.join(" and ");
    assert_eq!(probe(&expr(&conjunction)).unwrap().clause_count, 16);
    for text in ["cc = x", "end = reset", "dport = :1 or end = reset", "dst *", "cgroup = /a/*"] {
        assert_eq!(probe(&expr(text)), None, "{text}");
    }
}

#[test]
fn what_only_listings_or_only_events_have_is_known_beforehand() {
    for (text, of_listings, of_events) in [
        ("dport = :1 and recvq > 1", true, false),
        ("not path = x", true, false),
        ("fwmark = 1 or cc = bbr", true, false),
        ("duration > 1s", false, true),
        ("pid = 1 or newstate = closed", false, true),
        ("pid = 1 and rtt > 1ms and state = established", false, false),
    ] {
        let tree = expr(text);
        assert_eq!(tree.only_of_listings().is_some(), of_listings, "{text}");
        assert_eq!(tree.only_of_events().is_some(), of_events, "{text}");
    }
}

#[test]
fn the_names_of_ends_are_those_that_the_words_know() {
    for end in [
        Finish::Closed,
        Finish::Reset,
        Finish::Refused,
        Finish::Timeout,
        Finish::Unreachable,
        Finish::Aborted,
    ] {
        assert!(parsed(&format!("end = {}", end.name())).is_ok(), "{end:?}");
    }
    for opener in [Opener::Active, Opener::Passive] {
        assert!(parsed(&format!("opened = {}", opener.name())).is_ok(), "{opener:?}");
    }
}
