//! Events from the kernel: loads the programs, attaches them, reads their records.
//!
//! The programs and all that belongs to them end with the [`Tracer`], or with the process, however
//! it ends: nothing is pinned. This module does not know how an event is shown.

mod allowance;
mod bpf_log;
mod decode;
mod generations;
mod kernel_types;
mod load;
mod losses;
mod object;
mod plan;
mod refusal;
mod seed;

pub use bpf_log::{BpfLog, LogLevel};
#[cfg(fuzzing)]
pub(crate) use decode::Decoder;
pub use decode::Record;
#[cfg(fuzzing)]
pub(crate) use generations::Generations;
pub use load::Tracer;
pub use losses::Losses;
pub use plan::{RingSize, TracePlan, Wanted};
pub use refusal::{Refusal, maps_are_locked_memory};
pub use seed::Seeding;
