//! The words of the language: predicates, operators and connectives, as tables.
//!
//! The parser, the error messages, the completions, the man page and the test of `docs/filter.md`
//! all read them here.

use super::subject::{Name, Number, StateOf};
use super::tree::{Compare, Side};
use crate::socket::{Table, TableSet};

/// A predicate of the language.
#[derive(Debug)]
pub struct Word {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    /// What may follow, for the error message.
    pub expects: &'static str,
    /// What it asks.
    pub asks: &'static str,
    pub of: Of,
}

/// What has what the predicate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// `ss` has the word too: wherever it stands, it is this word.
    Ss,
    /// Sockets and events. The word is only looked for where a predicate begins.
    Both,
    Events,
}

/// What a predicate asks, and so how its value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Host(Side),
    Port(Side),
    Device,
    Mark,
    Cgroup,
    Autobound,
    Number(Number),
    Name(Name),
    /// A name that is one of a few.
    Choice(Name, &'static [&'static str]),
    Path,
    Protocol,
    State(StateOf),
}

const fn word(
    name: &'static str,
    kind: Kind,
    of: Of,
    expects: &'static str,
    asks: &'static str,
) -> Word {
    Word { name, aliases: &[], kind, expects, asks, of }
}

const fn number(name: &'static str, of: Number, asks: &'static str) -> Word {
    word(name, Kind::Number(of), Of::Both, of.unit().expects(), asks)
}

const fn named(name: &'static str, of: Name, expects: &'static str, asks: &'static str) -> Word {
    word(name, Kind::Name(of), Of::Both, expects, asks)
}

const fn choice(
    name: &'static str,
    of: Name,
    among: &'static [&'static str],
    subjects: Of,
    expects: &'static str,
    asks: &'static str,
) -> Word {
    word(name, Kind::Choice(of, among), subjects, expects, asks)
}

impl Word {
    const fn or(self, aliases: &'static [&'static str]) -> Word {
        Word { aliases, ..self }
    }

    const fn with_value(self, expects: &'static str) -> Word {
        Word { expects, ..self }
    }

    const fn of_events(self) -> Word {
        Word { of: Of::Events, ..self }
    }

    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

pub const PREDICATES: &[Word] = &[
    word("dst", Kind::Host(Side::Destination), Of::Ss, ADDRESS, "the address of the peer"),
    word("src", Kind::Host(Side::Source), Of::Ss, ADDRESS, "the local address"),
    word("dport", Kind::Port(Side::Destination), Of::Ss, PORT, "the port of the peer"),
    word("sport", Kind::Port(Side::Source), Of::Ss, PORT, "the local port"),
    word(
        "dev",
        Kind::Device,
        Of::Ss,
        "the name or index of an interface",
        "the interface that the socket is bound to",
    ),
    word("fwmark", Kind::Mark, Of::Ss, "a mark, VALUE or VALUE/MASK", "the firewall mark")
        .or(&["mark"]),
    word(
        "cgroup",
        Kind::Cgroup,
        Of::Ss,
        "the path of a cgroup, or PATH/* for it and all below",
        "the cgroup that the socket was made in",
    ),
    word(
        "autobound",
        Kind::Autobound,
        Of::Ss,
        "no value",
        "whether the kernel chose the local port or name",
    ),
    word("state", Kind::State(StateOf::Now), Of::Both, STATE, "the state"),
    word("proto", Kind::Protocol, Of::Both, PROTOCOL, "the protocol or table").or(&["ipproto"]),
    number("pid", Number::Pid, "a process that holds the socket"),
    named("comm", Name::Comm, NAME, "the name of such a process").or(&["procname"]),
    number("uid", Number::Uid, "the user that the socket belongs to")
        .with_value("the name or number of a user"),
    number("gid", Number::Gid, "the group of a process that holds the socket")
        .with_value("the name or number of a group"),
    named(
        "container",
        Name::Container,
        "the name of a container, or how its id begins",
        "the container",
    ),
    named("pod", Name::Pod, "the uid or name of a pod", "the Kubernetes pod"),
    named("unit", Name::Unit, "a systemd unit, such as nginx or nginx.service", "the systemd unit"),
    number("ino", Number::Inode, "the inode of the socket").or(&["inode"]),
    number("cookie", Number::Cookie, "the kernel's identity of the socket"),
    number("sk", Number::Cookie, "the same, as listings show it")
        .with_value("a number in hexadecimal, as after sk: in a listing"),
    number("netns", Number::Netns, "the network namespace")
        .with_value("a namespace by inode or by its name in /run/netns, or self"),
    word(
        "path",
        Kind::Path,
        Of::Both,
        "the path of a UNIX socket, @NAME, or a pattern",
        "the name of a UNIX socket, or the file that it is bound to",
    ),
    named(
        "cc",
        Name::CongestionControl,
        "the name of a congestion control",
        "the congestion control",
    ),
    number("recvq", Number::ReceiveQueue, "Recv-Q: bytes to read, or connections to accept"),
    number(
        "sendq",
        Number::SendQueue,
        "Send-Q: bytes not acknowledged, or the accept queue's limit",
    ),
    number("backlog", Number::Backlog, "how full the accept queue of a listening socket is"),
    number("rtt", Number::Rtt, "the smoothed round trip time"),
    number("rttvar", Number::RttVar, "its mean deviation"),
    number("minrtt", Number::MinRtt, "the shortest round trip of late"),
    number("rto", Number::Rto, "the retransmission timeout"),
    number("cwnd", Number::Cwnd, "the congestion window, in segments"),
    number("mss", Number::Mss, "the maximum segment size for sending"),
    number("retrans", Number::Retrans, "segments sent again in the socket's life"),
    number("lost", Number::Lost, "segments thought to be lost now"),
    number("sent", Number::Sent, "bytes sent, each counted once"),
    number("received", Number::Received, "bytes received"),
    number("lastsnd", Number::LastSent, "the time since data were sent"),
    number("lastrcv", Number::LastReceived, "the time since data were received"),
    number("idle", Number::Idle, "the time since data went either way"),
    number("age", Number::Age, "the time since the socket was opened"),
    choice(
        "timer",
        Name::Timer,
        TIMERS,
        Of::Both,
        "off, on, keepalive, timewait, persist or delack",
        "the timer that runs",
    ),
    number("tos", Number::Tos, "the type of service, or traffic class"),
    number("priority", Number::Priority, "the priority, or the class of its cgroup"),
    number("duration", Number::Duration, "how long the connection was, or the state that was left")
        .of_events(),
    word("oldstate", Kind::State(StateOf::Old), Of::Events, STATE, "the state that was left"),
    word("newstate", Kind::State(StateOf::New), Of::Events, STATE, "the state that was entered"),
    named(
        "reason",
        Name::Reason,
        "the kernel's reason, such as NO_SOCKET",
        "why there was a reset",
    )
    .of_events(),
    choice(
        "opened",
        Name::Opened,
        OPENED,
        Of::Events,
        "active or passive",
        "who opened the connection",
    ),
    choice(
        "end",
        Name::End,
        ENDS,
        Of::Events,
        "closed, reset, refused, timeout, unreachable or aborted",
        "how the connection ended",
    ),
];

const ADDRESS: &str = "an address, [FAMILY:]HOST[/LENGTH][:PORT]";
const PORT: &str = "a port number or the name of a service, [FAMILY:][:]PORT";
const NAME: &str = "a name, or a pattern such as nginx*";
const PROTOCOL: &str = "a protocol or table (tcp, udp, raw, mptcp, sctp, dccp, icmp, unix, packet, \
    netlink, vsock, tipc, xdp) or the number of an IP protocol";
pub(super) const STATE: &str = "a state: established, syn-sent, syn-recv, fin-wait-1, \
    fin-wait-2, time-wait, closed, close-wait, last-ack, listening, closing, bound-inactive, \
    or a group: all, connected, synchronized, bucket, big";

const TIMERS: &[&str] = &["off", "on", "keepalive", "timewait", "persist", "delack"];
const OPENED: &[&str] = &["active", "passive"];
const ENDS: &[&str] = &["closed", "reset", "refused", "timeout", "unreachable", "aborted"];

/// The tables that a protocol's name stands for; the first name of a set is how it is printed.
pub(super) const TABLES: &[(&str, TableSet)] = &[
    ("tcp", TableSet::of(&[Table::Tcp])),
    ("udp", TableSet::of(&[Table::Udp])),
    ("raw", TableSet::of(&[Table::Raw])),
    ("mptcp", TableSet::of(&[Table::Mptcp])),
    ("sctp", TableSet::of(&[Table::Sctp])),
    ("dccp", TableSet::of(&[Table::Dccp])),
    ("unix", TableSet::of(&[Table::UnixStream, Table::UnixDgram, Table::UnixSeqpacket])),
    ("unix_stream", TableSet::of(&[Table::UnixStream])),
    ("u_str", TableSet::of(&[Table::UnixStream])),
    ("unix_dgram", TableSet::of(&[Table::UnixDgram])),
    ("u_dgr", TableSet::of(&[Table::UnixDgram])),
    ("unix_seqpacket", TableSet::of(&[Table::UnixSeqpacket])),
    ("u_seq", TableSet::of(&[Table::UnixSeqpacket])),
    ("packet", TableSet::of(&[Table::PacketDgram, Table::PacketRaw])),
    ("packet_dgram", TableSet::of(&[Table::PacketDgram])),
    ("p_dgr", TableSet::of(&[Table::PacketDgram])),
    ("packet_raw", TableSet::of(&[Table::PacketRaw])),
    ("p_raw", TableSet::of(&[Table::PacketRaw])),
    ("netlink", TableSet::of(&[Table::Netlink])),
    ("nl", TableSet::of(&[Table::Netlink])),
    ("vsock", TableSet::of(&[Table::VsockStream, Table::VsockDgram])),
    ("vsock_stream", TableSet::of(&[Table::VsockStream])),
    ("v_str", TableSet::of(&[Table::VsockStream])),
    ("vsock_dgram", TableSet::of(&[Table::VsockDgram])),
    ("v_dgr", TableSet::of(&[Table::VsockDgram])),
    ("tipc", TableSet::of(&[Table::Tipc])),
    ("xdp", TableSet::of(&[Table::Xdp])),
];

impl Kind {
    /// Which comparisons it knows.
    pub fn operators(self) -> Operators {
        match self {
            Kind::Host(_) => Operators::Equality,
            Kind::Port(_) => Operators::Order,
            Kind::Number(number) if number.is_ordered() => Operators::Order,
            Kind::Autobound => Operators::None,
            _ => Operators::Difference,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operators {
    /// The predicate takes no value.
    None,
    /// `=` only.
    Equality,
    /// `=` and `!=`.
    Difference,
    /// All of them.
    Order,
}

impl Operators {
    pub(super) fn allow(self, operator: Operator) -> bool {
        let least = match operator {
            Operator::Is(Compare::Equal) => Operators::Equality,
            Operator::IsNot => Operators::Difference,
            Operator::Is(_) => Operators::Order,
        };
        self >= least
    }

    pub(super) fn expects(self) -> &'static str {
        match self {
            Operators::None => "no operator",
            Operators::Equality => "=, or nothing, before the value",
            Operators::Difference => "= or !=",
            Operators::Order => "one of = != > < >= <=",
        }
    }

    /// The operators as symbols, for the reference.
    pub fn symbols(self) -> &'static [&'static str] {
        match self {
            Operators::None => &[],
            Operators::Equality => &["="],
            Operators::Difference => &["=", "!="],
            Operators::Order => &["=", "!=", ">", "<", ">=", "<="],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Is(Compare),
    IsNot,
}

/// The operators; of two that begin alike the longer comes first.
pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::Is(Compare::Equal)),
    ("=", Operator::Is(Compare::Equal)),
    ("eq", Operator::Is(Compare::Equal)),
    ("!=", Operator::IsNot),
    ("neq", Operator::IsNot),
    ("ne", Operator::IsNot),
    (">=", Operator::Is(Compare::GreaterOrEqual)),
    ("geq", Operator::Is(Compare::GreaterOrEqual)),
    ("ge", Operator::Is(Compare::GreaterOrEqual)),
    ("<=", Operator::Is(Compare::LessOrEqual)),
    ("leq", Operator::Is(Compare::LessOrEqual)),
    ("le", Operator::Is(Compare::LessOrEqual)),
    (">", Operator::Is(Compare::Greater)),
    ("gt", Operator::Is(Compare::Greater)),
    ("<", Operator::Is(Compare::Less)),
    ("lt", Operator::Is(Compare::Less)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connective {
    And,
    Or,
    Not,
}

/// The connectives; of two that begin alike the longer comes first.
pub(super) const CONNECTIVES: &[(&str, Connective)] = &[
    ("and", Connective::And),
    ("&&", Connective::And),
    ("&", Connective::And),
    ("or", Connective::Or),
    ("||", Connective::Or),
    ("|", Connective::Or),
    ("not", Connective::Not),
    ("!", Connective::Not),
];

pub(super) fn predicate(name: &[u8]) -> Option<&'static Word> {
    PREDICATES.iter().find(|word| word.names().any(|known| known.as_bytes() == name))
}

pub(super) fn operator(name: &[u8]) -> Option<Operator> {
    OPERATORS.iter().find(|(word, _)| word.as_bytes() == name).map(|(_, operator)| *operator)
}

pub(super) fn connective(name: &[u8]) -> Option<Connective> {
    CONNECTIVES.iter().find(|(word, _)| word.as_bytes() == name).map(|(_, connective)| *connective)
}

/// Whether the word joins or compares wherever it stands.
pub(super) fn is_joint(name: &[u8]) -> bool {
    matches!(name, b"(" | b")") || operator(name).is_some() || connective(name).is_some()
}

/// Whether the word means something to `ss` wherever it stands, so that it cannot be a value. The
/// words that `ss` lacks can: `src pid` is a host of that name.
pub(super) fn is_reserved(name: &[u8]) -> bool {
    let of_ss = |word: &&Word| word.of == Of::Ss && word.name.as_bytes() == name;
    is_joint(name) || PREDICATES.iter().any(|word| of_ss(&word))
}

/// The word that is most like this one, if any is like it: of those that begin with it, the
/// shortest, else the one that differs least.
pub(crate) fn nearest(
    word: &[u8],
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let word = String::from_utf8_lossy(word).to_lowercase();
    let length = word.chars().count();
    let limit = |known: &str| known.len().min(word.len()).div_ceil(3);
    let distance = |known: &str| {
        // They differ at least by their lengths; what differs is long to compute.
        let is_near = known.len().abs_diff(length) <= limit(known);
        is_near.then(|| strsim::damerau_levenshtein(&word, known)).filter(|d| *d <= limit(known))
    };
    let rank = |known: &'static str| {
        let is_begun = length >= SHORTEST_BEGINNING && known.starts_with(&word);
        let rank =
            if is_begun { Some((false, known.len())) } else { Some((true, distance(known)?)) };
        rank.map(|rank| (rank, known))
    };
    known.filter_map(rank).min_by_key(|(rank, _)| *rank).map(|(_, known)| known)
}

/// How much of a word says which is meant.
const SHORTEST_BEGINNING: usize = 3;

/// How a predicate about this number is written.
pub(super) fn of_number(of: Number) -> &'static str {
    let same = |word: &&Word| word.kind == Kind::Number(of);
    PREDICATES.iter().find(same).map_or("", |word| word.name)
}

/// How a predicate about this name is written.
pub(super) fn of_name(of: Name) -> &'static str {
    let same = |word: &&Word| match word.kind {
        Kind::Name(name) | Kind::Choice(name, _) => name == of,
        Kind::Cgroup => of == Name::Cgroup,
        _ => false,
    };
    PREDICATES.iter().find(same).map_or("", |word| word.name)
}

/// The names of tables, for completion.
pub fn tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(name, _)| *name)
}

pub(super) fn tables_named(name: &[u8]) -> Option<TableSet> {
    TABLES.iter().find(|(word, _)| word.as_bytes() == name).map(|(_, tables)| *tables)
}

pub fn name_of_tables(tables: TableSet) -> &'static str {
    TABLES.iter().find(|(_, known)| *known == tables).map_or("", |(name, _)| name)
}
