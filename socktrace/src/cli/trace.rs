//! The command line of `socktrace trace`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use crate::live::LivePlan;
use crate::trace::{LogLevel, RingSize};

/// Prints what happens to the TCP sockets of this host, as it happens: one line for each change of
/// state and each segment that is sent again.
#[derive(Debug, Parser)]
#[command(name = "socktrace trace", version, after_help = AFTER_HELP)]
struct Typed {
    /// Stop after so long: 500ms, 5s, 2m, 1h; a bare number is in seconds
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Stop after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Do not print the header
    #[arg(short = 'H', long)]
    no_header: bool,

    /// Memory for events that have not been read yet: a power of two, such as 8M
    #[arg(long, value_name = "SIZE")]
    ring_size: Option<RingSize>,

    /// Print what the eBPF programs log, up to this level
    #[arg(long, value_name = "LEVEL", default_value = "off", hide_default_value = true)]
    bpf_log: LogLevel,
}

const AFTER_HELP: &str = "\
Process is the owner of the socket: the process that was seen at work on it, when it first was. An \
asterisk behind it says that it owns the listener that accepted the socket; - that it is not known.
Time is when it happened, Held how long the socket had been in the state it left, in milliseconds.

Needs CAP_BPF and CAP_PERFMON. Exits with 0 when every event was printed, 1 after a failure, 2 when \
this kernel or user cannot trace, 3 when events were lost, 255 when the command line is wrong.";

/// The command line, for completions and the manual.
pub fn command() -> clap::Command {
    Typed::command()
}

/// What the arguments behind `trace` ask for.
pub fn parse(args: &[OsString]) -> Result<LivePlan, clap::Error> {
    let name = OsString::from("socktrace trace");
    let typed = Typed::try_parse_from([&name].into_iter().chain(args))?;
    Ok(LivePlan {
        header: !typed.no_header,
        duration: typed.duration,
        count: typed.count,
        ring_size: typed.ring_size.unwrap_or(RingSize::DEFAULT),
        bpf_log: typed.bpf_log,
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "a time such as 500ms, 5s, 2m or 1h is wanted".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wanted())?;
    let seconds = match &text[digits..] {
        "" | "s" => number,
        "ms" => number / 1e3,
        "us" => number / 1e6,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wanted()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wanted())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<LivePlan, clap::Error> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [("5s", 5000), ("5", 5000), ("1.5s", 1500), ("20ms", 20), ("2m", 120_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "5 s", "5d", "-1", "1e3", "."] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_make_a_plan() {
        let typed = plan("--duration 5s --count 3 --ring-size 1M --bpf-log debug -H").unwrap();
        assert_eq!(
            typed,
            LivePlan {
                header: false,
                duration: Some(Duration::from_secs(5)),
                count: Some(3),
                ring_size: "1M".parse().unwrap(),
                bpf_log: LogLevel::Debug,
            }
        );
        assert_eq!(plan("").unwrap().bpf_log, LogLevel::Off);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for line in ["--nonsense", "--count x", "--count -1", "--bpf-log loud", "stray"] {
            assert!(plan(line).is_err(), "{line}");
        }
    }
}
