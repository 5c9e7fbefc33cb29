//! Connections at full speed, untraced and traced in turn: what a tracer costs, and what it loses.
//!
//! Each run has a network namespace of its own, so that the TIME-WAIT sockets of one are no burden
//! to the next. The rate of a traced run is compared with that of the untraced run of its round;
//! the time of the CPUs tells cost from noise.

mod load;
pub(crate) mod soak;
mod stat;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::tracer::{self, EndLine, Live, Traced, Tracer};
use super::{given_or_release, population};
use load::{End, FIRST_PORT, MARKED_PORT, Made, Workers};
pub(crate) use load::{Load, load};
use stat::Machine;

#[derive(Debug, Args)]
pub(crate) struct Churn {
    /// How many connections to make in each run
    #[arg(long, default_value_t = 100_000)]
    connections: u64,
    /// How connections end
    #[arg(long, value_enum, default_value = "close")]
    end: End,
    /// Processes that make them; as many as there are CPUs without
    #[arg(long)]
    workers: Option<u16>,
    /// Connections a second; as many as can be without
    #[arg(long)]
    rate: Option<f64>,
    /// When to stop a run, however many connections there were
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// How often to run everything
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A filter for socktrace; one connection of each run is to port 4242
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// More options for socktrace, such as "--json"
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true, default_value = "")]
    options: String,
    /// The commands of socktrace to run
    #[arg(long, value_delimiter = ',', default_values = ["life", "trace"])]
    commands: Vec<String>,
    /// Peers to run as well, if they are installed
    #[arg(long, value_delimiter = ',', default_values = ["bpftrace", "tcplife", "tcpstates"])]
    peers: Vec<String>,
    /// The socktrace to run; the release build of this tree without
    #[arg(long)]
    socktrace: Option<PathBuf>,
}

/// One run.
struct Run {
    made: Made,
    machine: Machine,
    traced: Option<Traced>,
}

impl Run {
    fn rate(&self) -> f64 {
        self.made.connections as f64 / self.made.seconds
    }

    /// What load and tracer used, per connection.
    fn own_us(&self) -> f64 {
        self.made.cpu.as_secs_f64() * 1e6 / self.made.connections as f64 + self.reader_us()
    }

    /// What the tracer's own process used of that, per connection.
    fn reader_us(&self) -> f64 {
        let tracer = self.traced.as_ref().map_or(Duration::ZERO, |traced| traced.cpu);
        tracer.as_secs_f64() * 1e6 / self.made.connections as f64
    }

    /// What the machine was busy with, per connection: others too, but also interrupts.
    fn busy_us(&self) -> f64 {
        self.machine.busy.as_secs_f64() * 1e6 / self.made.connections as f64
    }
}

pub(crate) fn run(options: &Churn) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("this needs root, to trace and to make network namespaces");
    }
    let socktrace = given_or_release(options.socktrace.as_deref())?;
    let workers = match options.workers {
        Some(workers) => workers,
        None => u16::try_from(std::thread::available_parallelism()?.get())?,
    };
    let loads = loads(options, workers.max(1));
    let mut tracers = ours(options, &socktrace);

    let folder = std::env::temp_dir().join(format!("socktrace-churn-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    tracers.extend(able(tracer::peers(&options.peers), &folder));
    let result = rounds(options, &loads, &tracers, &folder);
    fs::remove_dir_all(&folder)?;
    result
}

fn rounds(options: &Churn, loads: &[Load], tracers: &[Tracer], folder: &Path) -> Result<()> {
    println!(
        "{} connections by {} workers, ended by {:?}; {} rounds in turn, output to a file",
        options.connections,
        loads.len(),
        options.end,
        options.rounds
    );
    println!(
        "{:<12}{:>10}{:>8}{:>9}{:>8}{:>8}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "",
        "conn/s",
        "ratio",
        "own us",
        "ratio",
        "reader",
        "busy us",
        "softirq",
        "lines",
        "MB",
        "ends",
        "missing"
    );
    let mut ratios = vec![Vec::new(); tracers.len()];
    for _ in 0..options.rounds.max(1) {
        let untraced = one_run(loads, None, folder)?;
        print_row("untraced", &untraced, &untraced)?;
        for (tracer, ratios) in tracers.iter().zip(&mut ratios) {
            let run = one_run(loads, Some(tracer), folder)?;
            print_row(&tracer.name, &run, &untraced)?;
            let start = run.traced.as_ref().map_or(0.0, |traced| traced.start.as_secs_f64() * 1e3);
            ratios.push((run.rate() / untraced.rate(), run.own_us() / untraced.own_us(), start));
        }
    }
    for (tracer, mut ratios) in tracers.iter().zip(ratios) {
        let mut median = |by: fn(&(f64, f64, f64)) -> f64| {
            ratios.sort_by(|a, b| by(a).total_cmp(&by(b)));
            by(&ratios[ratios.len() / 2])
        };
        println!(
            "{}: median {:.3} of the untraced rate, {:.3} of its CPU time per connection; traces after \
             {:.0} ms",
            tracer.name,
            median(|run| run.0),
            median(|run| run.1),
            median(|run| run.2)
        );
    }
    Ok(())
}

/// The peers that can trace on this kernel; why the others cannot is said.
fn able(peers: Vec<Tracer>, folder: &Path) -> Vec<Tracer> {
    let is_able = |peer: &Tracer| match peer.start(folder).and_then(|running| running.stop(&[])) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("without {}: {error:#}", peer.name);
            false
        }
    };
    peers.into_iter().filter(is_able).collect()
}

/// The share of each worker; the first makes the marked connection.
fn loads(options: &Churn, workers: u16) -> Vec<Load> {
    (0..workers)
        .map(|i| Load {
            port: FIRST_PORT + i,
            connections: options.connections / u64::from(workers),
            end: options.end,
            rate: options.rate.map(|rate| rate / f64::from(workers)),
            seconds: options.seconds,
            mark: i == 0,
        })
        .collect()
}

fn ours(options: &Churn, socktrace: &Path) -> Vec<Tracer> {
    let tracer = |command: &String| {
        let mut arguments = vec![command.clone()];
        arguments.extend(options.options.split_whitespace().map(str::to_owned));
        arguments.extend(options.filter.iter().cloned());
        Tracer {
            name: command.clone(),
            program: socktrace.to_owned(),
            arguments,
            live: Live::Says,
            end: if command == "trace" { EndLine::Transition } else { EndLine::Each },
        }
    };
    options.commands.iter().map(tracer).collect()
}

fn one_run(loads: &[Load], tracer: Option<&Tracer>, folder: &Path) -> Result<Run> {
    population::enter_namespace()?;
    let workers = Workers::start(loads)?;
    let running = tracer.map(|tracer| tracer.start(folder)).transpose()?;
    let before = Machine::now()?;
    let made = workers.run()?;
    let machine = Machine::now()?.since(&before);
    await_closed()?;
    let ports: Vec<u16> = loads.iter().map(|load| load.port).chain([MARKED_PORT]).collect();
    let traced = running.map(|running| running.stop(&ports)).transpose()?;
    Ok(Run { made, machine, traced })
}

/// Waits until the last connections have ended: some of their packets may be left to ksoftirqd.
fn await_closed() -> Result<()> {
    let deadline = Instant::now() + CLOSED;
    while !fs::read_to_string("/proc/net/sockstat")?.contains("\nTCP: inuse 0 ") {
        ensure!(Instant::now() < deadline, "connections of the load do not end");
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// How long the last connections may take to end.
const CLOSED: Duration = Duration::from_secs(10);

fn print_row(name: &str, run: &Run, untraced: &Run) -> Result<()> {
    print!(
        "{name:<12}{:>10.0}{:>8.3}{:>9.1}{:>8.3}{:>8.2}{:>9.1}{:>9.1}",
        run.rate(),
        run.rate() / untraced.rate(),
        run.own_us(),
        run.own_us() / untraced.own_us(),
        run.reader_us(),
        run.busy_us(),
        run.machine.softirq.as_secs_f64() * 1e6 / run.made.connections as f64,
    );
    if let Some(traced) = &run.traced {
        // Both ends of each, and of the marked one.
        let ends = 2 * (run.made.connections + 1);
        print!(
            "{:>9}{:>9.1}{:>9}{:>9}",
            traced.lines,
            traced.bytes as f64 / 1e6,
            traced.ends,
            i128::from(ends) - i128::from(traced.ends),
        );
    }
    println!();
    for loss in run.traced.iter().flat_map(|traced| &traced.losses).take(LOSSES) {
        println!("    {loss}");
    }
    std::io::stdout().flush().context("cannot write the figures")
}

/// Lines on losses that are shown of a run.
const LOSSES: usize = 4;
