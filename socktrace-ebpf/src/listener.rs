//! Who listens where: the owner of an accepted socket until something better is known.
//!
//! No event tells which listener a socket was accepted by; it is found by its address. One that has
//! closed is kept, because what it had accepted outlives it; of so many, the kernel drops those
//! that were not asked for longest.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::btf_maps::LruHashMap;
use aya_ebpf::macros::btf_map;
use socktrace_common::{LISTENER, Listener, ListenerKey, Memory, NOT_LEARNT};

use crate::kernel::{AF_INET, Sock, now};
use crate::{owner, ring};

#[btf_map]
static LISTENERS: LruHashMap<ListenerKey, Listener, { 1 << 14 }> = LruHashMap::new();

/// Remembers a listener.
#[inline(always)]
pub(crate) fn open(sock: Sock, memory: &Memory) {
    let key = sock.listener_key();
    // SAFETY: a value of the map, which stays mapped for as long as the program runs.
    if let Some(known) = LISTENERS.get_ptr_mut(key).and_then(|known| unsafe { known.as_mut() })
        && known.count > 0
    {
        known.count += 1;
        let (one, other) = (&known.owner, &memory.owner);
        if one.tgid != other.tgid || one.start_ns != other.start_ns {
            known.is_shared = 1;
        }
        return;
    }
    let new = Listener {
        owner: memory.owner,
        since_ns: memory.opened_ns,
        closed_ns: 0,
        count: 1,
        is_shared: 0,
    };
    if LISTENERS.insert(key, new, u64::from(BPF_ANY)).is_err() {
        ring::no_memory();
    }
}

/// A listener is no more.
#[inline(always)]
pub(crate) fn close(sock: Sock) {
    let key = sock.listener_key();
    // SAFETY: as above.
    let Some(known) = LISTENERS.get_ptr_mut(key).and_then(|known| unsafe { known.as_mut() }) else {
        return;
    };
    known.count = known.count.saturating_sub(1);
    if known.count == 0 {
        known.closed_ns = now();
    }
}

/// Gives an accepted socket, of which nothing better is known, the owner of its listener.
#[inline(always)]
pub(crate) fn lend_owner(sock: Sock, memory: &mut Memory) {
    let mut key = sock.listener_key();
    let is_ipv4 = sock.family() == AF_INET;
    if !lend(&key, memory) {
        key.address = [0; 16];
        if is_ipv4 {
            key.address[10] = 0xff;
            key.address[11] = 0xff;
        }
        lend(&key, memory);
    }
}

/// Whether anybody listens there.
#[inline(always)]
fn lend(key: &ListenerKey, memory: &mut Memory) -> bool {
    // SAFETY: as above.
    let Some(known) = LISTENERS.get_ptr(key).and_then(|known| unsafe { known.as_ref() }) else {
        return false;
    };
    // One that came later, or one of several, may be another's.
    if known.since_ns <= memory.opened_ns
        && (known.count > 0 || memory.opened_ns <= known.closed_ns)
        && known.is_shared == 0
        && known.owner.learnt != NOT_LEARNT
    {
        owner::copy(&known.owner, &mut memory.owner);
        memory.owner.learnt = LISTENER;
    }
    true
}
