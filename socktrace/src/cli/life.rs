//! The command line of `life`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::duration::duration;
use super::live::{self, Common, help};
use crate::live::LivePlan;
use crate::render::event::Layout;

/// Prints one line for each TCP connection of this host, when it ends: whose it was, how long it
/// lasted, what it carried, and how and by whom it was ended.
#[derive(Debug, Parser)]
#[command(name = "socktrace life", version, after_help = HELP)]
struct Life {
    #[command(flatten)]
    common: Common,

    /// Stop after so many connections
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Only connections that were shorter, such as 50ms
    #[arg(long, value_name = "TIME", value_parser = duration)]
    shorter_than: Option<Duration>,

    /// Only connections that were longer
    #[arg(long, value_name = "TIME", value_parser = duration)]
    longer_than: Option<Duration>,

    /// Only connections that ended by a reset, a refusal, a timeout or for want of a way
    #[arg(long)]
    failed: bool,
}

const HELP: &str = help!(
    "Time is when it ended. Sent and Received are bytes of payload; <= where some of them may not \
     have arrived. Connect is the time until a connection opened from here was answered. End says \
     how it ended and who closed or reset it, with the kernel's reason for a reset that it sent."
);

/// The command line, for completions and the manual.
pub fn command() -> clap::Command {
    Life::command()
}

/// What the arguments behind `life` ask for.
pub fn parse(args: &[OsString]) -> Result<LivePlan, clap::Error> {
    let Life { common, count, shorter_than, longer_than, failed } = live::parse(args)?;
    let nanos = |time: Option<Duration>| time.map(|time| time.as_nanos() as u64);
    let mut plan = common.plan(Layout::Life, count);
    plan.filter.shorter_than = nanos(shorter_than);
    plan.filter.longer_than = nanos(longer_than);
    plan.filter.failed = failed;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::event::Family;
    use crate::render::event::Format;
    use crate::trace::LogLevel;

    #[test]
    fn options_make_a_plan() {
        let plan = parse(&["--json", "-4", "--failed"].map(OsString::from)).unwrap();
        assert_eq!((plan.layout, plan.format), (Layout::Life, Format::Json));
        assert_eq!(plan.family, Some(Family::Inet));
        assert_eq!(plan.bpf_log, LogLevel::Off);
        assert!(plan.filter.failed);
    }
}
