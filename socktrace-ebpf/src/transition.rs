//! A TCP socket went from one state to another: a record for each.

use core::ffi::c_void;

use aya_ebpf::Global;
use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::{btf_map, btf_tracepoint};
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use socktrace_common::probe::Judgement;
use socktrace_common::{
    CLOSING, Closing, Header, Memory, NOT_LEARNT, TRANSITION, Transition, UNKNOWN_NS, flag,
};

use crate::kernel::{
    Sock, TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT, TCP_TIME_WAIT, Tcp,
    now,
};
use crate::probe::{self, Program, Stage};
use crate::{listener, memory, owner, ring};

/// Whether transitions are told, rather than only remembered for other events; set by the loader.
#[unsafe(no_mangle)]
static TELL_TRANSITIONS: Global<u8> = Global::new(1);

/// A socket that was cloned from a listener.
#[repr(C)]
struct Newborn {
    address: u64,
    born_ns: u64,
}

/// The last one of each CPU: what follows its birth follows in the same softirq.
#[btf_map]
static NEWBORN: PerCpuArray<Newborn, 1> = PerCpuArray::new();

#[inline(always)]
fn newborn() -> Option<&'static mut Newborn> {
    // SAFETY: a value of the map, of this CPU.
    NEWBORN.get_ptr_mut(0).and_then(|newborn| unsafe { newborn.as_mut() })
}

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
    let now = now();
    if old == TCP_LISTEN && new == TCP_SYN_RECV {
        // Its cookie may still be that of the listener (in 6.12 it is, in 6.18 not), and so may its
        // addresses: this is told with the next transition, some microseconds later.
        if let Some(newborn) = newborn() {
            *newborn = Newborn { address: sock.address(), born_ns: now };
        }
        return;
    }
    let mut born_ns = 0;
    let known = if old == TCP_CLOSE { None } else { memory::of(sock) };
    let known = match known {
        Some(memory) => Some(memory),
        None => match memory::create(sock) {
            Some(memory) => {
                begin(sock, memory, old, new, now, &mut born_ns);
                Some(memory)
            }
            None => None,
        },
    };
    let mut stranger;
    let memory = match known {
        Some(memory) => memory,
        None => {
            stranger = Memory::STRANGER;
            &mut stranger
        }
    };
    owner::learn(sock, &mut memory.owner);
    if new == TCP_LISTEN {
        listener::open(sock, memory);
    } else if old == TCP_LISTEN && new == TCP_CLOSE {
        listener::close(sock);
    }
    if TELL_TRANSITIONS.load() != 0 && is_asked_for(sock, memory, old, new, born_ns) {
        debug!(ctx, "socket {:x}: {} to {}", sock.cookie(), old, new);
        let step = Step { now, born_ns, old, new };
        if new == TCP_CLOSE {
            if let Some(mut entry) = ring::reserve::<Closing>() {
                let record = entry.record();
                let tcp = sock.tcp();
                step.tell(sock, tcp, memory, CLOSING, &mut record.transition);
                sock.traffic(tcp, &mut record.traffic);
                entry.submit();
            }
        } else if let Some(mut entry) = ring::reserve::<Transition>() {
            step.tell(sock, sock.tcp(), memory, TRANSITION, entry.record());
            entry.submit();
        }
    }
    if new == TCP_CLOSE {
        memory::forget(sock);
    } else {
        memory.state = new as u32;
        memory.since_ns = now;
    }
}

/// The first event of a socket.
#[inline(always)]
fn begin(sock: Sock, memory: &mut Memory, old: i32, new: i32, now: u64, born_ns: &mut u64) {
    if old == TCP_CLOSE {
        memory.opened_ns = now;
        memory.flags = if new == TCP_SYN_SENT { flag::ACTIVE } else { 0 };
        memory.stale_error = sock.error();
    } else if old == TCP_SYN_RECV || old == TCP_LISTEN && new == TCP_ESTABLISHED {
        // An accepted MPTCP connection is established at once.
        memory.opened_ns = now;
        memory.flags = flag::PASSIVE;
        if old == TCP_SYN_RECV
            && let Some(newborn) = newborn()
        {
            *born_ns = if newborn.address == sock.address() { newborn.born_ns } else { now };
        }
        if memory.owner.learnt == NOT_LEARNT {
            listener::lend_owner(sock, memory);
        }
    }
}

#[inline(always)]
fn is_asked_for(sock: Sock, memory: &Memory, old: i32, new: i32, born_ns: u64) -> bool {
    let mut states = probe::bit(new);
    if new == TCP_CLOSE {
        // It may turn out to be the beginning of TIME-WAIT.
        states |= probe::bit(TCP_TIME_WAIT);
    }
    if born_ns != 0 {
        // Its birth is told as well.
        states |= probe::bit(TCP_SYN_RECV);
    }
    if old == TCP_SYN_SENT {
        // This tells the local port of the event before it.
        states = 0;
    }
    probe::judge(Program::Transition, Stage::Told, sock, memory, states) == Judgement::Pass
}

/// What a socket did.
struct Step {
    now: u64,
    born_ns: u64,
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
        owner::copy(&memory.owner, &mut to.owner);
        let has_begun = memory.since_ns != 0 && memory.state == self.old as u32;
        to.held_ns = if has_begun { self.now.wrapping_sub(memory.since_ns) } else { UNKNOWN_NS };
        to.born_ns = self.born_ns;
        to.connection = tcp.map_or(0, |tcp| tcp.connection());
        to.old = self.old as u8;
        to.new = self.new as u8;
        to.error = sock.new_error(memory);
        to.reserved = 0;
        let subflow = if to.connection != 0 { flag::SUBFLOW } else { 0 };
        let flags = memory.flags | sock.flags_now() | subflow;
        to.header = Header { kind, flags, time_ns: self.now };
    }
}
