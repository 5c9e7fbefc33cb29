//! One record per connection, at its end.
//!
//! Most transitions are left at once: how a connection came to its last state follows from that
//! state. What does not follow is remembered: when it was opened and established, and by whom.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use socktrace_common::{Header, LIFE, Life, Memory, flag};

use crate::kernel::{
    Sock, TCP_CLOSE, TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_LAST_ACK, TCP_LISTEN, TCP_SYN_RECV,
    TCP_SYN_SENT,
};
use crate::{memory, owner, ring};

#[btf_tracepoint(function = "inet_sock_set_state")]
pub(crate) fn life(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the prototype of the tracepoint begins (sk, oldstate, newstate) on every kernel.
    let sock = unsafe { Sock::from_argument(ctx.arg::<*const c_void>(0)) };
    step(sock, ctx.arg::<i32>(1), ctx.arg::<i32>(2));
    0
}

#[inline(always)]
fn step(sock: Sock, old: i32, new: i32) {
    if new == TCP_CLOSE {
        if old != TCP_CLOSE && sock.is_traced() {
            if old != TCP_LISTEN {
                end(sock, old);
            }
            memory::forget(sock.key());
        }
    } else if new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK {
        // Often the last thing that a process does to a socket.
        if sock.is_owned()
            && let Some(memory) = memory::of(sock.key())
        {
            owner::learn(sock, &mut memory.owner);
        }
    } else if old == TCP_CLOSE {
        if sock.is_traced() {
            let flags = if new == TCP_SYN_SENT { flag::ACTIVE } else { 0 };
            memory::open(sock, now(), new, flags);
        }
    } else if old == TCP_LISTEN {
        // An accepted MPTCP connection is established at once.
        if (new == TCP_SYN_RECV || new == TCP_ESTABLISHED) && sock.is_traced() {
            memory::accept(sock, now(), new, flag::PASSIVE);
        }
    } else if old == TCP_SYN_SENT
        && new == TCP_ESTABLISHED
        && let Some(memory) = memory::of(sock.key())
    {
        memory.since_ns = now();
        memory.state = TCP_ESTABLISHED as u32;
    }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: it takes nothing.
    unsafe { bpf_ktime_get_boot_ns() }
}

#[inline(always)]
fn end(sock: Sock, old: i32) {
    let mut stranger = Memory::STRANGER;
    let memory = memory::of(sock.key()).unwrap_or(&mut stranger);
    owner::learn(sock, &mut memory.owner);
    ring::deliver::<Life>(|life| {
        let tcp = sock.tcp();
        sock.describe(&mut life.socket, tcp);
        sock.traffic(tcp, &mut life.traffic);
        life.connection = tcp.map_or(0, |tcp| tcp.connection());
        life.owner = memory.owner;
        life.opened_ns = memory.opened_ns;
        life.connected_ns =
            if memory.state == TCP_ESTABLISHED as u32 { memory.since_ns } else { 0 };
        life.reason = memory.reason;
        life.last = old as u8;
        life.reserved = 0;
        life.error = memory::error(sock, memory);
        let subflow = if life.connection != 0 { flag::SUBFLOW } else { 0 };
        life.header = Header {
            kind: LIFE,
            flags: memory.flags | memory::flags_now(sock) | subflow,
            time_ns: now(),
        };
    });
}
