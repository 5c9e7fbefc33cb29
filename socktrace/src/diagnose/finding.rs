//! What a rule says: a sentence, how bad, how sure, and the rows that prove it.

use rustc_hash::FxHashSet;

use super::evidence::{ConnectError, Evidence, Process, Worker};
use crate::container::Home;
use crate::socket::{InetEnd, Inode, State};

/// How bad it is, from harmless to "somebody is without service".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Note,
    Warning,
    Critical,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sure {
    /// The kernel counted it, or it was seen twice.
    Certain,
    /// The numbers hardly allow another explanation.
    Likely,
    /// They allow others.
    Possible,
}

impl Sure {
    pub fn name(self) -> &'static str {
        match self {
            Sure::Certain => "certain",
            Sure::Likely => "likely",
            Sure::Possible => "possible",
        }
    }
}

/// One thing that is wrong, or worth to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The name of the rule.
    pub rule: &'static str,
    pub severity: Severity,
    /// Orders findings of one rule: the largest first.
    pub weight: u64,
    pub what: String,
    pub sure: Sure,
    pub because: String,
    pub evidence: Table,
    /// Lists the evidence.
    pub command: String,
    pub why: &'static str,
    pub advice: Vec<String>,
}

impl Finding {
    /// Has the command look in the network namespace that `-N` and this word lead to.
    pub fn list_in(&mut self, word: &str) {
        let Some(rest) = self.command.strip_prefix("socktrace ") else { return };
        // A command of its own comes before its options.
        let (first, others) = rest.split_once(' ').unwrap_or((rest, ""));
        self.command = match first.starts_with('-') {
            true => format!("socktrace -N {word} {rest}"),
            false => format!("socktrace {first} -N {word} {others}").trim_end().to_owned(),
        };
    }
}

/// Rows of evidence. The names of its columns are those of the JSON schema.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Value>>,
    /// Rows that there are besides those that are shown.
    pub left_out: usize,
}

/// How many rows prove a point.
const ROWS: usize = 5;

impl Table {
    /// The first few of `rows`.
    pub fn new(columns: &'static [&'static str], rows: Vec<Vec<Value>>) -> Table {
        let left_out = rows.len().saturating_sub(ROWS);
        let mut rows = rows;
        rows.truncate(ROWS);
        Table { columns, rows, left_out }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Not known.
    None,
    Number(u64),
    /// With one decimal.
    Percent(f64),
    Text(String),
    Name(&'static str),
    State(State),
    End(InetEnd),
    Owners(Vec<Owner>),
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number)
    }
}

impl From<State> for Value {
    fn from(state: State) -> Value {
        Value::State(state)
    }
}

impl From<InetEnd> for Value {
    fn from(end: InetEnd) -> Value {
        Value::End(end)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<&'static str> for Value {
    fn from(name: &'static str) -> Value {
        Value::Name(name)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::None, Into::into)
    }
}

/// A process, as far as a finding names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub pid: u32,
    pub comm: Vec<u8>,
    pub uid: Option<u32>,
    pub home: Home,
}

impl From<&Process> for Owner {
    fn from(process: &Process) -> Owner {
        Owner {
            pid: process.pid,
            comm: process.comm.clone(),
            uid: process.uid,
            home: process.home.clone(),
        }
    }
}

impl From<&Worker> for Owner {
    fn from(worker: &Worker) -> Owner {
        Owner {
            pid: worker.pid,
            comm: worker.comm.clone(),
            uid: Some(worker.uid),
            home: Home::default(),
        }
    }
}

/// The owners of a socket, first the one that answers for it.
pub fn owners(evidence: &Evidence, inode: Inode) -> Vec<Owner> {
    evidence.processes.of(inode).map(Owner::from).collect()
}

/// The owners of some sockets, each once: first who answers for one of them, then who inherited it.
pub fn owners_of_all(evidence: &Evidence, inodes: &[Inode]) -> Vec<Owner> {
    let processes = &evidence.processes;
    let firsts = inodes.iter().filter_map(|inode| processes.first_of(*inode));
    let others = inodes.iter().flat_map(|inode| processes.of(*inode).skip(1));
    let mut seen = FxHashSet::default();
    firsts.chain(others).filter(|one| seen.insert(one.pid)).map(Owner::from).collect()
}

/// `nginx[12]`, `nginx[12] (and 3 more)`, or words for nobody.
pub fn named(owners: &[Owner]) -> String {
    match owners {
        [] => "a process that could not be seen".to_owned(),
        [only] => name(only),
        [first, rest @ ..] => format!("{} (and {} more)", name(first), rest.len()),
    }
}

fn name(owner: &Owner) -> String {
    let mut text = Vec::new();
    crate::render::escape::process_name(&mut text, &owner.comm);
    let comm = String::from_utf8_lossy(&text).into_owned();
    match &owner.home.container {
        Some(container) => format!("{comm}[{}] in container {}", owner.pid, container.label()),
        None => format!("{comm}[{}]", owner.pid),
    }
}

/// `10.0.0.1:80`, `[::1]:80`, `*:80`.
pub fn end(end: InetEnd) -> String {
    let port = if end.port == 0 { "*".to_owned() } else { end.port.to_string() };
    match end.addr.to_canonical() {
        addr if addr.is_unspecified() => format!("*:{port}"),
        std::net::IpAddr::V6(addr) => format!("[{addr}]:{port}"),
        addr => format!("{addr}:{port}"),
    }
}

/// An address in a filter: with brackets around IPv6.
pub fn filter_host(addr: std::net::IpAddr) -> String {
    match addr {
        std::net::IpAddr::V6(addr) => format!("[{addr}]"),
        std::net::IpAddr::V4(addr) => addr.to_string(),
    }
}

/// With commas between thousands.
pub fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 connection`, `2 connections`, `2 addresses`.
pub fn counted(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    let ending = match number {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", grouped(number))
}

/// `800 ms`, `12 s`, `3 min`, `5 h`.
pub fn span(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{:.1} s", ms as f64 / 1e3),
        10_000..120_000 => format!("{} s", ms / 1000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", grouped(ms / 3_600_000)),
    }
}

/// `512 B`, `12.5 kB`, `1.2 MB`.
pub fn bytes(bytes: impl Into<u64>) -> String {
    let bytes = bytes.into();
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

impl ConnectError {
    /// The kernel's name, where it is the kernel that ends it.
    pub fn name(self) -> &'static str {
        match self {
            ConnectError::Refused => "ECONNREFUSED",
            ConnectError::TimedOut => "ETIMEDOUT",
            ConnectError::Reset => "ECONNRESET",
            ConnectError::Unreachable => "EHOSTUNREACH",
            ConnectError::GivenUp => "given up",
            ConnectError::NoPort => "EADDRNOTAVAIL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Container;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0u64, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1u64, "socket"), "1 socket");
        assert_eq!(counted(2000u64, "socket"), "2,000 sockets");
        assert_eq!(counted(2u64, "address"), "2 addresses");
        assert_eq!(
            [5, 1500, 60_000, 600_000, 8_000_000].map(span),
            ["5 ms", "1.5 s", "60 s", "10 min", "2 h"]
        );
        assert_eq!([5u64, 1500, 2_500_000].map(bytes), ["5 B", "1.5 kB", "2.5 MB"]);
    }

    #[test]
    fn ends_are_written_as_in_a_filter() {
        let end_of = |addr: &str, port| end(InetEnd { addr: addr.parse().unwrap(), port });
        assert_eq!(end_of("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(end_of("::ffff:10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(end_of("2001:db8::1", 0), "[2001:db8::1]:*");
        assert_eq!(end_of("::", 80), "*:80");
    }

    #[test]
    fn commands_look_where_the_finding_was_made() {
        let listed = |command: &str| {
            let mut finding = Finding {
                rule: "",
                severity: Severity::Note,
                weight: 0,
                what: String::new(),
                sure: Sure::Certain,
                because: String::new(),
                evidence: Table::default(),
                command: command.to_owned(),
                why: "",
                advice: Vec::new(),
            };
            finding.list_in("web");
            finding.command
        };
        for (command, expected) in [
            ("socktrace -tlnp 'sport = :80'", "socktrace -N web -tlnp 'sport = :80'"),
            ("socktrace states -a 'pid = 7'", "socktrace states -N web -a 'pid = 7'"),
            ("socktrace life", "socktrace life -N web"),
            ("ls -l /proc/7/fd", "ls -l /proc/7/fd"),
        ] {
            assert_eq!(listed(command), expected);
        }
    }

    #[test]
    fn hostile_names_do_not_reach_the_terminal() {
        let container = Container { runtime: None, id: "c1".into(), name: None, image: None };
        let home = Home { container: Some(container), ..Home::default() };
        let owner = Owner { pid: 7, comm: b"a\x1b[2J".to_vec(), uid: None, home };
        assert_eq!(named(&[owner]), "a.[2J[7] in container c1");
    }
}
