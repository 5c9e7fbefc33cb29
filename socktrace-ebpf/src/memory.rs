//! What is remembered of each socket from its opening to its end, by where it lies in the kernel.
//!
//! Sockets are freed and their place is used again: an entry ends with the socket's CLOSE, and the
//! first event of a new life makes a new one, whatever may have been left there.

use aya_ebpf::bindings::{BPF_ANY, BPF_F_NO_PREALLOC, BPF_NOEXIST};
use aya_ebpf::btf_maps::HashMap;
use aya_ebpf::macros::btf_map;
use socktrace_common::{LISTENER, Memory, NOT_LEARNT, Owner, flag};

use crate::kernel::{Sock, TCP_LISTEN};
use crate::{owner, ring};

/// The loader sets how many.
#[btf_map]
static SOCKETS: HashMap<u64, Memory, { 1 << 20 }, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

#[inline(always)]
pub(crate) fn of(key: u64) -> Option<&'static mut Memory> {
    // SAFETY: a value of the map, which stays mapped for as long as the program runs; events of one
    // socket do not run at once.
    SOCKETS.get_ptr_mut(key).and_then(|memory| unsafe { memory.as_mut() })
}

/// Remembers a socket that is opened, and by whom.
#[inline(always)]
pub(crate) fn open(sock: Sock, now: u64, state: i32, flags: u32) {
    let mut memory = Memory {
        opened_ns: now,
        since_ns: now,
        flags,
        state: state as u32,
        stale_error: sock.error(),
        ..Memory::STRANGER
    };
    owner::learn(sock, &mut memory.owner);
    insert(sock.key(), &memory);
}

/// Remembers a socket that was just cloned from a listener.
#[inline(always)]
pub(crate) fn accept(sock: Sock, now: u64, state: i32, flags: u32) {
    let mut memory =
        Memory { opened_ns: now, since_ns: now, flags, state: state as u32, ..Memory::STRANGER };
    inherit(sock.cloned_from(), &mut memory.owner);
    insert(sock.key(), &memory);
}

/// Takes the owner of a listener, if that is one.
#[inline(always)]
fn inherit(listener: u64, owner: &mut Owner) {
    let Some(listener) = of(listener) else { return };
    if listener.state == TCP_LISTEN as u32 && listener.owner.learnt != NOT_LEARNT {
        *owner = listener.owner;
        owner.learnt = LISTENER;
    }
}

#[inline(always)]
fn insert(key: u64, memory: &Memory) {
    if SOCKETS.insert(key, memory, u64::from(BPF_ANY)).is_err() {
        ring::no_memory();
    }
}

/// Remembers a socket that is older than the trace, unless events have told of it already.
#[inline(always)]
pub(crate) fn seed(key: u64, memory: &Memory) {
    if let Err(error) = SOCKETS.insert(key, memory, u64::from(BPF_NOEXIST))
        && error != EEXIST
    {
        ring::no_memory();
    }
}

const EEXIST: i32 = -17;

#[inline(always)]
pub(crate) fn forget(key: u64) {
    // What is not there needs no forgetting.
    let _ = SOCKETS.remove(key);
}

/// What the running event adds to what is remembered of a socket.
#[inline(always)]
pub(crate) fn flags_now(sock: Sock) -> u32 {
    // enum sock_flags begins so since 2.6.
    const SOCK_DEAD: u64 = 1 << 0;
    const SOCK_DONE: u64 = 1 << 1;
    let sock_flags = sock.flags();
    let mut flags = 0;
    if sock_flags & SOCK_DONE != 0 {
        flags |= flag::PEER_FIN;
    }
    if sock_flags & SOCK_DEAD != 0 {
        flags |= flag::ORPHAN;
    }
    if sock.is_owned() {
        flags |= flag::BY_PROCESS;
    }
    flags
}

/// The errno that is pending on a socket since this life of it began, or 0.
#[inline(always)]
pub(crate) fn error(sock: Sock, memory: &Memory) -> u16 {
    let error = sock.error();
    if error == memory.stale_error { 0 } else { error as u16 }
}
