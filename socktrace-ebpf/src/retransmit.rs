//! A segment was sent again.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use socktrace_common::{Owner, RETRANSMISSION, Retransmission};

use crate::kernel::{Skb, Sock};
use crate::{memory, owner, record, ring};

#[btf_tracepoint(function = "tcp_retransmit_skb")]
pub(crate) fn retransmission(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the prototype of the tracepoint begins (sk, skb) on every kernel.
    let (sock, skb) = unsafe {
        (
            Sock::from_argument(ctx.arg::<*const c_void>(0)),
            Skb::from_argument(ctx.arg::<*const c_void>(1)),
        )
    };
    report(&ctx, sock, skb);
    0
}

#[inline(always)]
fn report(ctx: &BtfTracePointContext, sock: Sock, skb: Skb) {
    // SAFETY: it takes nothing.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let cookie = sock.cookie();
    let mut generation = 0;
    let mut owned_by = Owner::UNKNOWN;
    if let Some(memory) = memory::of(sock, cookie) {
        owner::learn(sock, &mut memory.owner);
        owned_by = memory.owner;
        generation = memory.generation;
    } else {
        ring::no_storage();
    }
    debug!(ctx, "socket {:x} retransmits", cookie);

    ring::deliver(ctx, |entry| {
        entry.write(Retransmission {
            header: record::header(RETRANSMISSION, sock, now, cookie, generation),
            flow: record::flow(sock),
            owner: owned_by,
            traffic: record::traffic(sock),
            sequence: skb.sequence(),
            end_sequence: skb.end_sequence(),
            state: u32::from(sock.state()),
            reserved: 0,
        });
    });
}
