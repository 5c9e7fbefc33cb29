//! Runs every fuzz target for a bounded time, on the toolchain that builds everything else.
//!
//! The layout is that of cargo-fuzz, which works as well; without it, coverage comes from the
//! compiler's own pass. The sanitizers need a nightly compiler and are left to cargo-fuzz.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// When a target has run long enough.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long to run each target
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Run each target so many times instead
    #[arg(long, conflicts_with = "seconds")]
    runs: Option<u64>,
    /// The one target to run
    target: Option<String>,
}

pub(crate) fn run(root: &Path, target: &Path, options: &Options) -> Result<()> {
    let fuzz = root.join("fuzz");
    // With a target of its own the flags stay away from build scripts.
    let triple = host_triple()?;
    let directory = target.join("fuzz");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--bins", "--target", &triple, "--manifest-path"])
        .arg(fuzz.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&directory)
        .env("RUSTFLAGS", COVERAGE)
        .status()
        .context("cargo does not run")?;
    ensure!(status.success(), "the fuzz targets do not build");
    for name in targets(&fuzz)? {
        if options.target.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        // What is found on the way stays out of the committed corpus.
        let grown = directory.join("corpus").join(&name);
        let artifacts = directory.join("artifacts").join(&name);
        fs::create_dir_all(&grown)?;
        fs::create_dir_all(&artifacts)?;
        let status = Command::new(directory.join(&triple).join("release").join(&name))
            .arg(options.bound())
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args(["-timeout=5", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"])
            .arg(&grown)
            .arg(fuzz.join("corpus").join(&name))
            .status()
            .with_context(|| format!("the fuzz target {name} does not run"))?;
        ensure!(status.success(), "{name} fails: see {}", artifacts.display());
        println!("{name}: no failure");
    }
    Ok(())
}

impl Options {
    /// For libFuzzer.
    fn bound(&self) -> String {
        match self.runs {
            Some(runs) => format!("-runs={runs}"),
            None => format!("-max_total_time={}", self.seconds),
        }
    }
}

/// The names of the targets, which are those of their files.
fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(fuzz.join("fuzz_targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn host_triple() -> Result<String> {
    let version = Command::new("rustc").arg("-vV").output().context("rustc does not run")?;
    let version = String::from_utf8(version.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}
