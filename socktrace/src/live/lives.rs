//! Joins what belongs to one connection and comes apart: a reset that the kernel sends after it has
//! closed, and the subflows of an MPTCP connection.

use std::collections::VecDeque;
use std::mem;

use rustc_hash::FxHashMap;

use super::settle::SETTLE;
use crate::event::{Event, Key, Life, Protocol, ResetReason, SinceBoot, What};
use crate::trace::Record;

#[derive(Debug, Default)]
pub(super) struct Lives {
    /// In the order in which they came. Those that wait for nothing wait for those before them.
    queue: VecDeque<Waiting>,
    /// How many have left the queue: the number of its first.
    gone: u64,
    /// The numbers of those that wait for something.
    waiting: FxHashMap<Key, u64>,
    /// Subflows whose connection has not ended.
    subflows: FxHashMap<Key, Vec<Event>>,
    /// MPTCP connections that have ended, and when: what ends of them later is told by itself.
    ended: FxHashMap<Key, SinceBoot>,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    is_ready: bool,
}

/// Ended MPTCP connections that are remembered.
const ENDED: usize = 4096;

impl Lives {
    /// Takes a record; answers the life that it completes, if none before it has to be told first.
    pub(super) fn take(&mut self, record: Record) -> Option<Event> {
        match record {
            Record::Event { event, .. } => self.take_event(event),
            Record::LateReset { key, reason } => {
                self.explain(key, reason);
                None
            }
            Record::Unknown => None,
        }
    }

    /// Whether nothing can be missing of what has ended, and none before it waits.
    pub(super) fn is_complete(&self, event: &Event) -> bool {
        self.queue.is_empty()
            && event.socket.protocol == Protocol::Tcp
            && event.socket.subflow_of.is_none()
            && matches!(&event.what, What::Life(life) if !life.ending.may_be_followed_by_reset())
    }

    /// The first life, if it waits for nothing or has waited long enough.
    pub(super) fn due(&self, now: SinceBoot) -> Option<&Event> {
        let first = self.queue.front()?;
        (first.is_ready || now.since(first.event.at) >= SETTLE).then_some(&first.event)
    }

    /// Takes the first life.
    pub(super) fn pop(&mut self) -> Option<Event> {
        let Waiting { event, .. } = self.queue.pop_front()?;
        if self.waiting.get(&event.socket.key) == Some(&self.gone) {
            self.waiting.remove(&event.socket.key);
        }
        self.gone += 1;
        Some(event)
    }

    /// What is left at the end: subflows of connections that go on.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Event> + use<> {
        mem::take(&mut self.subflows).into_values().flatten()
    }

    fn take_event(&mut self, mut event: Event) -> Option<Event> {
        if self.is_complete(&event) {
            return Some(event);
        }
        let (key, at) = (event.socket.key, event.at);
        let What::Life(life) = &mut event.what else { return Some(event) };
        if let Some(connection) = event.socket.subflow_of {
            return self.take_subflow(connection.key, event);
        }
        let mut is_ready = !life.ending.may_be_followed_by_reset();
        if event.socket.protocol == Protocol::Mptcp {
            is_ready = false;
            let subflows = self.subflows.remove(&key).unwrap_or_default();
            for subflow in subflows {
                add_subflow(life, at, subflow);
            }
            if self.ended.len() == ENDED {
                self.ended.clear();
            }
            self.ended.insert(key, at);
        }
        if !is_ready {
            self.waiting.insert(key, self.gone + self.queue.len() as u64);
        }
        self.queue.push_back(Waiting { event, is_ready });
        None
    }

    fn take_subflow(&mut self, connection: Key, event: Event) -> Option<Event> {
        if let Some(waiting) = self.waiting_life(connection) {
            let ended = waiting.event.at;
            if let What::Life(life) = &mut waiting.event.what {
                add_subflow(life, ended, event);
            }
            return None;
        }
        let is_late = match (self.ended.get(&connection), &event.what) {
            (Some(ended), What::Life(life)) => life.opened.is_none_or(|opened| opened < *ended),
            _ => false,
        };
        if is_late {
            return Some(event);
        }
        self.subflows.entry(connection).or_default().push(event);
        None
    }

    fn waiting_life(&mut self, key: Key) -> Option<&mut Waiting> {
        let number = *self.waiting.get(&key)?;
        self.queue.get_mut(usize::try_from(number - self.gone).ok()?)
    }

    /// A reset was sent for a connection that had closed.
    fn explain(&mut self, key: Key, reason: Option<ResetReason>) {
        let Some(waiting) = self.waiting_life(key) else { return };
        if let What::Life(life) = &mut waiting.event.what {
            life.ending.reset_sent = true;
            life.ending.reason = reason;
        }
        waiting.is_ready = true;
        self.waiting.remove(&key);
    }
}

/// Adds a subflow to the life of its connection, given when that ended.
fn add_subflow(connection: &mut Life, ended: SinceBoot, event: Event) {
    let What::Life(subflow) = event.what else { return };
    if ended.since(event.at) < SETTLE {
        connection.ending.explain_by(&subflow.ending);
    }
    connection.subflows.push((event.socket, subflow.traffic));
}

#[cfg(test)]
#[path = "lives_tests.rs"]
mod tests;
