//! What the kernel half could not deliver, per CPU and cause: no event is lost without a number.

use std::fmt;

use socktrace_common::Tally;

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    RingFull,
    /// The kernel does not run a program on a CPU that is inside the same program already.
    Reentered,
    /// The events are there, but without owner and duration.
    NoStorage,
}

impl Cause {
    /// Whether events are missing, rather than incomplete.
    pub fn loses_events(self) -> bool {
        match self {
            Cause::RingFull | Cause::Reentered => true,
            Cause::NoStorage => false,
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
            Cause::NoStorage => write!(f, "{count} {events} without owner and duration")?,
        }
        if let Some(cpu) = cpu {
            write!(f, " on CPU {cpu}")?;
        }
        f.write_str(match cause {
            Cause::RingFull => ": the ring was full (--ring-size makes it larger)",
            Cause::Reentered => ": they interrupted an event that was being recorded",
            Cause::NoStorage => ": no memory for the socket",
        })
    }
}

/// The counts so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    pub(super) per_cpu: Vec<Tally>,
    pub(super) reentered: u64,
}

impl Losses {
    /// What was added since `before`.
    pub fn since<'a>(&'a self, before: &'a Losses) -> impl Iterator<Item = Loss> + 'a {
        let none = Tally { delivered: 0, ring_full: 0, no_storage: 0 };
        let per_cpu = self.per_cpu.iter().enumerate().flat_map(move |(cpu, now)| {
            let then = before.per_cpu.get(cpu).copied().unwrap_or(none);
            [
                (Cause::RingFull, now.ring_full - then.ring_full),
                (Cause::NoStorage, now.no_storage - then.no_storage),
            ]
            .map(|(cause, count)| Loss { cause, cpu: Some(cpu), count })
        });
        let reentered = self.reentered - before.reentered;
        per_cpu
            .chain([Loss { cause: Cause::Reentered, cpu: None, count: reentered }])
            .filter(|loss| loss.count > 0)
    }

    /// How many events are missing from the output.
    pub fn lost(&self) -> u64 {
        self.per_cpu.iter().map(|tally| tally.ring_full).sum::<u64>() + self.reentered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_by_cpu_and_cause_once() {
        let tally = |ring_full, no_storage| Tally { delivered: 9, ring_full, no_storage };
        let before = Losses { per_cpu: vec![tally(0, 0), tally(5, 0)], reentered: 0 };
        let now = Losses { per_cpu: vec![tally(0, 2), tally(6, 0)], reentered: 3 };
        let told: Vec<String> = now.since(&before).map(|loss| loss.to_string()).collect();
        assert_eq!(
            told,
            [
                "2 events without owner and duration on CPU 0: no memory for the socket",
                "lost 1 event on CPU 1: the ring was full (--ring-size makes it larger)",
                "lost 3 events: they interrupted an event that was being recorded",
            ]
        );
        assert_eq!(now.since(&now).count(), 0);
        assert_eq!(now.lost(), 9);
    }
}
