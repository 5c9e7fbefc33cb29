//! The command line of `socktrace listen`.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use super::options::Flag;
use super::plan::{Plan, PlanError, View};

/// Prints who listens where: one line per service, TCP and UDP.
#[derive(Debug, Parser)]
#[command(name = "socktrace listen", version, after_help = AFTER_HELP)]
struct Arguments {
    /// Ports only, without the names of services
    #[arg(short, long)]
    numeric: bool,
    /// Names of hosts in place of their addresses
    #[arg(short, long)]
    resolve: bool,
    /// TCP only (with MPTCP)
    #[arg(short, long)]
    tcp: bool,
    /// UDP only
    #[arg(short, long)]
    udp: bool,
    /// IPv4 only
    #[arg(short = '4', long)]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Do not print the header
    #[arg(short = 'H', long)]
    no_header: bool,
    /// Print a JSON array (docs/schema.md)
    #[arg(short, long)]
    json: bool,
    /// Print a JSON object per line
    #[arg(long)]
    json_lines: bool,
    /// Those of all network namespaces
    #[arg(short = 'G', long)]
    all_netns: bool,
    /// Those of a network namespace, by its name, a PID, a file or a container
    #[arg(short = 'N', long, value_name = "NAME")]
    net: Option<OsString>,
    /// Again and again: redrawn on a terminal, with what changed marked
    #[arg(long, value_name = "TIME")]
    watch: Option<OsString>,
    /// A filter, as for listings
    #[arg(value_name = "FILTER")]
    words: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Reach is how far the address lets others come, before any firewall: loopback, one address, one \
interface, or any address of v4, v6 or v4+v6 (an IPv6 socket that takes IPv4 too).
Queue is how many connections wait for accept(), and how many may; for UDP, bytes that nobody has \
read. Sockets is how many share the address. An IPv6 socket without v6only takes IPv4 only where no \
other is bound to it.";

/// The command line as clap knows it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// What the arguments behind `listen` ask for.
pub fn parse(args: &[OsString]) -> Result<Result<Plan, PlanError>, clap::Error> {
    let name = OsString::from("socktrace listen");
    let typed = Arguments::try_parse_from([&name].into_iter().chain(args))?;
    let both = !typed.tcp && !typed.udp;
    let switches = [
        (Flag::Tcp, typed.tcp || both),
        (Flag::Mptcp, typed.tcp || both),
        (Flag::Udp, typed.udp || both),
        (Flag::Ipv4, typed.ipv4),
        (Flag::Ipv6, typed.ipv6),
        (Flag::Numeric, typed.numeric),
        (Flag::Resolve, typed.resolve),
        (Flag::NoHeader, typed.no_header),
        (Flag::Json, typed.json),
        (Flag::JsonLines, typed.json_lines),
        (Flag::AllNetns, typed.all_netns),
        (Flag::Listening, true),
        (Flag::Processes, true),
        (Flag::Container, true),
    ];
    let valued = [(Flag::Net, typed.net), (Flag::Watch, typed.watch)];
    Ok(Plan::of_view(View::Services, valued, switches, typed.words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plan::{Format, Scope};
    use crate::render::json::listing::Framing;

    fn plan(line: &str) -> Result<Plan, PlanError> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_options_are_those_of_listings() {
        let plan = plan("-jG dport = 1").unwrap();
        assert_eq!((plan.view, plan.format), (View::Services, Format::Json(Framing::Array)));
        assert_eq!((plan.netns, plan.words.len()), (Scope::All, 3));
    }

    #[test]
    fn one_namespace_or_all() {
        assert_eq!(plan("-G -N x").unwrap_err(), PlanError::AllAndOne);
    }
}
