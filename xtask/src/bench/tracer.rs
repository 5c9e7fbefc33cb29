//! A tracer beside the load: started, awaited, ended, and its output counted.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::usage;

/// A command that traces, and how one can tell that it does.
#[derive(Debug, Clone)]
pub(super) struct Tracer {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) live: Live,
    /// How a line of its output is recognised as the end of one side of a connection.
    pub(super) end: EndLine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Live {
    /// It says "tracing" on standard error.
    Says,
    /// It prints something, such as a header.
    Prints,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndLine {
    /// Each line is one.
    Each,
    /// Each line with this word is one.
    With(&'static str),
    /// Each line with two words that are a state of a connection and one after its end is one.
    Transition,
}

/// What it wrote and what it cost.
pub(super) struct Traced {
    pub(super) lines: u64,
    /// Ends of either side of the connections to the given ports.
    pub(super) ends: u64,
    pub(super) bytes: u64,
    /// Since it traced: what the start takes, it takes once.
    pub(super) cpu: Duration,
    /// From the command to the word that it traces.
    pub(super) start: Duration,
    /// What it said of losses.
    pub(super) losses: Vec<String>,
}

pub(super) struct Running {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
    end: EndLine,
    /// What the start took of the CPUs.
    start_cpu: Duration,
    /// From the command to the word that it traces.
    start: Duration,
}

/// The states of connections.
const OPEN: [&str; 8] = [
    "SYN-SENT",
    "SYN-RECV",
    "ESTAB",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSING",
    "CLOSE-WAIT",
    "LAST-ACK",
];
const START: Duration = Duration::from_secs(30);
/// What prints a header may do so before it traces.
const SETTLE: Duration = Duration::from_millis(500);

impl Tracer {
    /// Starts it with its output in a file, and waits until it traces.
    pub(super) fn start(&self, folder: &Path) -> Result<Running> {
        let (output, errors) = (folder.join("output"), folder.join("errors"));
        let started = Instant::now();
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(File::create(&errors)?)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let mut running = Running {
            child,
            output,
            errors,
            end: self.end,
            start_cpu: Duration::ZERO,
            start: Duration::ZERO,
        };
        let deadline = started + START;
        while !running.is_live(self.live)? {
            if running.child.try_wait()?.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&running.errors)?;
                let _ = running.child.kill();
                bail!("{} does not trace: {}", self.name, said.trim());
            }
            sleep(Duration::from_millis(1));
        }
        running.start = started.elapsed();
        if self.live == Live::Prints {
            sleep(SETTLE);
        }
        running.start_cpu = usage::so_far(&running.child)?;
        Ok(running)
    }
}

impl Running {
    fn is_live(&self, live: Live) -> Result<bool> {
        Ok(match live {
            Live::Says => fs::read_to_string(&self.errors)?.contains("tracing"),
            Live::Prints => fs::metadata(&self.output)?.len() > 0,
        })
    }

    /// Ends it as Ctrl-C would, and reads what it wrote.
    pub(super) fn stop(self, ports: &[u16]) -> Result<Traced> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let used = usage::wait(&self.child)?;
        let losses = fs::read_to_string(&self.errors)?
            .lines()
            .filter(|line| line.to_lowercase().contains("lost"))
            .map(str::to_owned)
            .collect();
        let mut traced = Traced {
            lines: 0,
            ends: 0,
            bytes: fs::metadata(&self.output)?.len(),
            cpu: used.cpu.saturating_sub(self.start_cpu),
            start: self.start,
            losses,
        };
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let mut lines = BufReader::new(File::open(&self.output)?);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            traced.lines += 1;
            if self.end.is_in(&line) && ports.iter().any(|port| has_port(&line, port)) {
                traced.ends += 1;
            }
            line.clear();
        }
        Ok(traced)
    }
}

impl EndLine {
    pub(super) fn is_in(self, line: &str) -> bool {
        match self {
            EndLine::Each => true,
            EndLine::With(word) => line.split_ascii_whitespace().any(|one| one == word),
            EndLine::Transition => line
                .split_ascii_whitespace()
                .zip(line.split_ascii_whitespace().skip(1))
                .any(|(from, to)| ["UNCONN", "TIME-WAIT"].contains(&to) && OPEN.contains(&from)),
        }
    }
}

/// Whether one of the words of the line is the port, or an address with it.
pub(super) fn has_port(line: &str, port: &str) -> bool {
    line.split_ascii_whitespace().any(|word| word.rsplit(':').next() == Some(port))
}

/// The peers of these names that are installed.
pub(super) fn peers(wanted: &[String]) -> Vec<Tracer> {
    let mut found = Vec::new();
    for name in wanted {
        let names = [name.clone(), format!("{name}-bpfcc"), format!("{name}.bt")];
        let Some(program) = names.iter().find_map(|name| on_path(name)) else { continue };
        let (arguments, end) = match name.as_str() {
            "bpftrace" => (vec!["-e".to_owned(), BPFTRACE.to_owned()], EndLine::With("7")),
            "tcpstates" => (vec![], EndLine::With("CLOSE")),
            _ => (vec![], EndLine::Each),
        };
        found.push(Tracer { name: name.clone(), program, arguments, live: Live::Prints, end });
    }
    found
}

/// Every transition with what a person needs of it: the state entered comes last.
const BPFTRACE: &str = "tracepoint:sock:inet_sock_set_state /args->protocol == 6/ {
    printf(\"%llu %d %s %d %d %d %d\\n\", nsecs, pid, comm, args->sport, args->dport,
        args->oldstate, args->newstate); }";

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
