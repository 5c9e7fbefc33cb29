//! What is remembered per socket, in storage that the kernel frees with the socket.

use core::ptr;

use aya_ebpf::bindings::{
    BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE,
    bpf_map_type::BPF_MAP_TYPE_SK_STORAGE,
};
use aya_ebpf::helpers::generated::bpf_sk_storage_get;
use aya_ebpf::macros::btf_map;
use socktrace_common::{FROM_LISTENER, Memory, NOT_LEARNT, Owner};

use crate::kernel::Sock;

/// A map definition as the loader reads it from BTF: the numbers are lengths of arrays.
///
/// aya-ebpf's own cannot be cloned from a listener to the sockets it accepts.
#[repr(C)]
struct Storage {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const Memory,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: the pointers are types in disguise; nobody follows them.
unsafe impl Sync for Storage {}

#[btf_map]
static SOCKETS: Storage = Storage {
    r#type: ptr::null(),
    key: ptr::null(),
    value: ptr::null(),
    max_entries: ptr::null(),
    map_flags: ptr::null(),
};

/// A state of [`Memory`] that is none of the kernel's: the socket was born, and its first transition
/// has still to be told.
pub(crate) const BORN: u32 = u32::MAX;

/// The memory of a socket, new if need be; `None` where the kernel has no room for it.
#[inline(always)]
pub(crate) fn of(sock: Sock, cookie: u64) -> Option<&'static mut Memory> {
    let memory = get(sock)?;
    if memory.cookie != cookie {
        if memory.state != BORN {
            inherit(memory);
            memory.since_ns = 0;
        }
        memory.cookie = cookie;
    }
    Some(memory)
}

/// The memory of a socket that a listener was just cloned into. Its cookie may still be that of the
/// listener (in 6.12 it is, in 6.18 not), and so may its addresses: what happens is told with the
/// next transition, some microseconds later.
#[inline(always)]
pub(crate) fn of_newborn(sock: Sock, now: u64) -> Option<()> {
    let memory = get(sock)?;
    inherit(memory);
    memory.cookie = 0;
    memory.since_ns = now;
    memory.state = BORN;
    Some(())
}

#[inline(always)]
fn get(sock: Sock) -> Option<&'static mut Memory> {
    // SAFETY: the map is one of socket storage; a value is zeroed when it is created.
    let memory = unsafe {
        bpf_sk_storage_get(
            ptr::from_ref(&SOCKETS).cast_mut().cast(),
            sock.as_ptr(),
            ptr::null_mut(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        )
    };
    // SAFETY: a value of the map, alive for as long as the program runs.
    unsafe { memory.cast::<Memory>().as_mut() }
}

/// What was copied from the listener is true of the listener.
#[inline(always)]
fn inherit(memory: &mut Memory) {
    if memory.owner.learnt != NOT_LEARNT {
        memory.owner.learnt = FROM_LISTENER;
    }
    memory.generation = 0;
}

/// The socket is opened anew: what was known of its earlier life is not true of this one.
#[inline(always)]
pub(crate) fn reopen(memory: &mut Memory) {
    memory.generation = memory.generation.wrapping_add(1);
    memory.owner = Owner::UNKNOWN;
}
