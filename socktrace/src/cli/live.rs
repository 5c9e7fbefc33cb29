//! What the command lines of `trace`, `life` and `retrans` have in common.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches};

use super::duration::duration;
use crate::event::Family;
use crate::live::{Asked, LivePlan};
use crate::names::NameOptions;
use crate::render::event::{Format, Layout, TimeStyle};
use crate::trace::{LogLevel, RingSize};

#[derive(Debug, Args)]
pub(super) struct Common {
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

    /// Only sockets of this network namespace: by its name, a PID, a file or a container
    #[arg(short = 'N', long, value_name = "NAME")]
    net: Option<OsString>,

    /// The container, pod or systemd unit of each owner
    #[arg(short = 'C', long)]
    container: bool,

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

/// What is said below the options: the columns, and what holds for all.
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
             failure, 2 when this kernel or user cannot trace, 3 when events were lost or are \
             incomplete, 255 when the command line is wrong."
        )
    };
}
pub(super) use help;

/// Reads the arguments behind the name of a command.
pub(super) fn parse<T: CommandFactory + FromArgMatches>(
    args: &[OsString],
) -> Result<T, clap::Error> {
    let command = T::command();
    let name = OsString::from(command.get_name());
    T::from_arg_matches(&command.try_get_matches_from([&name].into_iter().chain(args))?)
}

impl Common {
    pub(super) fn plan(self, layout: Layout, count: Option<u64>) -> LivePlan {
        LivePlan {
            layout,
            format: if self.json { Format::Json } else { Format::Columns },
            header: !self.no_header,
            time: self.time,
            container: self.container,
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
            netns: self.net,
            duration: self.duration,
            filter: Asked { words: self.words, ..Asked::default() },
            count,
            ring_size: self.ring_size.unwrap_or(RingSize::DEFAULT),
            bpf_log: self.bpf_log,
            verifier_log: self.verifier_log,
        }
    }
}
