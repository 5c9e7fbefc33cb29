//! What a contributor runs: `cargo xtask COMMAND`.

mod bench;
mod build_ebpf;
mod debian;
mod fuzz;
mod oracle;
mod toolchain;
mod vm;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Time socktrace beside its peers
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Hold the sockets of a benchmark, as a child process of it
    #[command(hide = true)]
    Populate(bench::Role),
    /// Make the connections of a benchmark, as a child process of it
    #[command(hide = true)]
    Load(bench::Load),
    /// Read what a benchmark's listing would ask for, as a child process of it
    #[command(hide = true)]
    Floor,
    /// Build the eBPF programs into the object that socktrace embeds
    BuildEbpf(build_ebpf::Options),
    /// Have clippy read the eBPF programs, for their own target
    LintEbpf,
    /// Fetch the newest ss of Debian into target/oracle, for the tests to compare with
    Oracle,
    /// Run the fuzz targets, each for a bounded time or number of times
    Fuzz(fuzz::Options),
    /// Make connections for hours with life and trace on: memory, descriptors and losses
    Soak(bench::soak::Soak),
    /// Run the live tests on Debian's kernels, in virtual machines
    Vm(vm::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Bench(bench) => bench::run(&bench),
        Task::Populate(role) => bench::populate(&role),
        Task::Load(load) => bench::load(&load),
        Task::Floor => bench::read_dumps(),
        Task::BuildEbpf(options) => build_ebpf::run(&options),
        Task::LintEbpf => build_ebpf::lint(),
        Task::Oracle => oracle::fetch(&target()),
        Task::Fuzz(options) => fuzz::run(&root(), &target(), &options),
        Task::Soak(options) => bench::soak::run(&options),
        Task::Vm(options) => vm::run(&root(), &target(), &options),
    }
}

fn root() -> PathBuf {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    root.canonicalize().unwrap_or(root)
}

/// The directory that cargo builds into.
fn target() -> PathBuf {
    root().join("target")
}
