//! The command line of `retrans`.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use super::live::{self, Common, help};
use crate::live::LivePlan;
use crate::render::event::Layout;

/// Prints the segments that the TCP sockets of this host send again, as they do.
#[derive(Debug, Parser)]
#[command(name = "socktrace retrans", version, after_help = HELP)]
struct Retrans {
    #[command(flatten)]
    common: Common,

    /// At the end, print how often each connection did, in place of each time; with =N, stop after
    /// so many times
    #[arg(short = 'c', long, value_name = "N", num_args = 0..=1, require_equals = true)]
    count: Option<Option<u64>>,
}

const HELP: &str = help!(
    "Kind is what was sent again, Phase what for: a timeout, a fast retransmission or a probe for \
     the last segments. Length is in bytes of payload, CA the state of the congestion control, RTO \
     the timeout, Retrans how often the socket has sent something again so far."
);

/// The command line, for completions and the manual.
pub fn command() -> clap::Command {
    Retrans::command()
}

/// What the arguments behind `retrans` ask for.
pub fn parse(args: &[OsString]) -> Result<LivePlan, clap::Error> {
    let Retrans { common, count } = live::parse(args)?;
    Ok(match count {
        Some(None) => common.plan(Layout::Counts, None),
        count => common.plan(Layout::Retransmissions, count.flatten()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_is_not_stopping() {
        let of = |line: &str| {
            let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let plan = parse(&args).unwrap();
            (plan.layout, plan.count)
        };
        assert_eq!(of(""), (Layout::Retransmissions, None));
        assert_eq!(of("--count"), (Layout::Counts, None));
        assert_eq!(of("-c --json"), (Layout::Counts, None));
        assert_eq!(of("--count=3"), (Layout::Retransmissions, Some(3)));
    }
}
