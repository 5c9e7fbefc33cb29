//! Events wait for a moment before they are shown: until those of other CPUs have come that were
//! before them, until the port is known that the kernel chooses after it tells of SYN-SENT, and
//! until a reset has come that shows an end to be none of the usual kind.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::event::{Direction, Event, Key, Protocol, SinceBoot, What};
use crate::socket::{Cookie, State};
use crate::trace::Record;

/// How long an event waits.
pub(super) const SETTLE: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Settling {
    /// In the order of their times.
    queue: VecDeque<Event>,
    /// Sockets that wait in `queue` for their local port, and since when.
    without_port: FxHashMap<Key, SinceBoot>,
    /// The MPTCP connections that were seen and have not ended.
    connections: FxHashMap<Key, Cookie>,
}

impl Settling {
    pub(super) fn take(&mut self, record: Record) {
        match record {
            Record::Event(event) => self.take_event(event),
            Record::Birth(birth, event) => {
                self.take_event(birth);
                self.take_event(event);
            }
            // It belongs to lives.
            Record::LateReset { .. } => {}
        }
    }

    /// The next event that has waited long enough.
    pub(super) fn next(&mut self, now: SinceBoot) -> Option<Event> {
        let event = self.queue.pop_front_if(|event| now.since(event.at) >= SETTLE)?;
        if !self.without_port.is_empty() && lacks_port(&event) {
            self.without_port.remove(&event.socket.key);
        }
        Some(event)
    }

    fn take_event(&mut self, mut event: Event) {
        self.follow_connection(&mut event);
        let key = event.socket.key;
        if lacks_port(&event) {
            self.without_port.insert(key, event.at);
        } else if !self.without_port.is_empty()
            && event.socket.local.port != 0
            && let Some(since) = self.without_port.remove(&key)
        {
            self.fill_in_port(key, since, &event);
        }
        if let What::Reset(reset) = &event.what
            && reset.direction == Direction::Sent
            && reset.state == Some(State::Close)
        {
            self.unmake_time_wait(key);
        }
        let later = self.queue.iter().rev().take_while(|other| other.at > event.at).count();
        self.queue.insert(self.queue.len() - later, event);
    }

    /// The SYN-SENT of a socket had no port: now it is known.
    fn fill_in_port(&mut self, key: Key, since: SinceBoot, event: &Event) {
        let start = self.queue.partition_point(|other| other.at < since);
        let waiting = self.queue.range_mut(start..).take_while(|other| other.at == since);
        for other in waiting.filter(|other| other.socket.key == key) {
            other.socket.local = event.socket.local;
        }
    }

    /// The reset came after the transition: what began was no TIME-WAIT.
    fn unmake_time_wait(&mut self, key: Key) {
        let last = self.queue.iter_mut().rev().find(|other| other.socket.key == key);
        if let Some(Event { what: What::Transition(step), .. }) = last
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
            if step.new == State::Close {
                self.connections.remove(&socket.key);
            } else {
                self.connections.insert(socket.key, cookie);
            }
        }
    }
}

fn lacks_port(event: &Event) -> bool {
    event.socket.local.port == 0
        && matches!(&event.what, What::Transition(step) if step.new == State::SynSent)
}
