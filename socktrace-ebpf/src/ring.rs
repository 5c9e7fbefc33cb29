//! Delivery: one ring for all CPUs, read on a timer, and a tally per CPU of what was lost.

use core::arch::asm;

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::RingBuf;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use socktrace_common::{Shared, Tally, WAKE_RECORDS};

/// The loader sets the size.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(1 << 23, 0);

#[btf_map]
static TALLY: PerCpuArray<Tally, 1> = PerCpuArray::new();

/// How full the ring may become, in bytes, before the reader is woken; set by the loader.
#[unsafe(no_mangle)]
static WAKE_AT: Global<u64> = Global::new(u64::MAX);

/// Adds one in a single instruction: an interrupt may do the same in between. (The atomics of Rust
/// do not exist for this target, and those of C want a kernel that can fetch the result, 5.12.)
macro_rules! count {
    ($field:ident) => {
        if let Some(tally) = TALLY.get_ptr_mut(0) {
            // SAFETY: a value of the map, aligned to 8 bytes.
            unsafe {
                asm!(
                    "lock *(u64 *)({counter} + 0) += {one}",
                    counter = in(reg) &raw mut (*tally).$field,
                    one = in(reg) 1u64,
                );
            }
        }
    };
}

/// A record where it lies in the ring.
#[must_use]
pub(crate) struct Entry<T: 'static>(RingBufEntry<T>);

/// Room for a record; `None`, and counted, if the ring is full.
#[inline(always)]
pub(crate) fn reserve<T: Shared>() -> Option<Entry<T>> {
    let Some(entry) = RECORDS.reserve::<T>(0) else {
        count!(ring_full);
        return None;
    };
    Some(Entry(entry))
}

impl<T: Shared> Entry<T> {
    /// The record, all of which is to be written: what it holds before is an older one.
    #[inline(always)]
    pub(crate) fn record(&mut self) -> &mut T {
        // SAFETY: records are valid whatever their bytes are.
        unsafe { &mut *self.0.as_mut_ptr() }
    }

    #[inline(always)]
    pub(crate) fn submit(self) {
        self.0.submit(wake_up::<T>());
    }
}

pub(crate) fn no_memory() {
    count!(no_memory);
}

/// A wake-up costs many times the record: the reader comes by itself, unless the ring fills.
#[inline(always)]
fn wake_up<T>() -> u64 {
    let filled = RECORDS.query(u64::from(BPF_RB_AVAIL_DATA));
    let beyond = filled.wrapping_sub(WAKE_AT.load());
    if beyond < WAKE_RECORDS * size_of::<T>() as u64 {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}
