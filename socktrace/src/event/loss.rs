//! Events that are missing, or not complete.

use std::fmt;

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    RingFull,
    /// The kernel does not run a program on a CPU that is inside the same program already.
    Reentered,
    /// The events are there, but without what was before them.
    NoMemory,
}

impl Cause {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Cause::RingFull => "ring_full",
            Cause::Reentered => "reentered",
            Cause::NoMemory => "no_memory",
        }
    }
}

/// Some events of one cause, since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    pub cause: Cause,
    /// `None` where the kernel does not count by CPU.
    pub cpu: Option<usize>,
    pub count: u64,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { cause, cpu, count } = self;
        let events = if *count == 1 { "event" } else { "events" };
        match cause {
            Cause::RingFull | Cause::Reentered => write!(f, "lost {count} {events}")?,
            Cause::NoMemory => write!(f, "{count} {events} without owner or beginning")?,
        }
        if let Some(cpu) = cpu {
            write!(f, " on CPU {cpu}")?;
        }
        f.write_str(match cause {
            Cause::RingFull => ": the ring was full (--ring-size makes it larger)",
            Cause::Reentered => ": they interrupted an event that was being recorded",
            Cause::NoMemory => ": no memory for the socket",
        })
    }
}
