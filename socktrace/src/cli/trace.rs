//! The command line of `trace`.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use super::live::{self, Common, help};
use crate::live::LivePlan;
use crate::render::event::Layout;

/// Prints what happens to the TCP sockets of this host, as it happens: one line for each change of
/// state, each segment that is sent again and each reset.
#[derive(Debug, Parser)]
#[command(name = "socktrace trace", version, after_help = HELP)]
struct Trace {
    #[command(flatten)]
    common: Common,

    /// Stop after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

const HELP: &str = help!(
    "Time is when it happened, Held how long the socket had been in the state it left. The kernel \
     does not tell the end of TIME-WAIT, nor how long a handshake takes that a listener answers."
);

/// The command line, for completions and the manual.
pub fn command() -> clap::Command {
    Trace::command()
}

/// What the arguments behind `trace` ask for.
pub fn parse(args: &[OsString]) -> Result<LivePlan, clap::Error> {
    let Trace { common, count } = live::parse(args)?;
    Ok(common.plan(Layout::Trace, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::event::Family;
    use crate::render::event::{Format, TimeStyle};
    use crate::trace::LogLevel;

    fn args(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn options_make_a_plan() {
        let plan = parse(&args(
            "--duration 5s --count 3 --ring-size 1M --bpf-log debug -H -6 -N blue --time delta",
        ))
        .unwrap();
        assert!(!plan.header);
        assert_eq!(plan.layout, Layout::Trace);
        assert_eq!(plan.format, Format::Columns);
        assert_eq!(plan.duration, Some(Duration::from_secs(5)));
        assert_eq!(plan.count, Some(3));
        assert_eq!(plan.ring_size, "1M".parse().unwrap());
        assert_eq!(plan.bpf_log, LogLevel::Debug);
        assert_eq!(plan.family, Some(Family::Inet6));
        assert_eq!(plan.netns, Some("blue".into()));
        assert_eq!(plan.time, TimeStyle::Delta);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for line in ["--nonsense", "--count x", "--count -1", "--bpf-log loud", "-n -r"] {
            assert!(parse(&args(line)).is_err(), "{line}");
        }
    }
}
