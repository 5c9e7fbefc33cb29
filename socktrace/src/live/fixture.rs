//! Events to put into a pipeline.

use std::net::Ipv4Addr;

use crate::event::{
    Direction, Ending, Event, Family, Key, Learnt, Life, Opener, Owner, Protocol, Reset, SinceBoot,
    Subject, Traffic, Transition, What,
};
use crate::socket::{Cookie, InetEnd, State};

pub(super) fn at(ms: u64) -> SinceBoot {
    SinceBoot { nanos: ms * 1_000_000 }
}

pub(super) fn event(ms: u64, key: u64, what: What) -> Event {
    let end = |port| InetEnd { addr: Ipv4Addr::LOCALHOST.into(), port };
    Event {
        at: at(ms),
        socket: Subject {
            key: Key(key),
            cookie: Some(Cookie(key + 100)),
            generation: 0,
            netns: 1,
            protocol: Protocol::Tcp,
            family: Family::Inet,
            local: end(40000),
            peer: end(80),
            ifindex: 0,
            owner: None,
            subflow_of: None,
        },
        what,
    }
}

pub(super) fn step(ms: u64, key: u64, old: State, new: State) -> Event {
    let what = Transition { old, new, held: None, error: 0, traffic: None, awaits_reset: false };
    event(ms, key, What::Transition(what))
}

pub(super) fn reset_sent(ms: u64, key: u64) -> Event {
    let (direction, state) = (Direction::Sent, Some(State::Close));
    event(ms, key, What::Reset(Reset { direction, reason: None, state }))
}

pub(super) fn life(ms: u64, key: u64, last: State) -> Event {
    let ending = Ending {
        protocol: Protocol::Tcp,
        opener: Some(Opener::Active),
        last,
        error: 0,
        was_reset_by_peer: false,
        reset_sent: false,
        reason: None,
        peer_closed: true,
        by_process: false,
    };
    let life = Life {
        opened: Some(at(0)),
        connected: None,
        ending,
        traffic: Traffic::default(),
        subflows: Vec::new(),
    };
    event(ms, key, What::Life(life))
}

pub(super) fn owner() -> Owner {
    let learnt = Learnt::OwnEvent;
    Owner {
        pid: 12,
        uid: 0,
        cgroup_id: 1,
        started: at(0),
        comm: *b"a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        learnt,
    }
}
