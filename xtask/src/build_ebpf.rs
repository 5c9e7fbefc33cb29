//! `cargo xtask build-ebpf`: the committed objects from their sources, alike in any folder.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::bpf_object::BpfObject;

use crate::toolchain::{self, Toolchain};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if the committed objects are not what the sources make
    #[arg(long)]
    check: bool,
}

const TARGET: &str = "bpfel-unknown-none";
/// What 5.10 understands: newer instructions are refused there.
const CPU: &str = "v2";

/// An object of its own for what is loaded at another time: the loader fits all of an object to the
/// kernel, whatever of it is used.
struct Object {
    /// The binary of socktrace-ebpf.
    bin: &'static str,
    accessors: &'static str,
    /// Its name among the committed ones.
    file: &'static str,
}

const OBJECTS: &[Object] = &[
    Object {
        bin: "socktrace-ebpf",
        accessors: "socktrace-ebpf/src/core.c",
        file: "socktrace.bpf.o",
    },
    Object {
        bin: "socktrace-owners",
        accessors: "socktrace-ebpf/src/owners/core.c",
        file: "owners.bpf.o",
    },
];

pub(crate) fn run(options: &Options) -> Result<()> {
    let root = root()?;
    let toolchain = Toolchain::find()?;
    let folder = root.join("socktrace/bpf");
    // Which tools made the objects.
    let versions = folder.join("toolchain.txt");
    let committed_by = fs::read_to_string(&versions).unwrap_or_default();
    fs::create_dir_all(&folder)?;
    for object in OBJECTS {
        let built = build(root, &toolchain, object)?;
        let committed = folder.join(object.file);
        if options.check {
            check(&built, &committed, &committed_by, &toolchain)?;
            continue;
        }
        fs::write(&committed, &built).context("cannot write the object")?;
        println!("{}: {} bytes", committed.display(), built.len());
    }
    if !options.check {
        fs::write(&versions, &toolchain.versions).context("cannot write the versions")?;
    }
    Ok(())
}

fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the root")
}

fn build(root: &Path, toolchain: &Toolchain, object: &Object) -> Result<Vec<u8>> {
    let folder = root.join("target/ebpf");
    fs::create_dir_all(&folder)?;
    let accessors = folder.join(object.bin).with_extension("bc");
    run_quietly(
        Command::new(&toolchain.clang)
            .args(["-target", "bpf", &format!("-mcpu={CPU}"), "-O2", "-g", "-Wall", "-Werror"])
            .args(["-emit-llvm", "-c", object.accessors, "-o"])
            .arg(&accessors)
            .arg(format!("-ffile-prefix-map={}=.", root.display()))
            .arg("-fdebug-compilation-dir=.")
            .current_dir(root),
    )?;
    run_quietly(
        cargo(root, toolchain)
            .args(["rustc", "--package", "socktrace-ebpf", "--bin", object.bin, "--release"])
            .args(["--target", TARGET, "-Zbuild-std=core", "--locked", "--target-dir"])
            .arg(&folder)
            .arg("--")
            .arg(format!("-Clink-arg={}", accessors.display()))
            .env("CARGO_ENCODED_RUSTFLAGS", flags(root, toolchain)?)
            // How the tool is optimised is nothing to the programs, which bpf-linker optimises.
            .envs([
                ("CARGO_PROFILE_RELEASE_LTO", "thin"),
                ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
            ]),
    )?;
    let stripped = folder.join(object.file);
    run_quietly(
        Command::new(&toolchain.strip)
            .args(["--strip-debug", "--remove-section=.rel.BTF", "--remove-section=.rel.BTF.ext"])
            .arg("-o")
            .arg(&stripped)
            .arg(folder.join(TARGET).join("release").join(object.bin)),
    )?;
    fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))
}

/// Has clippy read the programs, for the target that they are for.
pub(crate) fn lint() -> Result<()> {
    let root = root()?;
    let toolchain = Toolchain::find()?;
    let clippy = toolchain.cargo.with_file_name("cargo-clippy");
    if !clippy.is_file() {
        bail!(
            "there is no {} (apt-get install --no-remove rust-web-clippy, or rustup component \
             add clippy --toolchain nightly)",
            clippy.display()
        );
    }
    let status = cargo(root, &toolchain)
        .args(["clippy", "--package", "socktrace-ebpf", "--target", TARGET])
        .args(["-Zbuild-std=core", "--locked", "--target-dir"])
        .arg(root.join("target/ebpf-lint"))
        .args(["--", "-D", "warnings"])
        .status()
        .context("cannot run cargo clippy")?;
    if !status.success() {
        bail!("clippy objects");
    }
    Ok(())
}

/// The cargo that goes with the rustc that can build core.
fn cargo(root: &Path, toolchain: &Toolchain) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    command
        .env("RUSTC", &toolchain.rustc)
        // The features that build core are for nightly; a stable rustc has them as well.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .current_dir(root);
    // cargo looks for its subcommands on the PATH: those beside it come first.
    if let Some(folder) = toolchain.cargo.parent() {
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let folders = [folder.to_owned()].into_iter().chain(std::env::split_paths(&rest));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
    }
    command
}

/// The flags of rustc, of which no path may reach the object.
fn flags(root: &Path, toolchain: &Toolchain) -> Result<OsString> {
    let mut flags = vec![
        "-Cdebuginfo=2".to_owned(),
        format!("-Ctarget-cpu={CPU}"),
        format!("-Clinker={}", toolchain.linker.display()),
        "-Clink-arg=--btf".to_owned(),
    ];
    // The last that matches wins: the general ones first.
    let mut remap = |from: &Path, to: &str| {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    };
    remap(root, ".");
    let library = toolchain::library(&toolchain.sysroot);
    remap(&library, "library");
    if let Ok(real) = library.canonicalize() {
        remap(&real, "library");
    }
    for (folder, name) in dependencies(root, toolchain)? {
        remap(&folder, &name);
    }
    Ok(flags.join("\x1f").into())
}

/// The folder of each dependency from the registry, and its name with version.
fn dependencies(root: &Path, toolchain: &Toolchain) -> Result<Vec<(PathBuf, String)>> {
    let tree = toolchain::output(
        cargo(root, toolchain)
            .args(["tree", "--package", "socktrace-ebpf", "--prefix", "none", "--locked"])
            .args(["--target", "all", "--edges", "normal,build", "--format", "{p}"]),
    )?;
    let sources = registry_sources()?;
    let mut found = Vec::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let name = format!("{name}-{}", version.trim_start_matches('v'));
        for source in &sources {
            let folder = source.join(&name);
            if folder.is_dir() && !found.iter().any(|(known, _)| *known == folder) {
                found.push((folder, name.clone()));
            }
        }
    }
    Ok(found)
}

/// Where cargo unpacks what it downloads, a folder for each registry.
fn registry_sources() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let folder = home.join("registry/src");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn run_quietly(command: &mut Command) -> Result<()> {
    toolchain::output(command).map(drop)
}

/// Fails unless the committed object is the built one: to the byte if the same tools made it, in
/// all that matters to the kernel otherwise.
fn check(built: &[u8], committed: &Path, versions: &str, toolchain: &Toolchain) -> Result<()> {
    let name = committed.display();
    let bytes = fs::read(committed).with_context(|| format!("there is no {name}"))?;
    if versions == toolchain.versions {
        if bytes == built {
            println!("{name} is what the sources make, to the byte");
            return Ok(());
        }
        let what = differences(&bytes, built)?;
        bail!("{name} is not what the sources make{what}: cargo xtask build-ebpf");
    }
    println!(
        "the tools are not those that made {name}, so its bytes are not compared\n\
         made by:\n{versions}here:\n{}",
        toolchain.versions
    );
    let what = differences(&bytes, built)?;
    if !what.is_empty() {
        bail!("{name} is not what the sources make{what}");
    }
    println!("programs, maps and relocations are the same");
    load(built)
}

/// What differs between two objects that the kernel or the loader would notice.
fn differences(committed: &[u8], built: &[u8]) -> Result<String> {
    let (committed, built) = (BpfObject::parse(committed)?, BpfObject::parse(built)?);
    let mut what = String::new();
    for (name, same) in [
        ("programs", committed.program_names() == built.program_names()),
        ("maps", committed.maps == built.maps),
        ("relocated fields", committed.fields_by_program() == built.fields_by_program()),
    ] {
        if !same {
            what.push_str(if what.is_empty() { "; other " } else { ", " });
            what.push_str(name);
        }
    }
    Ok(what)
}

/// Has the kernel verify the programs, if it lets us.
fn load(object: &[u8]) -> Result<()> {
    use aya::programs::Program;

    let kernel = aya::Btf::from_sys_fs();
    let loaded = aya::EbpfLoader::new().load(object);
    let (kernel, mut ebpf) = match (kernel, loaded) {
        (Ok(kernel), Ok(ebpf)) => (kernel, ebpf),
        (Err(error), _) => {
            println!("not loaded into the kernel: {error}");
            return Ok(());
        }
        (_, Err(error)) => {
            println!("not loaded into the kernel: {error}");
            return Ok(());
        }
    };
    let parsed = BpfObject::parse(object)?;
    for program in &parsed.programs {
        let hook = program.section.split_once('/').map_or("", |(_, hook)| hook);
        match ebpf.program_mut(&program.name) {
            Some(Program::BtfTracePoint(loading)) => loading.load(hook, &kernel),
            Some(Program::Iter(loading)) => loading.load(hook, &kernel),
            _ => bail!("{} is a program of a kind that is not checked", program.name),
        }
        .with_context(|| program.name.clone())?;
    }
    println!("the kernel accepts the programs");
    Ok(())
}
