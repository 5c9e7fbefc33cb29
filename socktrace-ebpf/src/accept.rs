//! A process accepted a connection: where the kernel lets functions be traced, it tells whose the
//! connection is before anything else does.

use core::ffi::c_void;

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use aya_ebpf::{EbpfContext, Global};
use socktrace_common::{ACCEPTOR, OWN_EVENT};

use crate::kernel::Sock;
use crate::{memory, task};

/// How many arguments inet_csk_accept has: four before Linux 6.10, two since; set by the loader.
#[unsafe(no_mangle)]
static ACCEPT_ARGUMENTS: Global<u8> = Global::new(2);

#[fexit(function = "inet_csk_accept")]
pub(crate) fn accepted(ctx: FExitContext) -> i32 {
    // What the function returned lies behind its arguments.
    let slots: *const *const c_void = ctx.as_ptr().cast_const().cast();
    // SAFETY: the context of a program at the exit of a function; the loader counted its arguments.
    let sock = unsafe {
        if ACCEPT_ARGUMENTS.load() == 2 { slots.add(2).read() } else { slots.add(4).read() }
    };
    if sock.is_null() {
        return 0;
    }
    // SAFETY: the function returns a `struct sock *`.
    let sock = unsafe { Sock::from_argument(sock) };
    if let Some(memory) = memory::of(sock)
        && memory.owner.learnt != OWN_EVENT
    {
        task::current(&mut memory.owner, ACCEPTOR);
    }
    0
}
