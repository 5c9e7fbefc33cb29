//! The names of states and of groups of states, and how `state` and `exclude` add up.

use crate::socket::{State, StateSet};

/// Every name, with what it stands for. `all` and the groups are those of `ss`.
const NAMES: &[(&str, StateSet)] = &[
    ("unknown", StateSet::of(&[State::Unknown])),
    ("established", StateSet::of(&[State::Established])),
    ("syn-sent", StateSet::of(&[State::SynSent])),
    ("syn-recv", SYN_RECV),
    ("syn-rcv", SYN_RECV),
    ("fin-wait-1", StateSet::of(&[State::FinWait1])),
    ("fin-wait-2", StateSet::of(&[State::FinWait2])),
    ("time-wait", StateSet::of(&[State::TimeWait])),
    ("unconnected", CLOSE),
    ("closed", CLOSE),
    ("close", CLOSE),
    ("close-wait", StateSet::of(&[State::CloseWait])),
    ("last-ack", StateSet::of(&[State::LastAck])),
    ("listening", StateSet::of(&[State::Listen])),
    ("closing", StateSet::of(&[State::Closing])),
    ("bound-inactive", StateSet::of(&[State::BoundInactive])),
    ("all", StateSet::ALL),
    ("connected", CONNECTED),
    ("synchronized", CONNECTED.without(StateSet::of(&[State::SynSent]))),
    ("bucket", BUCKET),
    ("big", StateSet::ALL.without(BUCKET)),
];

const SYN_RECV: StateSet = StateSet::of(&[State::SynRecv]);
const CLOSE: StateSet = StateSet::of(&[State::Close]);
/// Wider than what a table shows by default.
const CONNECTED: StateSet = StateSet::ALL.without(StateSet::of(&[State::Listen, State::Close]));
const BUCKET: StateSet = StateSet::of(&[State::SynRecv, State::TimeWait]);

pub(super) fn named(name: &[u8]) -> Option<StateSet> {
    NAMES.iter().find(|(word, _)| word.as_bytes().eq_ignore_ascii_case(name)).map(|(_, set)| *set)
}

/// Without the state that no socket is ever listed in, and that has no name.
pub(super) fn nameable(states: StateSet) -> StateSet {
    states.without(StateSet::of(&[State::NewSynRecv]))
}

/// The first name of exactly these states.
pub(super) fn exact_name(states: StateSet) -> Option<&'static str> {
    let same = |set: StateSet| nameable(set) == nameable(states);
    NAMES.iter().find(|(_, set)| same(*set)).map(|(word, _)| *word)
}

/// The name of a set that has one; only such are read where one name is expected.
pub(super) fn name_of(states: StateSet) -> &'static str {
    exact_name(states).unwrap_or("all")
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(word, _)| *word)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Show,
    Exclude,
}

pub(super) fn change(word: &[u8]) -> Option<Change> {
    match word {
        b"state" => Some(Change::Show),
        b"exclude" | b"excl" => Some(Change::Exclude),
        _ => None,
    }
}

impl Change {
    pub(super) fn opposite(self) -> Change {
        match self {
            Change::Show => Change::Exclude,
            Change::Exclude => Change::Show,
        }
    }

    /// The first `state` starts from nothing, a first `exclude` from all.
    pub(super) fn combine(self, states: Option<StateSet>, set: StateSet) -> StateSet {
        match self {
            Change::Show => states.unwrap_or(StateSet::EMPTY).union(set),
            Change::Exclude => states.unwrap_or(StateSet::ALL).without(set),
        }
    }

    /// When nothing is left it is as if nothing had been said.
    pub(super) fn apply(self, states: Option<StateSet>, set: StateSet) -> Option<StateSet> {
        Some(self.combine(states, set)).filter(|states| !states.is_empty())
    }
}
