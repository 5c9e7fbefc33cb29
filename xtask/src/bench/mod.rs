//! Benchmarks that anyone can run: both sides in turn, in one run, and the ratio.

mod churn;
mod floor;
mod instructions;
mod measure;
mod owners;
mod peak;
mod population;
mod start;
mod tracer;
mod usage;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

pub(crate) use churn::Load;
pub(crate) use churn::load;
pub(crate) use churn::soak;
pub(crate) use floor::read_dumps;
use measure::{Figures, Measured, measure_in_turn};
use population::{Kind, Population};
pub(crate) use population::{Role, populate};

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Listings of many sockets, beside ss
    Snapshot(Snapshot),
    /// Instructions of a socket on its way from a recorded dump to its line
    Instructions(instructions::Instructions),
    /// Connections that come and go at full speed, untraced and traced
    Churn(churn::Churn),
    /// From the command until it traces, with and without the kernel's verifier
    Start(start::Start),
}

#[derive(Args)]
pub(crate) struct Snapshot {
    /// How many TCP sockets to make, in a network namespace of their own
    #[arg(long, default_value_t = 200_000)]
    sockets: u32,
    /// How many UNIX sockets to make in their place
    #[arg(long, conflicts_with = "sockets")]
    unix: Option<u32>,
    /// How many times to run each command
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The ss to compare with, and what stands before the options of a listing
    #[arg(long, default_value = "ss", value_parser = words)]
    ss: Words,
    /// Compare first the holders of each socket with those that /proc tells
    #[arg(long)]
    check_owners: bool,
    /// Time as well, beside each listing, who reads the dumps of -tan and throws them away
    #[arg(long, conflicts_with = "unix")]
    floor: bool,
    /// An option for socktrace alone, as --ours=--owners=walk
    #[arg(long)]
    ours: Vec<String>,
    /// The listings to time, each one argument; a standing set without
    listings: Vec<String>,
}

/// A program and its first arguments.
#[derive(Clone)]
struct Words(Vec<String>);

fn words(text: &str) -> Result<Words, String> {
    let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() { Err("a program is wanted".to_owned()) } else { Ok(Words(words)) }
}

/// `-p` is left out of the standing set beyond this: ss takes minutes for it.
const OWNERS_UP_TO: u32 = 50_000;
/// Up to this, the start is what takes time.
const HARDLY_ANY: u32 = 100;

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Snapshot(options) => snapshot(options),
        Bench::Instructions(options) => instructions::run(options),
        Bench::Churn(options) => churn::run(options),
        Bench::Start(options) => start::run(options),
    }
}

fn snapshot(options: &Snapshot) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("this needs root, to make a network namespace for the sockets");
    }
    let ours = release_binary()?;
    population::enter_namespace()?;
    let (kind, sockets) = match options.unix {
        Some(sockets) => (Kind::Unix, sockets),
        None => (Kind::Tcp, options.sockets),
    };
    let population = Population::start(kind, sockets)?;
    if options.check_owners {
        owners::check(&ours, kind, &population.pids())?;
    }
    let listings = match (&options.listings[..], kind) {
        ([], Kind::Tcp) => standing(sockets, population.port()),
        ([], Kind::Unix) => standing_unix(sockets),
        (listings, _) => listings.to_vec(),
    };
    println!(
        "{} sockets of {} processes; medians of {} runs in turn, output to a file",
        population.sockets(),
        population.processes(),
        options.runs
    );
    println!(
        "{:<44}{:>10}{:>10}{:>8}{:>11}{:>11}",
        "", "ss", "socktrace", "ratio", "ss", "socktrace"
    );
    for listing in listings {
        let arguments: Vec<&str> = listing.split_whitespace().collect();
        let Measured { ss, ours, floor, is_same } = measure_in_turn(
            &options.ss.0,
            &ours,
            &options.ours,
            &arguments,
            options.runs,
            options.floor,
        )?;
        print_row(&listing, &ss, &ours, is_same)?;
        if let Some(floor) = floor {
            print_floor(&ss, &ours, &floor)?;
        }
    }
    Ok(())
}

fn print_row(listing: &str, ss: &Figures, ours: &Figures, is_same: bool) -> Result<()> {
    let note = if is_same { "" } else { "  (output differs)" };
    println!(
        "{listing:<44}{:>8.3} s{:>8.3} s{:>8.3}{:>8} kB{:>8} kB{note}",
        ss.seconds,
        ours.seconds,
        ours.seconds / ss.seconds,
        ss.peak_kilobytes,
        ours.peak_kilobytes,
    );
    std::io::stdout().flush().context("cannot write the figures")
}

fn print_floor(ss: &Figures, ours: &Figures, floor: &Figures) -> Result<()> {
    println!(
        "    the dumps of -tan alone: {:.3} s, {:.3} of ss; socktrace takes {:.3} of that",
        floor.seconds,
        floor.seconds / ss.seconds,
        ours.seconds / floor.seconds,
    );
    std::io::stdout().flush().context("cannot write the figures")
}

fn standing(sockets: u32, port: u16) -> Vec<String> {
    if sockets <= HARDLY_ANY {
        return ["-tln", "-tlnp"].map(str::to_owned).to_vec();
    }
    let mut listings = vec![
        "-tan".to_owned(),
        "-tani".to_owned(),
        "-tanemo".to_owned(),
        format!("-tan state established sport = :{port}"),
        "-tan dport = :1 or dev = 77".to_owned(),
        "-tln".to_owned(),
    ];
    if sockets <= OWNERS_UP_TO {
        listings.push("-tanp".to_owned());
    }
    listings
}

fn standing_unix(sockets: u32) -> Vec<String> {
    let mut listings = vec!["-xan".to_owned(), "-xanem".to_owned()];
    if sockets <= OWNERS_UP_TO {
        listings.push("-xanp".to_owned());
    }
    listings
}

/// The binary that was given, else the optimised one of this tree.
fn given_or_release(given: Option<&Path>) -> Result<PathBuf> {
    match given {
        Some(path) => path.canonicalize().with_context(|| path.display().to_string()),
        None => release_binary(),
    }
}

/// The optimised binary, built if need be.
fn release_binary() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--package", "socktrace"])
        .current_dir(&root)
        .status()
        .context("cannot run cargo")?;
    if !built.success() {
        bail!("socktrace does not build");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    target.join("release/socktrace").canonicalize().context("there is no built socktrace")
}
