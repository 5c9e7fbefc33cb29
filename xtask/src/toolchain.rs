//! Finding what builds eBPF: a rustc with the source of its library, clang and llvm-strip of the
//! same LLVM, and bpf-linker. Where something is missing, the command that installs it.

use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The LLVM that the Debian packages named here belong to.
const DEBIAN_LLVM: &str = "22";
const BPF_LINKER: &str = "0.13.0";

pub(crate) struct Toolchain {
    pub(crate) rustc: PathBuf,
    pub(crate) cargo: PathBuf,
    pub(crate) clang: PathBuf,
    pub(crate) strip: PathBuf,
    pub(crate) linker: PathBuf,
    /// Where rustc keeps the source of its library.
    pub(crate) sysroot: PathBuf,
    /// One line for each tool whose version shows in the object.
    pub(crate) versions: String,
}

impl Toolchain {
    pub(crate) fn find() -> Result<Toolchain> {
        let mut missing = Vec::new();
        let rust = rust();
        if rust.is_none() {
            missing.push(
                "a rustc that can build core (apt-get install --no-remove rustc-web cargo-web \
                 rust-web-src, or rustup toolchain install nightly --component rust-src)"
                    .to_owned(),
            );
        }
        let llvm = rust.as_ref().map_or(DEBIAN_LLVM.to_owned(), |rust| rust.llvm.clone());
        let clang = llvm_tool("clang", &llvm);
        if clang.is_none() {
            missing.push(format!("clang {llvm} (apt-get install --no-remove clang-{llvm})"));
        }
        let strip = llvm_tool("llvm-strip", &llvm);
        if strip.is_none() {
            missing.push(format!("llvm-strip {llvm} (apt-get install --no-remove llvm-{llvm})"));
        }
        let linker = on_path("bpf-linker");
        if linker.is_none() {
            missing.push(format!(
                "bpf-linker (apt-get install --no-remove llvm-{llvm}-dev libpolly-{llvm}-dev \
                 libzstd-dev && LLVM_PREFIX=/usr/lib/llvm-{llvm} cargo install bpf-linker \
                 --version {BPF_LINKER} --locked --no-default-features --features llvm-{llvm})"
            ));
        }
        let (Some(rust), Some(clang), Some(strip), Some(linker)) = (rust, clang, strip, linker)
        else {
            bail!("building the programs needs, and there is not:\n  {}", missing.join("\n  "));
        };
        let mut versions = String::new();
        for tool in [&rust.rustc, &clang, &linker] {
            let line = output(Command::new(tool).arg("--version"))?;
            writeln!(versions, "{}", line.lines().next().unwrap_or_default())?;
        }
        let Rust { rustc, cargo, sysroot, .. } = rust;
        Ok(Toolchain { rustc, cargo, clang, strip, linker, sysroot, versions })
    }
}

struct Rust {
    rustc: PathBuf,
    cargo: PathBuf,
    sysroot: PathBuf,
    /// The major version of its LLVM.
    llvm: String,
}

/// The distribution's rustc, or rustup's nightly: whichever has the source of its library.
fn rust() -> Option<Rust> {
    let nightly = || {
        let path =
            output(Command::new("rustup").args(["which", "--toolchain", "nightly", "rustc"]));
        path.ok().map(|path| PathBuf::from(path.trim()))
    };
    rust_at(Path::new("/usr/bin/rustc")).or_else(|| rust_at(&nightly()?))
}

fn rust_at(rustc: &Path) -> Option<Rust> {
    let sysroot =
        PathBuf::from(output(Command::new(rustc).args(["--print", "sysroot"])).ok()?.trim());
    if !library(&sysroot).join("core").is_dir() {
        return None;
    }
    let version = output(Command::new(rustc).arg("-vV")).ok()?;
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    let beside = rustc.with_file_name("cargo");
    Some(Rust {
        rustc: rustc.to_owned(),
        cargo: if beside.is_file() { beside } else { on_path("cargo")? },
        llvm: llvm.split('.').next()?.to_owned(),
        sysroot,
    })
}

/// Where a sysroot has the source of the library.
pub(crate) fn library(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

/// A tool of LLVM, under its name with the version or, if that is the version, without.
fn llvm_tool(name: &str, version: &str) -> Option<PathBuf> {
    on_path(&format!("{name}-{version}")).or_else(|| {
        let tool = on_path(name)?;
        let text = output(Command::new(&tool).arg("--version")).ok()?;
        let (_, rest) = text.split_once("version ")?;
        rest.starts_with(&format!("{version}.")).then_some(tool)
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(home.map(|home| home.join("bin")))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// What a command prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} prints no UTF-8"))
}
