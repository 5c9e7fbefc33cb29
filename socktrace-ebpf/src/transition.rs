//! A TCP socket went from one state to another.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::{debug, warn};
use socktrace_common::{Owner, TRANSITION, Transition, UNKNOWN_NS};

use crate::kernel::Sock;
use crate::{memory, owner, record, ring};

const TCP_SYN_RECV: i32 = 3;
const TCP_CLOSE: i32 = 7;
const TCP_LISTEN: i32 = 10;
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
    // Listeners do not do this: the socket is a new one.
    if (old, new) == (TCP_LISTEN, TCP_SYN_RECV) && memory::of_newborn(sock, now).is_some() {
        return;
    }
    let cookie = sock.cookie();
    if !(1..TCP_MAX_STATES).contains(&old) || !(1..TCP_MAX_STATES).contains(&new) {
        warn!(ctx, "impossible: socket {:x} went from state {} to {}", cookie, old, new);
    }

    let mut this = Step { time_ns: now, held_ns: UNKNOWN_NS, old, new };
    let mut identity = Identity { cookie, generation: 0, owner: Owner::UNKNOWN };
    if let Some(memory) = memory::of(sock, cookie) {
        if old == TCP_CLOSE {
            memory::reopen(memory);
        }
        if memory.state == memory::BORN {
            identity.owner = memory.owner;
            let birth = Step {
                time_ns: memory.since_ns,
                held_ns: UNKNOWN_NS,
                old: TCP_LISTEN,
                new: TCP_SYN_RECV,
            };
            tell(ctx, sock, &identity, &birth);
            memory.state = TCP_SYN_RECV as u32;
        }
        if memory.since_ns != 0 {
            if memory.state == old as u32 {
                this.held_ns = now.wrapping_sub(memory.since_ns);
            } else {
                warn!(ctx, "impossible: socket {:x} left {}, was in {}", cookie, old, memory.state);
            }
        }
        memory.state = new as u32;
        memory.since_ns = now;
        owner::learn(sock, &mut memory.owner);
        identity.owner = memory.owner;
        identity.generation = memory.generation;
    } else {
        ring::no_storage();
        owner::learn(sock, &mut identity.owner);
        warn!(ctx, "no storage for socket {:x}", cookie);
    }
    tell(ctx, sock, &identity, &this);
}

/// What a socket did.
struct Step {
    time_ns: u64,
    held_ns: u64,
    old: i32,
    new: i32,
}

/// Which socket it was, and whose.
struct Identity {
    cookie: u64,
    generation: u32,
    owner: Owner,
}

#[inline(always)]
fn tell(ctx: &BtfTracePointContext, sock: Sock, identity: &Identity, step: &Step) {
    let Identity { cookie, generation, owner } = *identity;
    debug!(ctx, "socket {:x}: {} to {}", cookie, step.old, step.new);
    ring::deliver(ctx, |entry| {
        entry.write(Transition {
            header: record::header(TRANSITION, sock, step.time_ns, cookie, generation),
            flow: record::flow(sock),
            owner,
            traffic: record::traffic(sock),
            held_ns: step.held_ns,
            old: step.old as u8,
            new: step.new as u8,
            error: sock.error() as u16,
            reserved: 0,
        });
    });
}
