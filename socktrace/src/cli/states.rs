//! The command line of `socktrace states`.

use std::ffi::OsString;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::options::Flag;
use super::plan::{Plan, View};
use crate::counts::{Grouping, Key, MOST_KEYS};
use crate::render::show::Holders;

/// Counts sockets: by state, or by whatever is asked for, the largest group first.
#[derive(Debug, Parser)]
#[command(
    name = "socktrace states",
    version,
    override_usage = "socktrace states [ OPTIONS ] [ FILTER ]",
    after_help = AFTER_HELP
)]
struct Typed {
    /// What to count by; up to four, with commas
    #[arg(long, value_name = "KEY,...", value_delimiter = ',', value_parser = keys(),
        default_value = "netid,state")]
    by: Vec<Key>,

    /// Show the largest groups only
    #[arg(long, value_name = "N")]
    top: Option<usize>,

    /// Count TCP sockets
    #[arg(short, long)]
    tcp: bool,

    /// Count UDP sockets
    #[arg(short, long)]
    udp: bool,

    /// Count UNIX sockets
    #[arg(short = 'x', long)]
    unix: bool,

    /// Count sockets of these tables, as `socktrace -A`
    #[arg(short = 'A', long, value_name = "QUERY")]
    query: Option<OsString>,

    /// Count IPv4 sockets only
    #[arg(short = '4', long)]
    ipv4: bool,

    /// Count IPv6 sockets only
    #[arg(short = '6', long, conflicts_with = "ipv4")]
    ipv6: bool,

    /// All states are counted anyway
    #[arg(short, long)]
    all: bool,

    /// Print ports as numbers
    #[arg(short, long)]
    numeric: bool,

    /// Print hosts by name
    #[arg(short, long)]
    resolve: bool,

    /// Do not print the header
    #[arg(short = 'H', long)]
    no_header: bool,

    /// Count in this network namespace: its name, a container, or a process, as in a listing
    #[arg(short = 'N', long, value_name = "NAME", conflicts_with = "all_netns")]
    net: Option<OsString>,

    /// Count in all network namespaces
    #[arg(short = 'G', long)]
    all_netns: bool,

    /// Print a JSON array (docs/schema.md)
    #[arg(short, long)]
    json: bool,

    /// Print a JSON object per line
    #[arg(long)]
    json_lines: bool,

    /// Count again and again: redrawn on a terminal, with what changed marked
    #[arg(long, value_name = "TIME")]
    watch: Option<OsString>,

    /// Which sockets to count, as in a listing
    #[arg(value_name = "FILTER")]
    words: Vec<OsString>,
}

const AFTER_HELP: &str = "\
A socket that several processes hold counts for the one that the others inherited it from. Port is \
the port of the service: of the two, the one that the kernel did not choose. Sockets without a \
process (TIME-WAIT, for one) have - there. Without a table: TCP, UDP and UNIX.

  socktrace states --by process,peer --top 10
  socktrace states -t --by peer state time-wait";

/// The command line, for completions and the manual.
pub fn command() -> clap::Command {
    Typed::command()
}

/// What the arguments behind `states` ask for.
pub fn parse(args: &[OsString]) -> Result<Plan, clap::Error> {
    let name = OsString::from("socktrace states");
    let typed = Typed::try_parse_from([&name].into_iter().chain(args))?;
    if typed.by.len() > MOST_KEYS {
        return Err(wrong(format!("--by takes up to {MOST_KEYS} keys")));
    }
    let has_family = typed.ipv4 || typed.ipv6;
    let is_chosen = typed.tcp || typed.udp || typed.unix || typed.query.is_some();
    let tables = match (is_chosen, has_family) {
        (true, _) => None,
        (false, true) => Some("tcp,udp".into()),
        (false, false) => Some("tcp,udp,unix".into()),
    };
    let switches = [
        (Flag::Tcp, typed.tcp),
        (Flag::Udp, typed.udp),
        (Flag::Unix, typed.unix),
        (Flag::Ipv4, typed.ipv4),
        (Flag::Ipv6, typed.ipv6),
        (Flag::All, true),
        (Flag::Numeric, typed.numeric),
        (Flag::Resolve, typed.resolve),
        (Flag::NoHeader, typed.no_header),
        (Flag::AllNetns, typed.all_netns),
        (Flag::Json, typed.json),
        (Flag::JsonLines, typed.json_lines),
    ];
    let valued = [
        (Flag::Query, typed.query),
        (Flag::Query, tables),
        (Flag::Net, typed.net),
        (Flag::Watch, typed.watch),
    ];
    let holders = match typed.by.contains(&Key::Process) {
        true => Holders::Processes,
        false => Holders::Hidden,
    };
    let view = View::Counts(Grouping { by: typed.by, top: typed.top });
    let mut plan = Plan::of_view(view, valued, switches, typed.words).map_err(wrong)?;
    plan.show.holders = holders;
    Ok(plan)
}

fn wrong(what: impl std::fmt::Display) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{what}\n"))
}

fn keys() -> impl TypedValueParser<Value = Key> {
    PossibleValuesParser::new(Key::ALL.map(|(_, name)| name)).map(|typed| {
        let found = Key::ALL.into_iter().find(|(_, name)| *name == typed);
        found.expect("no other passes the parser").0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{StateSet, Table, TableSet};

    fn plan(line: &str) -> Result<Plan, clap::Error> {
        let mut plan = parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())?;
        plan.select.settle_tables();
        plan.select.settle_states(None);
        Ok(plan)
    }

    #[test]
    fn without_options_all_states_of_tcp_udp_and_unix_count() {
        let plan = plan("").unwrap();
        let unix = [Table::UnixDgram, Table::UnixStream, Table::UnixSeqpacket];
        let tables = TableSet::of(&[Table::Tcp, Table::Udp]).union(TableSet::of(&unix));
        assert_eq!((plan.select.tables, plan.select.states), (tables, StateSet::ALL));
        let grouping = Grouping { by: vec![Key::Netid, Key::State], top: None };
        assert_eq!(plan.view, View::Counts(grouping));
        assert_eq!(plan.show.holders, Holders::Hidden);
    }

    #[test]
    fn owners_are_collected_only_to_count_by_them() {
        let plan = plan("-t --by peer,process --top 3 state time-wait").unwrap();
        assert_eq!(plan.show.holders, Holders::Processes);
        assert_eq!(plan.select.tables, TableSet::of(&[Table::Tcp]));
        let grouping = Grouping { by: vec![Key::Peer, Key::Process], top: Some(3) };
        assert_eq!((plan.view, plan.words.len()), (View::Counts(grouping), 2));
    }

    #[test]
    fn what_cannot_be_counted_by_is_refused() {
        for line in ["--by colour", "--by", "--by state,state,state,state,state", "--top x", "-46"]
        {
            assert!(plan(line).is_err(), "{line}");
        }
    }
}
