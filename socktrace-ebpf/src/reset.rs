//! A connection was reset, by the peer or towards it.
//!
//! A reset that comes in is told before the socket closes; one that goes out often after it.

use core::ffi::c_void;

use aya_ebpf::Global;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use socktrace_common::probe::Judgement;
use socktrace_common::{Header, LATE_RESET, LateReset, Memory, Owner, RESET, Reset, flag};

use crate::kernel::{Sock, TCP_CLOSE, is_small, now};
use crate::probe::{self, Program, Stage};
use crate::skb::Skb;
use crate::{memory, owner, ring};

/// Whether each reset is told, rather than remembered for the end of the connection; set by the
/// loader.
#[unsafe(no_mangle)]
static TELL_RESETS: Global<u8> = Global::new(1);
/// Whether this kernel says why it sends a reset (Linux 6.10); set by the loader.
#[unsafe(no_mangle)]
static HAS_RESET_REASON: Global<u8> = Global::new(1);

#[btf_tracepoint(function = "tcp_receive_reset")]
pub(crate) fn reset_received(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the prototype of the tracepoint is (sk) on every kernel.
    let sock = unsafe { Sock::from_argument(ctx.arg::<*const c_void>(0)) };
    if !sock.is_traced() {
        return 0;
    }
    let mut stranger = Memory::STRANGER;
    let memory = memory::of(sock).unwrap_or(&mut stranger);
    memory.flags |= flag::RESET_RECEIVED;
    if TELL_RESETS.load() != 0 && is_asked_for(Program::ResetReceived, sock, memory) {
        tell(sock, memory, 0, false);
    }
    0
}

#[btf_tracepoint(function = "tcp_send_reset")]
pub(crate) fn reset_sent(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the prototype of the tracepoint begins (sk, skb) on every kernel, and either may be
    // NULL.
    let (sock, skb) =
        unsafe { (ctx.arg::<*const c_void>(0), Skb::from_argument(ctx.arg::<*const c_void>(1))) };
    let reason = if HAS_RESET_REASON.load() != 0 { ctx.arg::<u32>(2) } else { 0 };
    if sock.is_null() {
        if TELL_RESETS.load() != 0 && !skb.is_null() {
            tell_without_socket(skb, reason);
        }
        return 0;
    }
    // SAFETY: as above.
    let sock = unsafe { Sock::from_argument(sock) };
    let state = sock.state();
    if is_small(state) {
        if TELL_RESETS.load() != 0 && sock.is_asked_for() {
            tell_small(sock, state, reason);
        }
        return 0;
    }
    if !sock.is_traced() {
        return 0;
    }
    if let Some(memory) = memory::of(sock) {
        memory.flags |= flag::RESET_SENT;
        memory.reason = reason;
        owner::learn(sock, &mut memory.owner);
        if TELL_RESETS.load() != 0 && is_asked_for(Program::ResetSent, sock, memory) {
            tell(sock, memory, reason, true);
        }
        return 0;
    }
    let mut stranger = Memory::STRANGER;
    owner::learn(sock, &mut stranger.owner);
    if !is_asked_for(Program::ResetSent, sock, &stranger) {
        return 0;
    }
    if TELL_RESETS.load() != 0 {
        tell(sock, &stranger, reason, true);
    } else if i32::from(state) == TCP_CLOSE {
        tell_late(sock, reason);
    }
    0
}

/// A reset says something of the events before it, so its state does not decide.
#[inline(always)]
fn is_asked_for(program: Program, sock: Sock, memory: &Memory) -> bool {
    probe::judge(program, Stage::Loose, sock, memory, 0) == Judgement::Pass
}

/// Of a connection whose life was told already.
#[inline(always)]
fn tell_late(sock: Sock, reason: u32) {
    let Some(mut entry) = ring::reserve::<LateReset>() else { return };
    let record = entry.record();
    record.key = sock.address();
    record.reason = reason;
    record.reserved = 0;
    record.header = header(LATE_RESET, flag::RESET_SENT);
    entry.submit();
}

#[inline(always)]
fn tell(sock: Sock, memory: &Memory, reason: u32, sent: bool) {
    let Some(mut entry) = ring::reserve::<Reset>() else { return };
    let record = entry.record();
    sock.describe(&mut record.socket, sock.tcp());
    owner::copy(&memory.owner, &mut record.owner);
    finish(record, reason, sock.state(), sent);
    record.header = header(RESET, memory.flags);
    entry.submit();
}

/// Of a handshake or a socket in TIME-WAIT, which belongs to nobody.
#[inline(always)]
fn tell_small(sock: Sock, state: u8, reason: u32) {
    let Some(mut entry) = ring::reserve::<Reset>() else { return };
    let record = entry.record();
    sock.describe_small(&mut record.socket);
    record.owner = Owner::UNKNOWN;
    finish(record, reason, state, true);
    record.header = header(RESET, 0);
    entry.submit();
}

/// Of a segment that no socket wanted.
#[inline(always)]
fn tell_without_socket(skb: Skb, reason: u32) {
    let Some(mut entry) = ring::reserve::<Reset>() else { return };
    let record = entry.record();
    skb.describe_received(&mut record.socket);
    record.owner = Owner::UNKNOWN;
    finish(record, reason, 0, true);
    record.header = header(RESET, 0);
    entry.submit();
}

#[inline(always)]
fn finish(record: &mut Reset, reason: u32, state: u8, sent: bool) {
    record.reason = reason;
    record.state = state;
    record.sent = sent.into();
    record.reserved = 0;
}

#[inline(always)]
fn header(kind: u32, flags: u32) -> Header {
    Header { kind, flags, time_ns: now() }
}
