//! A segment was sent again.

use core::ffi::c_void;

use aya_ebpf::Global;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use socktrace_common::probe::Judgement;
use socktrace_common::{Header, Memory, RETRANSMISSION, Retransmission, SEGMENT, SYN_ACK};

use crate::kernel::{Request, Sock, TCP_SYN_RECV, now};
use crate::probe::{self, Program, Stage};
use crate::skb::Skb;
use crate::{memory, owner, ring};

/// Whether this kernel also tells of what it could not send (Linux 6.17); set by the loader.
#[unsafe(no_mangle)]
static HAS_RETRANSMIT_ERROR: Global<u8> = Global::new(1);

const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const EHOSTUNREACH: i32 = 113;

#[btf_tracepoint(function = "tcp_retransmit_skb")]
pub(crate) fn retransmission(ctx: BtfTracePointContext) -> i32 {
    if HAS_RETRANSMIT_ERROR.load() != 0 && is_not_tried(-ctx.arg::<i32>(2)) {
        return 0;
    }
    // SAFETY: the prototype of the tracepoint begins (sk, skb) on every kernel.
    let (sock, skb) = unsafe {
        (
            Sock::from_argument(ctx.arg::<*const c_void>(0)),
            Skb::from_argument(ctx.arg::<*const c_void>(1)),
        )
    };
    if sock.is_traced() {
        debug!(&ctx, "socket {:x} retransmits", sock.cookie());
        segment(sock, skb);
    }
    0
}

/// Whether it is for this that the kernel gives up before it counts a retransmission. What fails
/// later, in a firewall, say, has been counted, and is lost as it would be on the way.
#[inline(always)]
fn is_not_tried(error: i32) -> bool {
    matches!(error, EAGAIN | ENOMEM | EBUSY | EINVAL | EHOSTUNREACH)
}

#[inline(always)]
fn segment(sock: Sock, skb: Skb) {
    let mut stranger = Memory::STRANGER;
    let memory = memory::of(sock).unwrap_or(&mut stranger);
    owner::learn(sock, &mut memory.owner);
    let states = probe::bit(sock.state().into());
    let judgement = probe::judge(Program::Retransmission, Stage::Told, sock, memory, states);
    if judgement != Judgement::Pass {
        return;
    }
    let Some(mut entry) = ring::reserve::<Retransmission>() else { return };
    let record = entry.record();
    let tcp = sock.tcp();
    sock.describe(&mut record.socket, tcp);
    owner::copy(&memory.owner, &mut record.owner);
    record.sequence = skb.sequence();
    record.length = skb.length();
    record.total = tcp.map_or(0, |tcp| tcp.total_retrans());
    record.rto_ticks = tcp.map_or(0, |tcp| tcp.rto_ticks());
    record.segments = skb.segments();
    record.congestion = tcp.map_or(0, |tcp| tcp.congestion_state() as u8);
    record.state = sock.state();
    record.resent = SEGMENT;
    record.reserved = [0; 3];
    record.header = header(memory.flags);
    entry.submit();
}

#[btf_tracepoint(function = "tcp_retransmit_synack")]
pub(crate) fn synack(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the prototype of the tracepoint is (sk, req) on every kernel.
    let (listener, request) = unsafe {
        (
            Sock::from_argument(ctx.arg::<*const c_void>(0)),
            Request::from_argument(ctx.arg::<*const c_void>(1)),
        )
    };
    if listener.is_traced() {
        debug!(&ctx, "socket {:x} retransmits SYN-ACK", listener.cookie());
        handshake(listener, request);
    }
    0
}

/// The handshake has no socket of its own yet, and belongs to whom the listener belongs to.
#[inline(always)]
fn handshake(listener: Sock, request: Request) {
    let mut stranger = Memory::STRANGER;
    let memory = memory::of(listener).unwrap_or(&mut stranger);
    let (sock, states) = (request.as_sock(), probe::bit(TCP_SYN_RECV));
    if probe::judge_small(Program::SynAck, sock, &memory.owner, states) != Judgement::Pass {
        return;
    }
    let Some(mut entry) = ring::reserve::<Retransmission>() else { return };
    let record = entry.record();
    sock.describe_small(&mut record.socket);
    owner::copy(&memory.owner, &mut record.owner);
    record.sequence = request.sequence();
    record.length = 0;
    // The kernel counts it afterwards.
    record.total = request.retransmits() + 1;
    record.rto_ticks = 0;
    record.segments = 1;
    record.congestion = 0;
    record.state = TCP_SYN_RECV as u8;
    record.resent = SYN_ACK;
    record.reserved = [0; 3];
    record.header = header(0);
    entry.submit();
}

#[inline(always)]
fn header(flags: u32) -> Header {
    Header { kind: RETRANSMISSION, flags, time_ns: now() }
}
