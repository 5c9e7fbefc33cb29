//! What the kernel half could not deliver, per CPU and cause: no event is lost without a number.

use socktrace_common::Tally;

use crate::event::{Cause, Loss};

/// The counts so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    pub(super) per_cpu: Vec<Tally>,
    pub(super) reentered: u64,
}

impl Losses {
    /// What was added since `before`.
    pub fn since<'a>(&'a self, before: &'a Losses) -> impl Iterator<Item = Loss> + 'a {
        let none = Tally { ring_full: 0, no_memory: 0 };
        let per_cpu = self.per_cpu.iter().enumerate().flat_map(move |(cpu, now)| {
            let then = before.per_cpu.get(cpu).copied().unwrap_or(none);
            [
                (Cause::RingFull, now.ring_full - then.ring_full),
                (Cause::NoMemory, now.no_memory - then.no_memory),
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

    /// How many events are in the output without what was before them.
    pub fn incomplete(&self) -> u64 {
        self.per_cpu.iter().map(|tally| tally.no_memory).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_by_cpu_and_cause_once() {
        let tally = |ring_full, no_memory| Tally { ring_full, no_memory };
        let before = Losses { per_cpu: vec![tally(0, 0), tally(5, 0)], reentered: 0 };
        let now = Losses { per_cpu: vec![tally(0, 2), tally(6, 0)], reentered: 3 };
        let told: Vec<String> = now.since(&before).map(|loss| loss.to_string()).collect();
        assert_eq!(
            told,
            [
                "2 events without owner or beginning on CPU 0: no memory for the socket",
                "lost 1 event on CPU 1: the ring was full (--ring-size makes it larger)",
                "lost 3 events: they interrupted an event that was being recorded",
            ]
        );
        assert_eq!(now.since(&now).count(), 0);
        assert_eq!((now.lost(), now.incomplete()), (9, 2));
    }
}
