//! A TCP socket went from one state to another.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::{debug, warn};
use socktrace_common::{Owner, TRANSITION, Transition, UNKNOWN_NS};

use crate::kernel::Sock;
use crate::{memory, owner, record, ring};

const TCP_CLOSE: i32 = 7;
const TCP_MAX_STATES: i32 = 14;

#[btf_tracepoint(function = "inet_sock_set_state")]
pub(crate) fn transition(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the prototype of the tracepoint begins (sk, oldstate, newstate) on every kernel.
    let sock = unsafe { Sock::from_argument(ctx.arg::<*const c_void>(0)) };
    let (old, new) = (ctx.arg::<i32>(1), ctx.arg::<i32>(2));
    // Some are told twice, and MPTCP closes what is closed: nothing happened.
    if old != new && record::is_traced(sock) {
        report(&ctx, sock, old, new);
    }
    0
}

#[inline(always)]
fn report(ctx: &BtfTracePointContext, sock: Sock, old: i32, new: i32) {
    // SAFETY: it takes nothing.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let cookie = sock.cookie();
    if !(1..TCP_MAX_STATES).contains(&old) || !(1..TCP_MAX_STATES).contains(&new) {
        warn!(ctx, "impossible: socket {:x} went from state {} to {}", cookie, old, new);
    }

    let mut held_ns = UNKNOWN_NS;
    let mut generation = 0;
    let mut owned_by = Owner::UNKNOWN;
    if let Some(memory) = memory::of(sock, cookie) {
        if old == TCP_CLOSE {
            memory::reopen(memory);
        }
        if memory.since_ns != 0 {
            if memory.state == old as u32 {
                held_ns = now.wrapping_sub(memory.since_ns);
            } else {
                warn!(ctx, "impossible: socket {:x} left {}, was in {}", cookie, old, memory.state);
            }
        }
        memory.state = new as u32;
        memory.since_ns = now;
        owner::learn(sock, &mut memory.owner);
        owned_by = memory.owner;
        generation = memory.generation;
    } else {
        ring::no_storage();
        owner::learn(sock, &mut owned_by);
        warn!(ctx, "no storage for socket {:x}", cookie);
    }
    debug!(ctx, "socket {:x}: {} to {}", cookie, old, new);

    ring::deliver(ctx, |entry| {
        entry.write(Transition {
            header: record::header(TRANSITION, sock, now, cookie, generation),
            flow: record::flow(sock),
            owner: owned_by,
            traffic: record::traffic(sock),
            held_ns,
            old: old as u8,
            new: new as u8,
            error: sock.error() as u16,
            reserved: 0,
        });
    });
}
