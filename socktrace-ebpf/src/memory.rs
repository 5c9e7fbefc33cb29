//! What is remembered of each socket from its opening to its end.
//!
//! The place of a memory follows from the cookie of the socket: cookies are handed out nearly in
//! sequence and never twice, so that hardly two live sockets have the same place. Those that do, and
//! those that have no cookie of their own, are kept in a hash map. Anything else was measured to cost
//! more: storage at the socket, or the map for all, several times as much as the rest of an event.

use aya_ebpf::bindings::{BPF_ANY, BPF_F_NO_PREALLOC};
use aya_ebpf::btf_maps::{Array, HashMap};
use aya_ebpf::macros::btf_map;
use socktrace_common::Memory;

use crate::kernel::Sock;
use crate::ring;

const PLACES: usize = 1 << 15;

#[btf_map]
static SOCKETS: Array<Memory, PLACES> = Array::new();

#[btf_map]
static OTHER_SOCKETS: HashMap<u64, Memory, { 1 << 20 }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();

/// The memory of a socket, if there is one.
#[inline(always)]
pub(crate) fn of(sock: Sock) -> Option<&'static mut Memory> {
    if !sock.has_own_cookie() {
        return other(sock.address());
    }
    let key = sock.known_cookie();
    if key == 0 {
        return None;
    }
    match place(key) {
        Some(memory) if memory.key == key => Some(memory),
        _ => other(key),
    }
}

#[inline(always)]
fn place(cookie: u64) -> Option<&'static mut Memory> {
    let index = (cookie as usize & (PLACES - 1)) as u32;
    // SAFETY: a value of the map, which stays mapped for as long as the program runs; events of one
    // socket do not run at once.
    SOCKETS.get_ptr_mut(index).and_then(|memory| unsafe { memory.as_mut() })
}

#[inline(always)]
fn other(key: u64) -> Option<&'static mut Memory> {
    // SAFETY: as above.
    OTHER_SOCKETS.get_ptr_mut(key).and_then(|memory| unsafe { memory.as_mut() })
}

/// A memory for a socket, in place of what may have been left of an earlier life of it; `None` if
/// there is no room, which is counted.
#[inline(always)]
pub(crate) fn create(sock: Sock) -> Option<&'static mut Memory> {
    if !sock.has_own_cookie() {
        return create_other(sock.address());
    }
    let key = sock.cookie();
    match place(key) {
        Some(memory) if memory.key == 0 || memory.key == key => {
            *memory = Memory { key, ..Memory::STRANGER };
            Some(memory)
        }
        _ => create_other(key),
    }
}

#[inline(always)]
fn create_other(key: u64) -> Option<&'static mut Memory> {
    if OTHER_SOCKETS.insert(key, Memory::STRANGER, u64::from(BPF_ANY)).is_err() {
        ring::no_memory();
        return None;
    }
    other(key)
}

/// Ends what is remembered of a socket.
#[inline(always)]
pub(crate) fn forget(sock: Sock) {
    if !sock.has_own_cookie() {
        return forget_other(sock.address());
    }
    let key = sock.known_cookie();
    if key == 0 {
        return;
    }
    match place(key) {
        Some(memory) if memory.key == key => memory.key = 0,
        _ => forget_other(key),
    }
}

#[inline(always)]
fn forget_other(key: u64) {
    // What is not there needs no forgetting.
    let _ = OTHER_SOCKETS.remove(key);
}
