//! One record per connection, at its end.
//!
//! Most transitions are left at once: how a connection came to its last state follows from that
//! state. What does not follow is remembered: when it was opened and established, and by whom.

use core::ffi::c_void;

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use socktrace_common::probe::Judgement;
use socktrace_common::{Header, LIFE, Life, Memory, NOT_LEARNT, flag};

use crate::kernel::{
    Sock, TCP_CLOSE, TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_LAST_ACK, TCP_LISTEN, TCP_SYN_RECV,
    TCP_SYN_SENT, now,
};
use crate::probe::{self, Program, Stage};
use crate::{listener, memory, owner, ring};

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
        if old == TCP_LISTEN {
            if sock.is_traced() {
                listener::close(sock);
                memory::forget(sock);
            }
        } else if old != TCP_CLOSE && sock.is_traced() {
            end(sock, old);
            memory::forget(sock);
        }
    } else if new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK {
        // Often the last thing that a process does to a socket.
        if sock.is_owned() {
            let memory = match memory::of(sock) {
                None => older(sock),
                known => known,
            };
            if let Some(memory) = memory {
                owner::learn(sock, &mut memory.owner);
            }
        }
    } else if old == TCP_CLOSE {
        if sock.is_traced() {
            open(sock, new);
        }
    } else if new == TCP_ESTABLISHED {
        // An accepted MPTCP connection is established at once. What is opened from both ends comes
        // from SYN-RECV as well, but is known.
        match memory::of(sock) {
            Some(memory) if old == TCP_SYN_SENT => {
                memory.since_ns = now();
                memory.state = TCP_ESTABLISHED as u32;
            }
            None if (old == TCP_SYN_RECV || old == TCP_LISTEN) && sock.is_traced() => accept(sock),
            _ => {}
        }
    }
}

#[inline(always)]
fn open(sock: Sock, new: i32) {
    // Listeners are remembered whatever the filter says: they lend their owners.
    if new != TCP_LISTEN && is_never_asked_for(sock) {
        return;
    }
    let Some(memory) = memory::create(sock) else { return };
    memory.opened_ns = now();
    memory.flags = if new == TCP_SYN_SENT { flag::ACTIVE } else { 0 };
    memory.state = new as u32;
    memory.stale_error = sock.error();
    owner::learn(sock, &mut memory.owner);
    if new == TCP_LISTEN {
        listener::open(sock, memory);
    }
}

#[inline(always)]
fn accept(sock: Sock) {
    if is_never_asked_for(sock) {
        return;
    }
    let Some(memory) = memory::create(sock) else { return };
    memory.opened_ns = now();
    memory.flags = flag::PASSIVE;
}

/// A memory for a socket that is older than the trace, and that the walk over those has not come to.
#[inline(always)]
fn older(sock: Sock) -> Option<&'static mut Memory> {
    if !sock.is_traced() || is_never_asked_for(sock) {
        return None;
    }
    memory::create(sock)
}

/// Whether what lasts of the socket is enough to tell that nobody will ask for its life; if so, it
/// will be at its end too.
#[inline(always)]
fn is_never_asked_for(sock: Sock) -> bool {
    let judgement = probe::judge(Program::Life, Stage::Opening, sock, &Memory::STRANGER, 0);
    judgement == Judgement::Never
}

#[inline(always)]
fn end(sock: Sock, old: i32) {
    let mut stranger;
    let memory = match memory::of(sock) {
        Some(memory) => memory,
        None => {
            stranger = Memory::STRANGER;
            if old == TCP_SYN_RECV {
                stranger.flags = flag::PASSIVE;
            }
            &mut stranger
        }
    };
    owner::learn(sock, &mut memory.owner);
    if memory.owner.learnt == NOT_LEARNT && memory.flags & flag::PASSIVE != 0 {
        listener::lend_owner(sock, memory);
    }
    if probe::judge(Program::Life, Stage::Ended, sock, memory, 0) != Judgement::Pass {
        return;
    }
    let Some(mut entry) = ring::reserve::<Life>() else { return };
    let life = entry.record();
    let tcp = sock.tcp();
    sock.describe(&mut life.socket, tcp);
    sock.traffic(tcp, &mut life.traffic);
    life.connection = tcp.map_or(0, |tcp| tcp.connection());
    owner::copy(&memory.owner, &mut life.owner);
    life.opened_ns = memory.opened_ns;
    life.connected_ns = memory.since_ns;
    life.reason = memory.reason;
    life.last = old as u8;
    life.reserved = 0;
    life.error = sock.new_error(memory);
    let subflow = if life.connection != 0 { flag::SUBFLOW } else { 0 };
    let flags = memory.flags | sock.flags_now() | subflow;
    life.header = Header { kind: LIFE, flags, time_ns: now() };
    entry.submit();
}
