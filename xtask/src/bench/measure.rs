//! Whole processes, timed from outside: wall clock and peak memory.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};

use super::peak;

/// The medians of one side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) seconds: f64,
    pub(crate) peak_kilobytes: u64,
}

pub(crate) struct Measured {
    pub(crate) ss: Figures,
    pub(crate) ours: Figures,
    /// The dumps alone, where they were asked for.
    pub(crate) floor: Option<Figures>,
    /// Whether both printed the same in the last run.
    pub(crate) is_same: bool,
}

/// A listing that takes ss longer than this is run once: its time is not in the noise.
const SLOW_SECONDS: f64 = 5.0;

/// Runs both commands in turn, `runs` times each, and the floor if it is wanted; `ss` is a program
/// and its first arguments, `options` are for ours alone.
pub(crate) fn measure_in_turn(
    ss: &[String],
    ours: &Path,
    options: &[String],
    arguments: &[&str],
    runs: usize,
    with_floor: bool,
) -> Result<Measured> {
    let folder = std::env::temp_dir().join(format!("socktrace-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (ss_out, ours_out) = (folder.join("ss"), folder.join("socktrace"));
    let (mut ss_runs, mut our_runs, mut floor_runs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs.max(1) {
        ss_runs.push(run_once(Command::new(&ss[0]).args(&ss[1..]).args(arguments), &ss_out)?);
        our_runs.push(run_once(Command::new(ours).args(options).args(arguments), &ours_out)?);
        if with_floor {
            let itself = std::env::current_exe()?;
            floor_runs.push(run_once(Command::new(itself).arg("floor"), Path::new("/dev/null"))?);
        }
        if ss_runs[0].seconds > SLOW_SECONDS {
            break;
        }
    }
    let is_same = is_same_text(&ss_out, &ours_out)?;
    fs::remove_dir_all(&folder)?;
    let floor = with_floor.then(|| median(floor_runs));
    Ok(Measured { ss: median(ss_runs), ours: median(our_runs), floor, is_same })
}

/// Whether two listings are the same but for blanks at the ends of lines, which older versions of
/// ss print.
fn is_same_text(one: &Path, other: &Path) -> Result<bool> {
    let (mut one, mut other) =
        (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    let (mut line, mut other_line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        other_line.clear();
        let read = one.read_until(b'\n', &mut line)?;
        let other_read = other.read_until(b'\n', &mut other_line)?;
        if line.trim_ascii_end() != other_line.trim_ascii_end() {
            return Ok(false);
        }
        if read == 0 || other_read == 0 {
            return Ok(read == other_read);
        }
    }
}

fn run_once(command: &mut Command, out: &Path) -> Result<Figures> {
    let file = File::create(out)?;
    let started = Instant::now();
    let child = peak::spawn(command.stdin(Stdio::null()).stdout(file))?;
    let (status, peak_kilobytes) = peak::wait(&child)?;
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        bail!("a listing failed ({status})");
    }
    Ok(Figures { seconds, peak_kilobytes })
}

fn median(mut runs: Vec<Figures>) -> Figures {
    let middle = runs.len() / 2;
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let seconds = runs[middle].seconds;
    runs.sort_by_key(|run| run.peak_kilobytes);
    Figures { seconds, peak_kilobytes: runs[middle].peak_kilobytes }
}
