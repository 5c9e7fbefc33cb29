//! What the CPUs of the machine did, from /proc/stat.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Time of all CPUs together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Whatever was not idle.
    pub(super) busy: Duration,
    pub(super) softirq: Duration,
}

impl Machine {
    pub(super) fn now() -> Result<Machine> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat is empty")?;
        let ticks = line
            .split_whitespace()
            .skip(1)
            .map(str::parse)
            .collect::<Result<Vec<u64>, _>>()
            .context("/proc/stat is not made of numbers")?;
        let [user, nice, system, _idle, _iowait, irq, softirq, ..] = ticks[..] else {
            anyhow::bail!("/proc/stat has too few columns");
        };
        let per_second = rustix::param::clock_ticks_per_second();
        let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / per_second as f64);
        Ok(Machine { busy: time(user + nice + system + irq + softirq), softirq: time(softirq) })
    }

    pub(super) fn since(&self, before: &Machine) -> Machine {
        Machine { busy: self.busy - before.busy, softirq: self.softirq - before.softirq }
    }
}
