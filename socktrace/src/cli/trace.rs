//! The command lines of `trace`, `life` and `retrans`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser};

use crate::event::Family;
use crate::live::{Asked, LivePlan};
use crate::names::NameOptions;
use crate::render::event::{Format, Layout, TimeStyle};
use crate::trace::{LogLevel, RingSize};

/// Prints what happens to the TCP sockets of this host, as it happens: one line for each change of
/// state, each segment that is sent again and each reset.
#[derive(Debug, Parser)]
#[command(name = "socktrace trace", version, after_help = TRACE_HELP)]
struct Trace {
    #[command(flatten)]
    common: Common,

    /// Stop after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Prints one line for each TCP connection of this host, when it ends: whose it was, how long it
/// lasted, what it carried, and how and by whom it was ended.
#[derive(Debug, Parser)]
#[command(name = "socktrace life", version, after_help = LIFE_HELP)]
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

/// Prints the segments that the TCP sockets of this host send again, as they do.
#[derive(Debug, Parser)]
#[command(name = "socktrace retrans", version, after_help = RETRANS_HELP)]
struct Retrans {
    #[command(flatten)]
    common: Common,

    /// At the end, print how often each connection did, in place of each time; with =N, stop after
    /// so many times
    #[arg(short = 'c', long, value_name = "N", num_args = 0..=1, require_equals = true)]
    count: Option<Option<u64>>,
}

#[derive(Debug, Args)]
struct Common {
    /// Only sockets of IPv4
    #[arg(short = '4', long)]
    ipv4: bool,

    /// Only sockets of IPv6
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Addresses and ports as numbers, which they are anyway
    #[arg(short, long)]
    numeric: bool,

    /// Names of hosts and services in place of numbers
    #[arg(short, long, conflicts_with = "numeric")]
    resolve: bool,

    /// Only sockets of this network namespace
    #[arg(short = 'N', long = "net", value_name = "NETNS")]
    netns: Option<String>,

    /// One JSON object per line
    #[arg(short, long, alias = "json-lines")]
    json: bool,

    /// Times of day, or seconds since the start or since the line before
    #[arg(long, value_name = "STYLE", default_value = "wall")]
    time: TimeStyle,

    /// Stop after so long: 500ms, 5s, 2m, 1h; a bare number is in seconds
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Do not print the header
    #[arg(short = 'H', long)]
    no_header: bool,

    /// Memory for events that have not been read yet: a power of two, such as 8M
    #[arg(long, value_name = "SIZE")]
    ring_size: Option<RingSize>,

    /// Print what the eBPF programs log, up to this level
    #[arg(long, value_name = "LEVEL", default_value = "off", hide_default_value = true)]
    bpf_log: LogLevel,

    /// Print all that the kernel's verifier says of a program that it refuses
    #[arg(long)]
    verifier_log: bool,

    /// Which events: states and predicates, as for listings (socktrace man has them)
    #[arg(value_name = "FILTER")]
    words: Vec<OsString>,
}

macro_rules! help {
    ($columns:literal) => {
        concat!(
            $columns,
            "\n\n\
             Process is the owner of the socket: the process that was seen at work on it, when it \
             first was. An asterisk behind it says that it owns the listener that accepted the \
             socket; - that it is not known. Socket is the kernel's cookie, the sk: of `ss -e`; \
             a number behind it counts how often that socket was connected before.\n\n\
             Needs CAP_BPF and CAP_PERFMON. Exits with 0 when every event was printed, 1 after a \
             failure, 2 when this kernel or user cannot trace, 3 when events were lost, 255 when \
             the command line is wrong."
        )
    };
}

const TRACE_HELP: &str = help!(
    "Time is when it happened, Held how long the socket had been in the state it left. The kernel \
     does not tell the end of TIME-WAIT, nor how long a handshake takes that a listener answers."
);

const LIFE_HELP: &str = help!(
    "Time is when it ended. Sent and Received are bytes of payload; <= where some of them may not \
     have arrived. Connect is the time until a connection opened from here was answered. End says \
     how it ended and who closed or reset it, with the kernel's reason for a reset that it sent."
);

const RETRANS_HELP: &str = help!(
    "Kind is what was sent again, Phase what for: a timeout, a fast retransmission or a probe for \
     the last segments. Length is in bytes of payload, CA the state of the congestion control, RTO \
     the timeout, Retrans how often the socket has sent something again so far."
);

/// The command lines, for completions and the manual.
pub fn trace_command() -> clap::Command {
    Trace::command()
}

pub fn life_command() -> clap::Command {
    Life::command()
}

pub fn retrans_command() -> clap::Command {
    Retrans::command()
}

/// What the arguments behind `trace` ask for.
pub fn trace(args: &[OsString]) -> Result<LivePlan, clap::Error> {
    let Trace { common, count } = parse(args)?;
    Ok(common.plan(Layout::Trace, count))
}

/// What the arguments behind `life` ask for.
pub fn life(args: &[OsString]) -> Result<LivePlan, clap::Error> {
    let Life { common, count, shorter_than, longer_than, failed } = parse(args)?;
    let nanos = |time: Option<Duration>| time.map(|time| time.as_nanos() as u64);
    let mut plan = common.plan(Layout::Life, count);
    plan.filter.shorter_than = nanos(shorter_than);
    plan.filter.longer_than = nanos(longer_than);
    plan.filter.failed = failed;
    Ok(plan)
}

/// What the arguments behind `retrans` ask for.
pub fn retrans(args: &[OsString]) -> Result<LivePlan, clap::Error> {
    let Retrans { common, count } = parse(args)?;
    Ok(match count {
        Some(None) => common.plan(Layout::Counts, None),
        count => common.plan(Layout::Retransmissions, count.flatten()),
    })
}

fn parse<T: CommandFactory + FromArgMatches>(args: &[OsString]) -> Result<T, clap::Error> {
    let command = T::command();
    let name = OsString::from(command.get_name());
    T::from_arg_matches(&command.try_get_matches_from([&name].into_iter().chain(args))?)
}

impl Common {
    fn plan(self, layout: Layout, count: Option<u64>) -> LivePlan {
        LivePlan {
            layout,
            format: if self.json { Format::Json } else { Format::Columns },
            header: !self.no_header,
            time: self.time,
            names: self.resolve.then(|| NameOptions {
                numeric: false,
                resolve_hosts: true,
                proc_root: "/proc".into(),
            }),
            family: match (self.ipv4, self.ipv6) {
                (true, false) => Some(Family::Inet),
                (false, true) => Some(Family::Inet6),
                _ => None,
            },
            netns: self.netns,
            duration: self.duration,
            filter: Asked { words: self.words, ..Asked::default() },
            count,
            ring_size: self.ring_size.unwrap_or(RingSize::DEFAULT),
            bpf_log: self.bpf_log,
            verifier_log: self.verifier_log,
        }
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
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

    fn args(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
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
        let plan = trace(&args(
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
        assert_eq!(plan.netns.as_deref(), Some("blue"));
        assert_eq!(plan.time, TimeStyle::Delta);

        let plan = life(&args("--json -4")).unwrap();
        assert_eq!((plan.layout, plan.format), (Layout::Life, Format::Json));
        assert_eq!(plan.family, Some(Family::Inet));
        assert_eq!(plan.bpf_log, LogLevel::Off);
    }

    #[test]
    fn counting_is_not_stopping() {
        let of = |line| {
            let plan = retrans(&args(line)).unwrap();
            (plan.layout, plan.count)
        };
        assert_eq!(of(""), (Layout::Retransmissions, None));
        assert_eq!(of("--count"), (Layout::Counts, None));
        assert_eq!(of("-c --json"), (Layout::Counts, None));
        assert_eq!(of("--count=3"), (Layout::Retransmissions, Some(3)));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for line in ["--nonsense", "--count x", "--count -1", "--bpf-log loud", "-n -r"] {
            assert!(trace(&args(line)).is_err(), "{line}");
            assert!(life(&args(line)).is_err(), "{line}");
        }
    }
}
