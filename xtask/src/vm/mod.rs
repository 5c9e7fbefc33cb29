//! The live tests on Debian's kernels, old and new, in virtual machines.
//!
//! What a kernel is judged by is what its guest reports, line by line, on a serial port of its own:
//! a guest that hangs or panics reports too little, whatever QEMU's exit status is.

mod guest;
mod kernel;
mod machine;
mod report;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use guest::Guest;
use report::Report;

/// Test files that run only when they are named: they tell little about the kernel.
const LEFT_OUT: &[&str] = &[
    "audit_connections",
    "audit_limits",
    "audit_listeners",
    "audit_states",
    "audit_traced",
    "containers",
    "faults",
    "filter",
    "filter_words",
    "json",
    "json_events",
    "listen",
    "progress",
    "report",
    "snapshot_events",
    "snapshot_filter",
    "snapshot_layout",
    "snapshot_random",
    "snapshot_recorded",
    "snapshot_refused",
    "snapshot_tables",
    "snapshot_vectors",
    "watch",
];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kernels: 5.10, 6.1, 6.12, 6.x, newest; all of them if none is named
    kernels: Vec<String>,
    /// Run only the test files whose name contains this
    #[arg(long, value_name = "PART")]
    test: Vec<String>,
    /// Run a command of the shell in the guest instead of the tests, and print what it says
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// The socktrace to run; the release build of this tree without
    #[arg(long, value_name = "FILE")]
    socktrace: Option<PathBuf>,
}

pub(crate) fn run(root: &Path, target: &Path, options: &Options) -> Result<()> {
    let kernels = kernel::named(&options.kernels)?;
    let directory = target.join("vm");
    let tools = tools::fetch(&directory.join("tools"))?;
    let programs = Programs::build(root, target, options.socktrace.as_deref())?;
    let tests = programs.chosen(&options.test);
    let mut reports = Vec::new();
    for kernel in kernels {
        let files = kernel.fetch(&directory.join(kernel.name))?;
        let guest = Guest {
            root,
            userland: &tools.userland,
            kernel: &files,
            socktrace: &programs.socktrace,
            helpers: &programs.helpers,
            tests: &tests,
            command: options.command.as_deref(),
        };
        let initramfs = directory.join(kernel.name).join("initramfs.cpio");
        guest.pack(&directory.join(kernel.name).join("guest"), &initramfs)?;
        let started = Instant::now();
        let log = directory.join(format!("{}.log", kernel.name));
        let said = machine::boot(&tools.qemu, &files.image, &initramfs, &log)?;
        let report = Report::read(&files.release, &said, started.elapsed());
        if options.command.is_some() {
            println!("== {}\n{}", report.release, report.command_output);
        } else {
            println!("{}", report.in_short());
        }
        print!("{}", report.failures());
        reports.push(report);
    }
    if options.command.is_none() {
        let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        print!("\n{}", report::table(&names, &reports));
    }
    let bad: Vec<&str> = reports
        .iter()
        .filter(|report| !report.is_good())
        .map(|report| report.release.as_str())
        .collect();
    ensure!(
        bad.is_empty(),
        "not as it should be on {}: see {}",
        bad.join(", "),
        directory.display()
    );
    Ok(())
}

/// A test file, built.
struct Test {
    name: String,
    path: PathBuf,
}

struct Programs {
    socktrace: PathBuf,
    /// What the tests start besides.
    helpers: Vec<PathBuf>,
    tests: Vec<Test>,
}

impl Programs {
    /// Builds the tests and all that they run.
    fn build(root: &Path, target: &Path, socktrace: Option<&Path>) -> Result<Programs> {
        let build = |arguments: &[&str]| -> Result<Vec<(String, PathBuf)>> {
            let output = Command::new(env!("CARGO"))
                .args(arguments)
                .args(["--quiet", "--locked", "--message-format", "json-render-diagnostics"])
                .current_dir(root)
                .stderr(Stdio::inherit())
                .output()
                .context("cargo does not run")?;
            ensure!(output.status.success(), "the tests do not build");
            Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(executable).collect())
        };
        let socktrace = match socktrace {
            Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
            // As people run it; without optimization it would be slow twice over in there.
            None => {
                build(&["build", "--release", "-p", "socktrace", "--bin", "socktrace"])?;
                target.join("release/socktrace")
            }
        };
        let built = build(&["test", "--no-run", "-p", "socktrace-tests"])?;
        let (helpers, mut tests): (Vec<_>, Vec<_>) =
            built.into_iter().partition(|(name, _)| name.starts_with("socktrace-"));
        tests.retain(|(name, _)| name != "socktrace_tests");
        tests.sort();
        Ok(Programs {
            socktrace,
            // Beside the helper, cargo builds its unit tests, which lie in deps/.
            helpers: helpers.into_iter().map(|(name, _)| target.join("debug").join(name)).collect(),
            tests: tests.into_iter().map(|(name, path)| Test { name, path }).collect(),
        })
    }

    fn chosen(&self, parts: &[String]) -> Vec<&Test> {
        let is_chosen = |test: &&Test| match parts {
            [] => !LEFT_OUT.contains(&test.name.as_str()),
            parts => parts.iter().any(|part| test.name.contains(part)),
        };
        self.tests.iter().filter(is_chosen).collect()
    }
}

/// The name and path of an executable that a message of cargo announces.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    Some((name.to_owned(), path.into()))
}

/// The one file of a folder that is wanted.
fn only<T>(mut found: Vec<T>, what: &str) -> Result<T> {
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => bail!("there is no {what}"),
        (Some(_), false) => bail!("there is more than one {what}"),
    }
}
