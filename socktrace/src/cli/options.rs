//! The options of `ss`, as data: one table feeds the parser, `--help` and the shell completions.
//!
//! A listing is parsed without clap, which takes longer to set up than ten sockets to list.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};
use lexopt::Arg as Token;

use crate::filter::words::nearest;
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
pub enum UsageError {
    #[error("unknown or ambiguous option '{typed}'{}", hint(.near))]
    Unknown { typed: String, near: Option<&'static str> },
    #[error("option '{0}' needs a value")]
    NoValue(String),
    #[error("option '{0}' takes no value")]
    Value(String),
}

fn hint(near: &Option<&str>) -> String {
    near.map(|near| format!(" (did you mean --{near}?)")).unwrap_or_default()
}

/// The name of the filter's words among the arguments, here and in subcommands.
pub const FILTER_WORDS: &str = "words";
/// `-v` and `-V` are one option, with one help.
const VERSION_ALIAS: char = 'v';

/// The command line as clap knows it, for help and completions, under the name that it is called
/// by.
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
    let mut typed = Typed { options: Vec::new(), words: Vec::new(), name };
    let mut parser = lexopt::Parser::from_args(args);
    // As in `ss`, all of `-f=inet` behind the letter is the value.
    parser.set_short_equals(false);
    while let Some(token) = parser.next().map_err(misused)? {
        let definition = match token {
            Token::Value(word) => {
                typed.words.push(word);
                continue;
            }
            Token::Short(letter) => of_letter(name, letter)
                .ok_or_else(|| UsageError::Unknown { typed: format!("-{letter}"), near: None }),
            Token::Long(word) => of_word(name, word).ok_or_else(|| UsageError::Unknown {
                typed: format!("--{word}"),
                near: nearest(word.as_bytes(), definitions(name).map(|known| known.long)),
            }),
        }?;
        let value = definition.value.map(|_| parser.value().map_err(misused)).transpose()?;
        typed.options.push((definition.flag, value));
    }
    Ok(typed)
}

fn of_letter(name: Name, letter: char) -> Option<&'static Definition> {
    let letter = if letter == VERSION_ALIAS { 'V' } else { letter };
    definitions(name).find(|definition| definition.short == Some(letter))
}

/// The option of that name, or the only one whose name begins so.
fn of_word(name: Name, word: &str) -> Option<&'static Definition> {
    let whole = definitions(name).find(|definition| definition.long == word);
    whole.or_else(|| {
        let mut begun = definitions(name).filter(|definition| definition.long.starts_with(word));
        begun.next().filter(|_| begun.next().is_none())
    })
}

fn misused(error: lexopt::Error) -> UsageError {
    match error {
        lexopt::Error::MissingValue { option } => UsageError::NoValue(option.unwrap_or_default()),
        lexopt::Error::UnexpectedValue { option, .. } => UsageError::Value(option),
        error => UsageError::Unknown { typed: error.to_string(), near: None },
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
    fn what_is_wrong_with_an_option_is_said() {
        for (line, said) in [
            ("-ty", "unknown or ambiguous option '-y'"),
            ("-t=", "unknown or ambiguous option '-='"),
            ("--no", "unknown or ambiguous option '--no'"),
            ("--lisening", "unknown or ambiguous option '--lisening' (did you mean --listening?)"),
            ("-tf", "option '-f' needs a value"),
            ("--diag", "option '--diag' needs a value"),
            ("--numeric=3 -t", "option '--numeric' takes no value"),
            ("--numeric=", "option '--numeric' takes no value"),
        ] {
            assert_eq!(typed(line).unwrap_err().to_string(), said, "{line}");
        }
    }

    #[test]
    fn a_value_is_what_stands_behind_the_letter_or_else_the_next_word() {
        for (line, value, words) in [
            ("-tf=inet", "=inet", &[][..]),
            ("-f inet x", "inet", &["x"]),
            ("-f -- x", "--", &["x"]),
            ("--family= x", "", &["x"]),
            ("x -finet -- -t --tcp", "inet", &["x", "-t", "--tcp"]),
            ("- -f - -", "-", &["-", "-"]),
        ] {
            let typed = typed(line).unwrap();
            let (flag, typed_value) = typed.options.last().unwrap();
            assert_eq!((*flag, typed_value.as_deref()), (Flag::Family, Some(value.as_ref())));
            assert_eq!(typed.words, words, "{line}");
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
