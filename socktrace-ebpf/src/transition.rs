//! A TCP socket went from one state to another: a record for each.

use core::ffi::c_void;

use aya_ebpf::Global;
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::{debug, warn};
use socktrace_common::{
    CLOSING, Closing, Header, Memory, TRANSITION, Transition, UNKNOWN_NS, flag,
};

use crate::kernel::{
    Sock, TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT, Tcp,
};
use crate::{memory, owner, ring};

/// Whether transitions are told, rather than only remembered for other events; set by the loader.
#[unsafe(no_mangle)]
static TELL_TRANSITIONS: Global<u8> = Global::new(1);

#[btf_tracepoint(function = "inet_sock_set_state")]
pub(crate) fn transition(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the prototype of the tracepoint begins (sk, oldstate, newstate) on every kernel.
    let sock = unsafe { Sock::from_argument(ctx.arg::<*const c_void>(0)) };
    let (old, new) = (ctx.arg::<i32>(1), ctx.arg::<i32>(2));
    // Some are told twice, and MPTCP closes what is closed: nothing happened.
    if old != new && sock.is_traced() {
        step(&ctx, sock, old, new);
    }
    0
}

#[inline(always)]
fn step(ctx: &BtfTracePointContext, sock: Sock, old: i32, new: i32) {
    // SAFETY: it takes nothing.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let key = sock.key();
    if old == TCP_LISTEN && new == TCP_SYN_RECV {
        // Its cookie may still be that of the listener (in 6.12 it is, in 6.18 not), and so may its
        // addresses: this is told with the next transition, some microseconds later.
        memory::accept(sock, now, new, flag::PASSIVE | flag::BORN);
        return;
    }
    if old == TCP_LISTEN && new == TCP_ESTABLISHED {
        // An accepted MPTCP connection.
        memory::accept(sock, now, new, flag::PASSIVE);
    } else if old == TCP_CLOSE {
        memory::open(sock, now, new, if new == TCP_SYN_SENT { flag::ACTIVE } else { 0 });
    } else if memory::of(key).is_none() {
        memory::seed(key, &Memory { state: old as u32, ..Memory::STRANGER });
    }

    let mut stranger = Memory::STRANGER;
    let memory = memory::of(key).unwrap_or(&mut stranger);
    owner::learn(sock, &mut memory.owner);
    if TELL_TRANSITIONS.load() != 0 {
        debug!(ctx, "socket {:x}: {} to {}", sock.cookie(), old, new);
        if memory.since_ns != 0 && memory.state != old as u32 && memory.state != new as u32 {
            warn!(ctx, "impossible: left {}, was in {}", old, memory.state);
        }
        let step = Step { now, old, new };
        if new == TCP_CLOSE {
            ring::deliver::<Closing>(|record| {
                let tcp = sock.tcp();
                step.tell(sock, tcp, memory, CLOSING, &mut record.transition);
                sock.traffic(tcp, &mut record.traffic);
            });
        } else {
            ring::deliver::<Transition>(|record| {
                step.tell(sock, sock.tcp(), memory, TRANSITION, record);
            });
        }
    }
    if new == TCP_CLOSE {
        memory::forget(key);
    } else {
        memory.flags &= !flag::BORN;
        memory.state = new as u32;
        memory.since_ns = now;
    }
}

/// What a socket did.
struct Step {
    now: u64,
    old: i32,
    new: i32,
}

impl Step {
    #[inline(always)]
    fn tell(self, sock: Sock, tcp: Option<Tcp>, memory: &Memory, kind: u32, to: &mut Transition) {
        if self.old == TCP_CLOSE {
            sock.describe_opening(&mut to.socket);
        } else {
            sock.describe(&mut to.socket, tcp);
        }
        to.owner = memory.owner;
        let has_begun = memory.since_ns != 0 && memory.state == self.old as u32;
        to.held_ns = if has_begun { self.now.wrapping_sub(memory.since_ns) } else { UNKNOWN_NS };
        to.born_ns = if memory.flags & flag::BORN != 0 { memory.opened_ns } else { 0 };
        to.connection = tcp.map_or(0, |tcp| tcp.connection());
        to.old = self.old as u8;
        to.new = self.new as u8;
        to.error = memory::error(sock, memory);
        to.reserved = 0;
        let subflow = if to.connection != 0 { flag::SUBFLOW } else { 0 };
        let flags = memory.flags | memory::flags_now(sock) | subflow;
        to.header = Header { kind, flags, time_ns: self.now };
    }
}
