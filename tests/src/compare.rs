//! Comparing listings of socktrace with those of the oracle, to the byte.
//!
//! Ours is made between two of the oracle and must equal one of them. Only when the two of the
//! oracle differ from each other does [`MOVING`] come in.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::namespace::in_namespace;
use crate::oracle::{self, Oracle};
use crate::population::{Kind, Population};
use crate::process::socktrace;
use crate::{pty, skip};

/// What may differ between two listings of the same sockets: the digits of the value are not
/// compared, their number is.
const MOVING: &[(&str, &str)] = &[
    // (what comes before the value, why it moves)
    ("timer:(on,", "time to the next transmission"),
    ("timer:(keepalive,", "time to the next probe"),
    ("timer:(timewait,", "time to the end"),
    ("timer:(persist,", "time to the next probe"),
    ("timer:(delack,", "time to the acknowledgement"),
    ("lastsnd:", "time since data went out"),
    ("lastrcv:", "time since data came in"),
    ("lastack:", "time since an acknowledgement"),
    ("last_data_sent:", "time since data went out (MPTCP)"),
    ("last_data_recv:", "time since data came in (MPTCP)"),
    ("last_ack_recv:", "time since an acknowledgement (MPTCP)"),
    ("busy:", "time with something outstanding"),
    ("rwnd_limited:", "time with a full window, and its share"),
    ("sndbuf_limited:", "time with a full buffer, and its share"),
];

/// Control characters in the names of UNIX sockets: `ss` prints them as they are, ours never lets
/// them reach a terminal. The population has these two.
const MADE_SAFE: &[(&[u8], &[u8])] =
    &[(b"new\nline", b"new.line"), (b"tab\tand\x1b[31mcolour", b"tab.and.[31mcolour")];

/// The kernel frees the netlink sockets of a listing some time after its end: the count of sockets
/// in the summary settles late. It is blotted out here, and has a test that waits for it.
const SETTLES_LATE: &[u8] = b"Total: ";

/// How often to try while the sockets themselves change: something is sent again, a state ends.
const ATTEMPTS: usize = 6;
/// How many lines of a difference to show.
const SHOWN: usize = 6;

/// What a program printed.
#[derive(Debug)]
pub struct Listing {
    pub pid: u32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub status: ExitStatus,
}

impl Listing {
    pub fn of(mut command: Command) -> Listing {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let pid = child.id();
        let output = child.wait_with_output().expect("a child can be waited for");
        Listing { pid, stdout: output.stdout, stderr: output.stderr, status: output.status }
    }

    /// The text with [`MADE_SAFE`], without [`SETTLES_LATE`] and without the line of the tool's own
    /// socket: where it stands, its port and its queue depend on the process that lists. Netlink
    /// sockets only; the other lines remain.
    fn text(&self, oracle: &Oracle) -> Vec<u8> {
        let pid = self.pid;
        let own: [String; 3] =
            [format!("tcpdiag:ss/{pid} "), format!("4:{pid} "), format!("tcpdiag:{pid} ")];
        let holds_own = |line: &[u8]| {
            own.iter().any(|own| {
                line.windows(own.len() + 1).any(|at| at[0] == b' ' && &at[1..] == own.as_bytes())
            })
        };
        let mut all = self.stdout.clone();
        for (raw, safe) in MADE_SAFE {
            while let Some(at) = all.windows(raw.len()).position(|window| window == *raw) {
                all[at..at + raw.len()].copy_from_slice(safe);
            }
        }
        let mut text = Vec::with_capacity(all.len());
        for line in all.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(SETTLES_LATE) {
                text.extend_from_slice(SETTLES_LATE);
            } else if !holds_own(line) {
                text.extend_from_slice(line);
            }
        }
        oracle.level(&text)
    }
}

/// One invocation: a line such as `COLUMNS=80 -tan 'sport = :22'`, with `@120` in front for a
/// terminal 120 wide.
#[derive(Debug)]
pub struct Case {
    line: String,
    terminal: Option<u16>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Case {
    pub fn parse(line: &str) -> Case {
        let mut case = Case {
            line: line.to_owned(),
            terminal: None,
            environment: Vec::new(),
            arguments: Vec::new(),
        };
        for word in words(line) {
            let assignment = word.split_once('=').filter(|(name, _)| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            });
            match (word.strip_prefix('@'), assignment) {
                (Some(columns), _) if case.arguments.is_empty() => {
                    case.terminal = Some(columns.parse().expect("a width"));
                }
                (_, Some((name, value))) if case.arguments.is_empty() => {
                    case.environment.push((name.to_owned(), value.to_owned()));
                }
                _ => case.arguments.push(word),
            }
        }
        case
    }

    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    pub fn run(&self, mut command: Command) -> Listing {
        command.args(&self.arguments);
        for name in ["COLUMNS", "TCPDIAG_FILE", "PROC_ROOT"] {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C.UTF-8");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        match self.terminal {
            Some(columns) => pty::run(command, columns),
            None => Listing::of(command),
        }
    }
}

/// The words of a line as a shell sees them: blanks part, single quotes keep together.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\n' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Both programs under the same name: the name of the process is part of some listings.
pub struct Comparison {
    oracle: &'static Oracle,
    ours: PathBuf,
    replacements: Vec<(&'static str, String)>,
}

impl Comparison {
    /// `None`, said out loud, where there is no `ss`.
    pub fn new(directory: &Path) -> Option<Comparison> {
        let Some(oracle) = oracle::oracle() else {
            skip::report("there is no ss new enough to compare with (cargo xtask oracle)");
            return None;
        };
        let links = directory.join("link");
        fs::create_dir_all(&links).expect("no directory for the link");
        let ours = links.join("ss");
        let binary = PathBuf::from(socktrace().get_program());
        let binary = binary.canonicalize().expect("the path of socktrace");
        symlink(&binary, &ours).expect("no link named ss");
        Some(Comparison { oracle, ours, replacements: Vec::new() })
    }

    /// Puts `value` in place of `{name}` in the lines of the table.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Comparison {
        self.replacements.push((name, value.to_string()));
        self
    }

    pub fn oracle(&self) -> &'static Oracle {
        self.oracle
    }

    pub fn case(&self, line: &str) -> Case {
        let line = self.replacements.iter().fold(line.to_owned(), |line, (name, value)| {
            line.replace(&format!("{{{name}}}"), value)
        });
        Case::parse(&line)
    }

    pub fn ours(&self) -> Command {
        Command::new(&self.ours)
    }

    pub fn theirs(&self) -> Command {
        Command::new(self.oracle.path())
    }

    /// Compares every line of a table; panics with all differences.
    pub fn check(&self, table: &[&str]) {
        let mut differences = Vec::new();
        let mut compared = 0;
        for line in table {
            let case = self.case(line);
            if !self.oracle.knows(case.arguments()) {
                continue;
            }
            compared += 1;
            differences.extend(self.difference(&case));
        }
        println!("{compared} listings compared");
        assert!(
            differences.is_empty(),
            "{} of {compared} listings differ from those of {}:\n\n{}",
            differences.len(),
            self.oracle.path().display(),
            differences.join("\n")
        );
    }

    /// Compares what ours prints for the first of a pair with what `ss`, which refuses that, prints
    /// for the second.
    pub fn check_liberties(&self, table: &[(&str, &str)]) {
        for (free, strict) in table {
            let free = self.case(free);
            let strict = self.case(strict);
            if let Some(difference) = self.difference_between(&free, &strict) {
                panic!("not as $ {}\n{difference}", strict.line);
            }
        }
    }

    /// What differs, for people; `None` when nothing does.
    fn difference(&self, case: &Case) -> Option<String> {
        self.difference_between(case, case)
    }

    fn difference_between(&self, case: &Case, theirs: &Case) -> Option<String> {
        let mut found = None;
        for _ in 0..ATTEMPTS {
            let before = theirs.run(self.theirs());
            let ours = case.run(self.ours());
            let after = theirs.run(self.theirs());
            let [earlier, text, later] =
                [&before, &ours, &after].map(|listing| listing.text(self.oracle));
            let mut difference = String::new();
            if before.status != ours.status {
                let _ = writeln!(difference, "  ss: {}, ours: {}", before.status, ours.status);
            }
            if self.oracle.complains(&before.stderr) == ours.stderr.is_empty() {
                let _ = writeln!(
                    difference,
                    "  on stderr, ss: {:?}, ours: {:?}",
                    head(&before.stderr),
                    head(&ours.stderr)
                );
            }
            let agrees = text == earlier
                || text == later
                || earlier != later && {
                    let [earlier, text, later] = [&earlier, &text, &later].map(|text| still(text));
                    text == earlier || text == later
                };
            if !agrees {
                difference.push_str(&first_lines_that_differ(&later, &text));
            }
            if difference.is_empty() {
                return None;
            }
            found = Some(format!("$ {}\n{difference}", case.line));
        }
        found
    }
}

fn head(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().next().unwrap_or_default().to_owned()
}

/// The listing with the digits of what moves blotted out.
fn still(listing: &[u8]) -> Vec<u8> {
    let mut text = listing.to_vec();
    for (before, _) in MOVING {
        let before = before.as_bytes();
        let mut at = 0;
        while let Some(found) = text[at..].windows(before.len()).position(|w| w == before) {
            at += found + before.len();
            while let Some(byte) = text.get_mut(at).filter(|b| !b" ,)\n\t".contains(b)) {
                if byte.is_ascii_digit() {
                    *byte = b'#';
                }
                at += 1;
            }
        }
    }
    text
}

fn first_lines_that_differ(theirs: &[u8], ours: &[u8]) -> String {
    let lines = |text: &[u8]| -> Vec<String> {
        text.split_inclusive(|byte| *byte == b'\n').map(visible).collect()
    };
    let (theirs, ours) = (lines(theirs), lines(ours));
    let mut shown = String::new();
    let _ = writeln!(shown, "  {} lines of ss, {} of ours", theirs.len(), ours.len());
    let pairs = (0..theirs.len().max(ours.len()))
        .map(|index| (index, theirs.get(index), ours.get(index)))
        .filter(|(_, theirs, ours)| theirs != ours);
    for (index, theirs, ours) in pairs.take(SHOWN) {
        let _ = writeln!(shown, "  @ line {}", index + 1);
        for (sign, line) in [('-', theirs), ('+', ours)] {
            if let Some(line) = line {
                let _ = writeln!(shown, "  {sign}{line}");
            }
        }
    }
    shown
}

/// A line with its blanks and control characters to be seen.
fn visible(line: &[u8]) -> String {
    let mut seen = String::new();
    for letter in String::from_utf8_lossy(line).chars() {
        match letter {
            ' ' => seen.push('\u{b7}'),
            '\n' => seen.push('$'),
            letter if letter.is_control() => seen.extend(letter.escape_default()),
            letter => seen.push(letter),
        }
    }
    seen
}

/// Compares over the standing population, in a namespace of its own; `program` holds the sockets.
/// In the lines `{dir}` is where its UNIX sockets lie, `{pid}` the process that has most of them.
pub fn over_population(program: &str, body: impl FnOnce(&Comparison) + Send) {
    if !skip::is_root() {
        return skip::report("it needs root");
    }
    in_namespace(|| {
        let is_old = oracle::oracle().is_some_and(|oracle| !oracle.is_modern());
        let kind = if is_old { Kind::NoneInactive } else { Kind::Everything };
        let population = Population::start(program, kind);
        if let Some(comparison) = Comparison::new(population.directory()) {
            let directory = population.directory().display();
            body(&comparison.with("dir", directory).with("pid", population.pid()));
        }
    });
}
