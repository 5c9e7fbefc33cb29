//! `retrans --count`: how often each connection sent something again, in place of each time.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::event::{Counted, Event, Resent, What};
use crate::socket::InetEnd;

/// A connection: its handshake has another socket than what comes after it.
type Ends = (u32, InetEnd, InetEnd);

#[derive(Debug, Default)]
pub(super) struct Tally {
    connections: FxHashMap<Ends, Counted>,
}

impl Tally {
    pub(super) fn take(&mut self, event: &Event) {
        let What::Retransmission(again) = &event.what else { return };
        let socket = event.socket.clone();
        let counted = match self.connections.entry((socket.netns, socket.local, socket.peer)) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.socket = socket;
                known
            }
            Entry::Vacant(new) => {
                new.insert(Counted { socket, data: 0, syn: 0, synack: 0, bytes: 0 })
            }
        };
        let count = match again.kind {
            Resent::Data => &mut counted.data,
            Resent::Syn => &mut counted.syn,
            Resent::SynAck => &mut counted.synack,
        };
        *count += u64::from(again.segments);
        counted.bytes += u64::from(again.length);
    }

    /// All connections, those that sent most again first.
    pub(super) fn into_sorted(self) -> Vec<Counted> {
        let mut all: Vec<Counted> = self.connections.into_values().collect();
        all.sort_by_key(|one| (Reverse(one.total()), one.socket.cookie));
        all
    }
}
