//! The options of `ss`, as data: one table feeds the parser, `--help` and the shell completions.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::say::Name;

/// What an option asks for. Options that only differ in spelling share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    Help,
    Version,
    Numeric,
    Resolve,
    All,
    Listening,
    BoundInactive,
    Options,
    Extended,
    Memory,
    Processes,
    Threads,
    Info,
    TipcInfo,
    Summary,
    Tos,
    Cgroup,
    Bpf,
    BpfMaps,
    BpfMapId,
    Events,
    Context,
    Contexts,
    Net,
    Ipv4,
    Ipv6,
    Packet,
    Tcp,
    Mptcp,
    Sctp,
    Udp,
    Dccp,
    Raw,
    Unix,
    Tipc,
    Vsock,
    Xdp,
    Family,
    Kill,
    NoHeader,
    NoQueues,
    OneLine,
    InetSockopt,
    Query,
    Diag,
    Filter,
    Json,
    JsonLines,
    AllNetns,
    Container,
    InnerPids,
    Watch,
    Window,
    RingSize,
    Owners,
    Explain,
}

struct Definition {
    flag: Flag,
    short: Option<char>,
    long: &'static str,
    /// The name of its value, for options that take one.
    value: Option<&'static str>,
    help: &'static str,
}

const fn switch(flag: Flag, short: char, long: &'static str, help: &'static str) -> Definition {
    Definition { flag, short: Some(short), long, value: None, help }
}

const fn long_switch(flag: Flag, long: &'static str, help: &'static str) -> Definition {
    Definition { flag, short: None, long, value: None, help }
}

const fn valued(
    flag: Flag,
    short: char,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> Definition {
    Definition { flag, short: Some(short), long, value: Some(value), help }
}

const DEFINITIONS: &[Definition] = &[
    switch(Flag::Help, 'h', "help", "this message"),
    switch(Flag::Version, 'V', "version", "output version information (also -v)"),
    switch(Flag::Numeric, 'n', "numeric", "don't resolve service names"),
    switch(Flag::Resolve, 'r', "resolve", "resolve host names"),
    switch(Flag::All, 'a', "all", "display all sockets"),
    switch(Flag::Listening, 'l', "listening", "display listening sockets"),
    switch(Flag::BoundInactive, 'B', "bound-inactive", "display TCP bound but inactive sockets"),
    switch(Flag::Options, 'o', "options", "show timer information"),
    switch(Flag::Extended, 'e', "extended", "show detailed socket information"),
    switch(Flag::Memory, 'm', "memory", "show socket memory usage"),
    switch(Flag::Processes, 'p', "processes", "show process using socket"),
    switch(Flag::Threads, 'T', "threads", "show thread using socket"),
    switch(Flag::Info, 'i', "info", "show internal TCP information"),
    long_switch(Flag::TipcInfo, "tipcinfo", "show internal tipc socket information"),
    switch(Flag::Summary, 's', "summary", "show socket usage summary"),
    long_switch(Flag::Tos, "tos", "show tos and priority information"),
    long_switch(Flag::Cgroup, "cgroup", "show cgroup information"),
    switch(Flag::Bpf, 'b', "bpf", "show bpf filter socket information"),
    long_switch(Flag::BpfMaps, "bpf-maps", "show all BPF socket-local storage maps"),
    Definition {
        flag: Flag::BpfMapId,
        short: None,
        long: "bpf-map-id",
        value: Some("MAP-ID"),
        help: "show a BPF socket-local storage map",
    },
    switch(Flag::Events, 'E', "events", "continually display sockets as they are destroyed"),
    switch(Flag::Context, 'Z', "context", "display task SELinux security contexts"),
    switch(Flag::Contexts, 'z', "contexts", "display task and socket SELinux security contexts"),
    valued(Flag::Net, 'N', "net", "NAME", "switch to the specified network namespace name"),
    switch(Flag::Ipv4, '4', "ipv4", "display only IP version 4 sockets"),
    switch(Flag::Ipv6, '6', "ipv6", "display only IP version 6 sockets"),
    switch(Flag::Packet, '0', "packet", "display PACKET sockets"),
    switch(Flag::Tcp, 't', "tcp", "display only TCP sockets"),
    switch(Flag::Mptcp, 'M', "mptcp", "display only MPTCP sockets"),
    switch(Flag::Sctp, 'S', "sctp", "display only SCTP sockets"),
    switch(Flag::Udp, 'u', "udp", "display only UDP sockets"),
    switch(Flag::Dccp, 'd', "dccp", "display only DCCP sockets"),
    switch(Flag::Raw, 'w', "raw", "display only RAW sockets"),
    switch(Flag::Unix, 'x', "unix", "display only Unix domain sockets"),
    long_switch(Flag::Tipc, "tipc", "display only TIPC sockets"),
    long_switch(Flag::Vsock, "vsock", "display only vsock sockets"),
    long_switch(Flag::Xdp, "xdp", "display only XDP sockets"),
    valued(
        Flag::Family,
        'f',
        "family",
        "FAMILY",
        "display sockets of type FAMILY: inet, inet6, link, unix, netlink, vsock, tipc, xdp, help",
    ),
    switch(Flag::Kill, 'K', "kill", "forcibly close sockets, display what was closed"),
    switch(Flag::NoHeader, 'H', "no-header", "suppress header line"),
    switch(Flag::NoQueues, 'Q', "no-queues", "suppress sending and receiving queue columns"),
    switch(Flag::OneLine, 'O', "oneline", "socket's data printed on a single line"),
    long_switch(Flag::InetSockopt, "inet-sockopt", "show various inet socket options"),
    valued(
        Flag::Query,
        'A',
        "query",
        "QUERY",
        "display the named tables: all, inet, tcp, mptcp, udp, raw, unix, unix_dgram, \
         unix_stream, unix_seqpacket, packet, packet_raw, packet_dgram, netlink, dccp, sctp, \
         vsock_stream, vsock_dgram, tipc, xdp; comma separated, ! removes",
    ),
    Definition {
        flag: Flag::Query,
        short: None,
        long: "socket",
        value: Some("QUERY"),
        help: "the same as --query",
    },
    valued(Flag::Diag, 'D', "diag", "FILE", "dump raw information about TCP sockets to FILE"),
    valued(Flag::Filter, 'F', "filter", "FILE", "read filter information from FILE (- for stdin)"),
];

/// What `ss` does not have: unknown under its name, so that its abbreviations stay what they are.
const OWN_DEFINITIONS: &[Definition] = &[
    switch(Flag::Json, 'j', "json", "print a JSON array (docs/schema.md)"),
    long_switch(Flag::JsonLines, "json-lines", "print a JSON object per line"),
    switch(Flag::AllNetns, 'G', "all-netns", "display sockets of all network namespaces"),
    switch(Flag::Container, 'C', "container", "show the container, pod or systemd unit"),
    Definition {
        flag: Flag::Watch,
        short: None,
        long: "watch",
        value: Some("TIME"),
        help: "list again every TIME (1s, 500ms), and mark what appeared, changed or vanished",
    },
    Definition {
        flag: Flag::Window,
        short: None,
        long: "window",
        value: Some("TIME"),
        help: "list after TIME (5s, 500ms), with the TCP sockets that are gone by then",
    },
    Definition {
        flag: Flag::RingSize,
        short: None,
        long: "ring-size",
        value: Some("SIZE"),
        help: "memory for what --window has not read yet: a power of two, such as 8M",
    },
    long_switch(Flag::InnerPids, "nspid", "show the pid inside the container with -p"),
    Definition {
        flag: Flag::Owners,
        short: None,
        long: "owners",
        value: Some("SOURCE"),
        help: "find the processes of -p by SOURCE: walk (over /proc), iterator (eBPF), auto",
    },
    long_switch(Flag::Explain, "explain", "show how the filter is understood, and list nothing"),
];

/// The options that there are under a name.
fn definitions(name: Name) -> impl Iterator<Item = &'static Definition> {
    let own: &[Definition] = match name {
        Name::Socktrace => OWN_DEFINITIONS,
        Name::Ss => &[],
    };
    DEFINITIONS.iter().chain(own)
}

const FILTER_HELP: &str = "\
FILTER := [ state STATE-FILTER ] [ exclude STATE-FILTER ] [ EXPRESSION ]
  STATE-FILTER := {all|connected|synchronized|bucket|big|TCP-STATES}
    TCP-STATES := {established|syn-sent|syn-recv|fin-wait-{1,2}|time-wait|closed|close-wait|\
last-ack|listening|closing|bound-inactive}
     connected := {established|syn-sent|syn-recv|fin-wait-{1,2}|time-wait|close-wait|last-ack|closing}
  synchronized := {established|syn-recv|fin-wait-{1,2}|time-wait|close-wait|last-ack|closing}
        bucket := {syn-recv|time-wait}
           big := {established|syn-sent|fin-wait-{1,2}|closed|close-wait|last-ack|listening|closing}
  EXPRESSION   := predicates joined by and, or, not and parentheses:
     {dst|src} [=] HOST, {dport|sport} OP [FAMILY:]:PORT, dev = DEVICE, fwmark = MARK/MASK,
     cgroup = PATH, autobound,
     and {pid|comm|uid|gid|container|pod|unit|state|proto|path|ino|sk|netns|cc|rtt|cwnd|retrans|
     sent|received|recvq|sendq|backlog|idle|timer|...} OP VALUE (docs/filter.md has them all)";

/// What was typed: options in their order, then the words of the filter.
#[derive(Debug)]
pub struct Typed {
    pub options: Vec<(Flag, Option<OsString>)>,
    pub words: Vec<OsString>,
    /// The name that it was typed behind.
    pub name: Name,
}

/// Why the command line does not parse, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

/// The name of the filter's words among the arguments, here and in subcommands.
pub const FILTER_WORDS: &str = "words";
/// `-v` and `-V` are one option, but clap allows one short name besides aliases.
const VERSION_ALIAS: char = 'v';

/// The command line as clap knows it, for parsing, help and completions, under the name that it is
/// called by.
pub fn command(name: Name) -> Command {
    let options = definitions(name).map(|definition| {
        let mut arg = Arg::new(definition.long).long(definition.long).help(definition.help);
        if let Some(short) = definition.short {
            arg = arg.short(short);
        }
        if definition.flag == Flag::Version {
            arg = arg.short_alias(VERSION_ALIAS);
        }
        match definition.value {
            Some(name) => arg
                .value_name(name)
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .value_parser(clap::value_parser!(OsString)),
            None => arg.action(ArgAction::SetTrue).overrides_with(definition.long),
        }
    });
    let words = Arg::new(FILTER_WORDS)
        .value_name("FILTER")
        .help("which sockets: states and predicates, as below")
        .num_args(0..)
        .value_parser(clap::value_parser!(OsString));
    Command::new(name.as_str())
        .about("What sockets exist, in what state, and who owns them")
        .override_usage(match name {
            Name::Socktrace => {
                "socktrace [ OPTIONS ] [ FILTER ]\n       \
                 socktrace COMMAND [ --help ] [ OPTIONS ] [ FILTER ]"
            }
            Name::Ss => "ss [ OPTIONS ] [ FILTER ]",
        })
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .infer_long_args(true)
        .args(options)
        .arg(words)
        .after_help(FILTER_HELP)
}

/// Splits a command line (without the program's name) into options and words.
pub fn parse(name: Name, args: &[OsString]) -> Result<Typed, UsageError> {
    Parser::new(name).parse(args)
}

/// The options of a name, for more than one command line.
pub struct Parser {
    name: Name,
    command: Command,
}

impl Parser {
    pub fn new(name: Name) -> Parser {
        Parser { name, command: command(name).no_binary_name(true) }
    }

    pub fn parse(&mut self, args: &[OsString]) -> Result<Typed, UsageError> {
        let matches = self.command.try_get_matches_from_mut(args);
        matches
            .map(|matches| typed(self.name, matches))
            .map_err(|error| UsageError(describe(&error)))
    }
}

fn typed(name: Name, mut matches: ArgMatches) -> Typed {
    let mut found: Vec<(usize, Flag, Option<OsString>)> = Vec::new();
    for definition in definitions(name) {
        let indices: Vec<usize> =
            matches.indices_of(definition.long).into_iter().flatten().collect();
        if definition.value.is_none() {
            if matches.get_flag(definition.long) {
                found.extend(indices.iter().map(|index| (*index, definition.flag, None)));
            }
        } else if let Some(values) = matches.remove_many::<OsString>(definition.long) {
            let values = indices.into_iter().zip(values);
            found.extend(values.map(|(index, value)| (index, definition.flag, Some(value))));
        }
    }
    found.sort_by_key(|(index, ..)| *index);
    Typed {
        options: found.into_iter().map(|(_, flag, value)| (flag, value)).collect(),
        words: matches.remove_many::<OsString>(FILTER_WORDS).into_iter().flatten().collect(),
        name,
    }
}

fn describe(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue};
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let arg = context(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let near = context(ContextKind::SuggestedArg);
            let hint =
                if near.is_empty() { String::new() } else { format!(" (did you mean {near}?)") };
            format!("unknown or ambiguous option '{arg}'{hint}")
        }
        ErrorKind::InvalidValue => format!("option '{arg}' needs a value"),
        ErrorKind::TooManyValues => format!("option '{arg}' takes no value"),
        _ => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Typed, UsageError> {
        parse(Name::Socktrace, &line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_table_is_one_that_clap_accepts() {
        command(Name::Socktrace).debug_assert();
    }

    #[test]
    fn options_keep_their_order_wherever_they_stand() {
        let typed = typed("-tl dst 127.0.0.1 -A udp,!tcp --num -a -A raw").unwrap();
        let flags: Vec<Flag> = typed.options.iter().map(|(flag, _)| *flag).collect();
        assert_eq!(
            flags,
            [Flag::Tcp, Flag::Listening, Flag::Query, Flag::Numeric, Flag::All, Flag::Query]
        );
        assert_eq!(typed.options[5].1.as_deref(), Some("raw".as_ref()));
        assert_eq!(typed.words, ["dst", "127.0.0.1"]);
    }

    #[test]
    fn short_options_bundle_and_long_ones_abbreviate() {
        for (line, flag) in [
            ("-46", Flag::Ipv6),
            ("-v", Flag::Version),
            ("-V", Flag::Version),
            ("--extend", Flag::Extended),
            ("--no-h", Flag::NoHeader),
            ("--bpf", Flag::Bpf),
            ("--context", Flag::Context),
            ("-finet", Flag::Family),
            ("--family=inet", Flag::Family),
            ("--fam inet", Flag::Family),
            ("-D -", Flag::Diag),
            ("-N -x", Flag::Net),
            ("-nn", Flag::Numeric),
            ("--socket tcp", Flag::Query),
        ] {
            let typed = typed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(typed.options.last().map(|(flag, _)| *flag), Some(flag), "{line}");
        }
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for line in ["-y", "--nonsense", "--no", "--ipv", "-f", "--numeric=3", "--diag"] {
            assert!(typed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn under_the_name_ss_there_are_only_its_options() {
        for line in ["-j", "--json", "--json-lines"] {
            assert!(typed(line).is_ok(), "{line}");
            assert!(parse(Name::Ss, &[line.into()]).is_err(), "{line}");
        }
    }
}
