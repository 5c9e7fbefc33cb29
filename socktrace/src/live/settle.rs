//! Events wait for a moment before they are shown: until those of other CPUs have come that were
//! before them, until the port is known that the kernel chooses after it tells of SYN-SENT, and
//! until a reset has come that shows an end to be none of the usual kind.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::event::{Direction, Event, Key, Protocol, SinceBoot, Transition, What};
use crate::socket::{Cookie, State};
use crate::trace::Record;

/// How long an event waits for what completes it.
pub(super) const SETTLE: Duration = Duration::from_millis(50);

/// How long any event waits for those of other CPUs that were before it.
const ORDER: Duration = Duration::from_millis(10);

/// MPTCP connections that are remembered.
const CONNECTIONS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Settling {
    /// In the order of their times.
    queue: VecDeque<Event>,
    /// Sockets that wait in `queue` for their local port, and since when.
    without_port: FxHashMap<Key, SinceBoot>,
    /// The MPTCP connections that were seen.
    connections: FxHashMap<Key, Cookie>,
}

impl Settling {
    pub(super) fn take(&mut self, record: Record) {
        match record {
            Record::Event { event, born } => {
                if let Some(born) = born {
                    self.take_event(birth(born, &event));
                }
                self.take_event(event);
            }
            // The one belongs to lives.
            Record::LateReset { .. } | Record::Unknown => {}
        }
    }

    /// The first event, if it has waited long enough.
    pub(super) fn due(&self, now: SinceBoot) -> Option<&Event> {
        self.queue.front().filter(|event| now.since(event.at) >= wait(event))
    }

    /// Forgets the first event.
    pub(super) fn drop_first(&mut self) {
        if !self.without_port.is_empty()
            && let Some(event) = self.queue.front()
            && lacks_port(event)
        {
            self.without_port.remove(&event.socket.key);
        }
        self.queue.pop_front();
    }

    fn take_event(&mut self, mut event: Event) {
        self.follow_connection(&mut event);
        let key = event.socket.key;
        if lacks_port(&event) {
            self.without_port.insert(key, event.at);
        } else if !self.without_port.is_empty() && event.socket.local.port != 0 {
            self.fill_in_ends(key, &event);
            // An MPTCP connection has its ends later than its first subflow.
            if let Some(connection) = event.socket.subflow_of {
                self.fill_in_ends(connection.key, &event);
            }
        }
        if matches!(&event.what, What::Reset(reset)
            if reset.direction == Direction::Sent && reset.state == Some(State::Close))
        {
            self.follow_end(&mut event);
        }
        match self.queue.iter().rev().take_while(|other| other.at > event.at).count() {
            0 => self.queue.push_back(event),
            later => self.queue.insert(self.queue.len() - later, event),
        }
    }

    /// A socket waits for its ends: now they are known.
    fn fill_in_ends(&mut self, key: Key, event: &Event) {
        let Some(since) = self.without_port.remove(&key) else { return };
        let start = self.first_at(since);
        let waiting = self.queue.range_mut(start..).take_while(|other| other.at == since);
        for other in waiting.filter(|other| other.socket.key == key) {
            other.socket.local = event.socket.local;
            other.socket.peer = event.socket.peer;
        }
    }

    /// The first event that was not before a time. It is looked for from the end, in strides that
    /// grow: most often it is one of the last, and the others have left the cache.
    fn first_at(&self, time: SinceBoot) -> usize {
        let is_before = |i: usize| self.queue[i].at < time;
        let (mut low, mut high) = (self.queue.len(), self.queue.len());
        let mut stride = 4;
        while low > 0 && !is_before(low - 1) {
            high = low - 1;
            low = high.saturating_sub(stride);
            stride *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// A reset came after the transition that it explains: what began was no TIME-WAIT, and the
    /// kernel half has forgotten the owner.
    fn follow_end(&mut self, reset: &mut Event) {
        let key = reset.socket.key;
        let Some(last) = self.queue.iter_mut().rev().find(|other| other.socket.key == key) else {
            return;
        };
        if reset.socket.owner.is_none() {
            reset.socket.owner = last.socket.owner;
        }
        if let What::Transition(step) = &mut last.what
            && step.new == State::TimeWait
        {
            step.new = State::Close;
        }
    }

    /// Tells subflows the cookie of their connection.
    fn follow_connection(&mut self, event: &mut Event) {
        let socket = &mut event.socket;
        if let Some(connection) = &mut socket.subflow_of {
            connection.cookie = self.connections.get(&connection.key).copied();
        }
        if socket.protocol == Protocol::Mptcp
            && let (What::Transition(step), Some(cookie)) = (&event.what, socket.cookie)
        {
            // Subflows end after their connection.
            if self.connections.len() >= CONNECTIONS {
                self.connections.clear();
            }
            if step.new != State::Close {
                self.connections.insert(socket.key, cookie);
            }
        }
    }
}

/// The birth of an accepted socket, that is told with its first transition.
fn birth(at: SinceBoot, event: &Event) -> Event {
    let (old, new) = (State::Listen, State::SynRecv);
    let step = Transition { old, new, held: None, error: 0, traffic: None, awaits_reset: false };
    Event { at, socket: event.socket.clone(), what: What::Transition(step) }
}

/// How long an event waits, as far as it is known by now.
fn wait(event: &Event) -> Duration {
    let What::Transition(step) = &event.what else { return ORDER };
    if step.awaits_reset || lacks_port(event) { SETTLE } else { ORDER }
}

fn lacks_port(event: &Event) -> bool {
    let What::Transition(step) = &event.what else { return false };
    match event.socket.protocol {
        Protocol::Tcp => event.socket.local.port == 0 && step.new == State::SynSent,
        // An accepted connection is told before it knows its peer.
        Protocol::Mptcp => {
            event.socket.peer.port == 0 && matches!(step.new, State::SynSent | State::Established)
        }
    }
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
