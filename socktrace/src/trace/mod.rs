//! Events from the kernel: loads the programs, attaches them, reads their records.
//!
//! The programs and all that belongs to them end with the [`Tracer`], or with the process, however
//! it ends: nothing is pinned. This module does not know how an event is shown.

mod bpf_log;
mod decode;
mod load;
mod losses;
mod refusal;

pub use bpf_log::{BpfLog, LogLevel};
pub use load::{RingSize, Tracer};
pub use losses::{Cause, Loss, Losses};
pub use refusal::{Refusal, maps_are_locked_memory};
