//! Fetches the newest `ss` of Debian into target/oracle without installing anything.
//!
//! It runs with the libraries of its own suite.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::debian::Apt;

const SUITE: &str = "sid";

pub(crate) fn fetch(target: &Path) -> Result<()> {
    let directory = target.join("oracle");
    let root = directory.join("root");
    Apt::new(directory.clone(), &[SUITE])?.unpack_whole(&["iproute2"], &root)?;
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
pub(crate) fn find(directory: &Path, wanted: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
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
