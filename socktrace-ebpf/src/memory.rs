//! What is remembered of each socket from its opening to its end.
//!
//! The place of a memory follows from where the socket lies: the kernel gives the room of a socket
//! that has gone to the next one, so that on a host where connections come and go, few places are
//! used and these are in the cache. Two live sockets that have the same place are told apart by
//! their keys, and the second is kept in a hash map. Anything else was measured to cost more:
//! storage at the socket, or the map for all, several times as much as the rest of an event; places
//! by cookie, which are hardly ever shared, a walk through memory that no cache holds.

use core::arch::asm;

use aya_ebpf::bindings::{BPF_ANY, BPF_F_NO_PREALLOC};
use aya_ebpf::btf_maps::{Array, HashMap};
use aya_ebpf::macros::btf_map;
use socktrace_common::Memory;

use crate::kernel::Sock;
use crate::ring;

const PLACE_BITS: u32 = 15;

/// Room for one memory.
#[repr(C)]
struct Place {
    /// How many sockets want it: one has it, any more are about to look elsewhere.
    claims: u64,
    /// Where the socket lies, or the last one that was here.
    address: u64,
    /// Without a key if the place is free.
    memory: Memory,
}

#[btf_map]
static SOCKETS: Array<Place, { 1 << PLACE_BITS }> = Array::new();

#[btf_map]
static OTHER_SOCKETS: HashMap<u64, Memory, { 1 << 20 }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();

/// The memory of a socket, if there is one.
#[inline(always)]
pub(crate) fn of(sock: Sock) -> Option<&'static mut Memory> {
    let key = key(sock)?;
    match place(sock) {
        Some(place) if place.memory.key == key => Some(&mut place.memory),
        _ => other(key),
    }
}

/// What tells a socket from those that had its place before it, where the kernel has such a thing;
/// `None` if nobody has asked for its cookie, so that nothing can be remembered of it.
#[inline(always)]
fn key(sock: Sock) -> Option<u64> {
    if !sock.has_own_cookie() {
        return Some(sock.address());
    }
    match sock.known_cookie() {
        0 => None,
        cookie => Some(cookie),
    }
}

#[inline(always)]
fn place(sock: Sock) -> Option<&'static mut Place> {
    let mut number = sock.address();
    // SAFETY: a subtraction. The verifier wants no arithmetic on pointers but their difference,
    // which is a number to it; that to a map is the same in all programs.
    unsafe {
        asm!("{number} -= {map}", number = inout(reg) number, map = in(reg) &raw const SOCKETS);
    }
    // 2^64 over the golden ratio: the upper bits of the product depend on all those below.
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let index = (hash >> (u64::BITS - PLACE_BITS)) as u32;
    // SAFETY: a value of the map, which stays mapped for as long as the program runs; events of one
    // socket do not run at once, and a place is of one socket only.
    SOCKETS.get_ptr_mut(index).and_then(|place| unsafe { place.as_mut() })
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
    let key = if sock.has_own_cookie() { sock.cookie() } else { sock.address() };
    if let Some(place) = place(sock)
        && (place.is_held_from(sock) || place.claim())
    {
        place.address = sock.address();
        place.memory = Memory { key, ..Memory::STRANGER };
        return Some(&mut place.memory);
    }
    create_other(key)
}

impl Place {
    /// Whether it is already that of a socket, or of one that lay there before it and whose end was
    /// not seen.
    #[inline(always)]
    fn is_held_from(&self, sock: Sock) -> bool {
        self.memory.key != 0 && self.address == sock.address()
    }

    /// Takes the place, unless it is taken. Of two that try at once, one may succeed, never both:
    /// this does without an instruction that tells what it found, which kernels before 5.12 lack.
    #[inline(always)]
    fn claim(&mut self) -> bool {
        if self.claims != 0 {
            return false;
        }
        self.add(1);
        if self.claims == 1 {
            return true;
        }
        self.add(-1);
        false
    }

    #[inline(always)]
    fn release(&mut self) {
        self.memory.key = 0;
        self.add(-1);
    }

    #[inline(always)]
    fn add(&mut self, number: i64) {
        // SAFETY: a field of a value of a map, aligned to 8 bytes.
        unsafe {
            asm!(
                "lock *(u64 *)({claims} + 0) += {number}",
                claims = in(reg) &raw mut self.claims,
                number = in(reg) number,
            );
        }
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
    let Some(key) = key(sock) else { return };
    match place(sock) {
        Some(place) if place.memory.key == key => place.release(),
        _ => {
            // What is not there needs no forgetting.
            let _ = OTHER_SOCKETS.remove(key);
        }
    }
}
