//! How long a trace takes to begin, and how much of that is the kernel's verifier.
//!
//! Each command is started alone, and then under strace, which stops it at a few system calls only:
//! from execve(2) to the word that it traces, and how long the kernel was in the calls that load a
//! program. What strace adds counts as ours.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::given_or_release;
use super::tracer::{EndLine, Live, Tracer};

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// How often to start each command
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// The commands of socktrace to start
    #[arg(long, value_delimiter = ',', default_values = ["life", "trace", "retrans"])]
    commands: Vec<String>,
    /// The socktrace to start; the release build of this tree without
    #[arg(long)]
    socktrace: Option<PathBuf>,
}

/// What a start may take beyond the verifier.
const BOUND_MS: f64 = 100.0;

/// The starts of one round, in milliseconds.
struct Round {
    alone: f64,
    watched: Watched,
}

struct Watched {
    whole: f64,
    verifier: f64,
}

pub(crate) fn run(options: &Start) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("this needs root, to trace");
    }
    let socktrace = given_or_release(options.socktrace.as_deref())?;
    let folder = std::env::temp_dir().join(format!("socktrace-start-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = rounds(options, &socktrace, &folder);
    fs::remove_dir_all(&folder)?;
    result
}

fn rounds(options: &Start, socktrace: &Path, folder: &Path) -> Result<()> {
    let mut rounds: Vec<Vec<Round>> = options.commands.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds.max(1) {
        for (command, rounds) in options.commands.iter().zip(&mut rounds) {
            let alone = alone(socktrace, command, folder)?;
            rounds.push(Round { alone, watched: watched(socktrace, command, folder)? });
        }
    }
    println!("until it traces, in ms: medians of {} rounds in turn", options.rounds.max(1));
    println!("{:<12}{:>8}{:>14}{:>10}{:>8}", "", "alone", "under strace", "verifier", "rest");
    for (command, rounds) in options.commands.iter().zip(&rounds) {
        let rest = median(rounds, |round| round.watched.whole - round.watched.verifier);
        let verdict = if rest <= BOUND_MS { "within" } else { "beyond" };
        println!(
            "{command:<12}{:>8.1}{:>14.1}{:>10.1}{rest:>8.1}  {verdict} {BOUND_MS:.0}",
            median(rounds, |round| round.alone),
            median(rounds, |round| round.watched.whole),
            median(rounds, |round| round.watched.verifier),
        );
    }
    std::io::stdout().flush().context("cannot write the figures")
}

fn median(rounds: &[Round], of: fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn alone(socktrace: &Path, command: &str, folder: &Path) -> Result<f64> {
    let tracer = Tracer {
        name: command.to_owned(),
        program: socktrace.to_owned(),
        arguments: vec![command.to_owned()],
        live: Live::Says,
        end: EndLine::Each,
    };
    let traced = tracer.start(folder)?.stop(&[])?;
    Ok(traced.start.as_secs_f64() * 1e3)
}

fn watched(socktrace: &Path, command: &str, folder: &Path) -> Result<Watched> {
    let calls = folder.join("calls");
    fs::create_dir(&calls)?;
    let ended = Command::new("strace")
        // A file for each thread, with the time of each call and how long it took.
        .args(["--seccomp-bpf", "-ff", "-ttt", "-T", "-e", "trace=execve,bpf,write", "-o"])
        .arg(calls.join("of"))
        .arg(socktrace)
        .args([command, "--duration", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match ended {
        Ok(status) if status.success() => {}
        Ok(status) => bail!("socktrace {command} under strace: {status}"),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("this needs strace"),
        Err(error) => return Err(error).context("cannot run strace"),
    }
    let mut text = String::new();
    for file in fs::read_dir(&calls)? {
        text.push_str(&fs::read_to_string(file?.path())?);
    }
    fs::remove_dir_all(&calls)?;
    parse(&text).with_context(|| format!("strace tells not all of socktrace {command}"))
}

/// Reads lines such as `1795843073.724161 bpf(BPF_PROG_LOAD, {...}, 152) = 22 <0.122168>`.
fn parse(calls: &str) -> Option<Watched> {
    let (mut begun, mut live, mut verifier) = (None, None, 0.0);
    for line in calls.lines() {
        let (time, call) = line.split_once(' ')?;
        let time: f64 = time.parse().ok()?;
        if call.starts_with("execve(") {
            begun = Some(time);
        } else if call.starts_with("write(2, \"tracing") {
            live = Some(time);
        } else if call.starts_with("bpf(BPF_PROG_LOAD") {
            let (_, took) = call.rsplit_once('<')?;
            verifier += took.strip_suffix('>')?.parse::<f64>().ok()?;
        }
    }
    Some(Watched { whole: (live? - begun?) * 1e3, verifier: verifier * 1e3 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: &str = "\
1795843076.099735 execve(\"socktrace\", [\"socktrace\", \"trace\"], 0x7fff54d340d8 /* 39 vars */) = 0 <0.001>
1795843076.209249 bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_TRACING, insn_cnt=2614}, 152) = 22 <0.250000>
1795843076.502343 bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_TRACING, insn_cnt=1413}, 152) = -1 EPERM <0.050000>
1795843076.613330 bpf(BPF_MAP_FREEZE, {map_fd=12}, 152) = 0 <0.000009>
1795843076.620998 write(2, \"socktrace\", 9) = 9 <0.000670>
1795843076.621735 write(2, \"tracing TCP in all network names\"..., 53) = 53 <0.000005>
1795843076.639422 +++ exited with 0 +++
1795843076.616420 +++ exited with 0 +++
";

    #[test]
    fn the_calls_tell_the_whole_and_the_verifiers_part() {
        let Watched { whole, verifier } = parse(CALLS).unwrap();
        assert!((whole - 522.0).abs() < 0.001, "{whole}");
        assert!((verifier - 300.0).abs() < 0.001, "{verifier}");
    }

    #[test]
    fn a_start_that_did_not_come_to_its_end_has_no_length() {
        let (begun, _) = CALLS.split_once("1795843076.62").unwrap();
        assert!(parse(begun).is_none());
    }
}
