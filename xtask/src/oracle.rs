//! Fetches the newest `ss` of Debian into target/oracle without installing anything.
//!
//! apt resolves the dependencies against an empty system; the packages are only unpacked, and
//! `ss` runs with their libraries. Sources and key are those of this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SUITE: &str = "sid";

pub(crate) fn fetch(target: &Path) -> Result<()> {
    let directory = target.join("oracle");
    let at = |name: &str| directory.join(name);
    for name in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(at(name)).context("cannot make the directories of apt")?;
    }
    let source = debian_mirror()?;
    fs::write(at("sources.list"), format!("deb [signed-by={KEYRING}] {source} {SUITE} main\n"))?;
    fs::write(at("status"), "")?;
    let settings = format!(
        "Dir::State::Lists \"{0}/lists\";\nDir::State::status \"{0}/status\";\n\
         Dir::Cache \"{0}/cache\";\nDir::Etc::SourceList \"{0}/sources.list\";\n\
         Dir::Etc::SourceParts \"-\";\nDir::Etc::PreferencesParts \"-\";\n\
         APT::Sandbox::User \"root\";\nAPT::Install-Recommends \"false\";\n\
         Acquire::Languages \"none\";\nAcquire::Retries \"2\";\n",
        directory.display()
    );
    fs::write(at("apt.conf"), settings)?;

    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").env("APT_CONFIG", at("apt.conf")).args(arguments))
    };
    apt(&["-q", "update"]).context("the list of packages cannot be fetched")?;
    apt(&["-q", "-y", "--download-only", "install", "iproute2"])
        .context("iproute2 cannot be fetched")?;

    let root = at("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    fs::create_dir(&root)?;
    for entry in fs::read_dir(at("cache/archives"))? {
        let package = entry?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root))?;
        }
    }
    let ss = wrap(&directory, &root)?;
    let version = Command::new(&ss).arg("-V").output().context("the fetched ss does not run")?;
    ensure!(
        version.status.success(),
        "the fetched ss does not run: {}",
        String::from_utf8_lossy(&version.stderr).trim()
    );
    println!("{}: {}", ss.display(), String::from_utf8_lossy(&version.stdout).trim());
    Ok(())
}

/// The address that this machine gets Debian from.
fn debian_mirror() -> Result<String> {
    ensure!(Path::new(KEYRING).exists(), "{KEYRING} is not there: is this Debian?");
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    files.extend(parts.map(|entry| entry.path()));
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .context("the sources of apt name no mirror of Debian")
}

/// A script that runs the unpacked `ss` with its own loader and libraries. The loader is called
/// `ss` as well, so that the process is.
fn wrap(directory: &Path, root: &Path) -> Result<PathBuf> {
    let loader =
        find(root, &|name| name.starts_with("ld-linux")).context("libc6 came without a loader")?;
    let libc = find(root, &|name| name == "libc.so.6").context("libc6 came without a library")?;
    let libraries = libc.parent().context("a file lies in a directory")?;
    let tool = find(root, &|name| name == "ss").context("iproute2 came without ss")?;
    let named = directory.join("loader");
    fs::create_dir_all(&named)?;
    let named = named.join("ss");
    fs::copy(loader.canonicalize()?, &named)?;
    let script = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
        named.display(),
        libraries.display(),
        tool.display()
    );
    let path = directory.join("ss");
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// The first file below `directory` whose name is `wanted`.
fn find(directory: &Path, wanted: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let is_wanted = |path: &PathBuf| {
        path.is_file() && path.file_name().and_then(|name| name.to_str()).is_some_and(wanted)
    };
    entries.iter().find(|path| is_wanted(path)).cloned().or_else(|| {
        let below = entries.iter().filter(|path| path.is_dir() && !path.is_symlink());
        below.into_iter().find_map(|path| find(path, wanted))
    })
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| {
        format!("{} does not run: this needs a Debian system", command.get_program().display())
    })?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
