//! Packages of any suite of Debian, without installing anything.
//!
//! apt resolves dependencies against an empty system and checks signatures with Debian's own keys;
//! what it fetches is only unpacked. The mirror is the one of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with everything of its own below one directory.
pub(crate) struct Apt {
    directory: PathBuf,
}

/// What a package needs.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) is_available: bool,
}

impl Apt {
    /// Fetches the list of packages of the suites.
    pub(crate) fn new(directory: PathBuf, suites: &[&str]) -> Result<Apt> {
        let apt = Apt { directory };
        let at = |name: &str| apt.directory.join(name);
        for name in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(at(name)).context("cannot make the directories of apt")?;
        }
        let mut sources = String::new();
        for suite in suites {
            let archive = if suite.ends_with("-security") { "debian-security" } else { "debian" };
            let mirror = mirror(archive)?;
            sources.push_str(&format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"));
        }
        fs::write(at("sources.list"), sources)?;
        fs::write(at("status"), "")?;
        let settings = format!(
            "Dir::State::Lists \"{0}/lists\";\nDir::State::status \"{0}/status\";\n\
             Dir::Cache \"{0}/cache\";\nDir::Etc::SourceList \"{0}/sources.list\";\n\
             Dir::Etc::SourceParts \"-\";\nDir::Etc::PreferencesParts \"-\";\n\
             APT::Sandbox::User \"root\";\nAPT::Install-Recommends \"false\";\n\
             Acquire::Languages \"none\";\nAcquire::Retries \"2\";\n",
            apt.directory.display()
        );
        fs::write(at("apt.conf"), settings)?;
        run(apt.command("apt-get").args(["-q", "update"]))
            .context("the list of packages cannot be fetched")?;
        Ok(apt)
    }

    fn command(&self, tool: &str) -> Command {
        let mut command = Command::new(tool);
        command.env("APT_CONFIG", self.directory.join("apt.conf"));
        command
    }

    /// The names of the packages that begin so.
    pub(crate) fn names(&self, start: &str) -> Result<Vec<String>> {
        let output = run(self.command("apt-cache").args(["pkgnames", start]))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// The packages that a package depends on directly.
    pub(crate) fn dependencies(&self, package: &str) -> Result<Vec<Dependency>> {
        let output = run(self.command("apt-cache").args(["depends", "--important", package]))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let named = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        // A name in angle brackets is that of no package here.
        let dependency = |word: &str| match word.trim_matches(['<', '>']) {
            name if name == word => Dependency { name: name.to_owned(), is_available: true },
            name => Dependency { name: name.to_owned(), is_available: false },
        };
        Ok(named.map(dependency).collect())
    }

    /// Unpacks packages with all that they depend on.
    pub(crate) fn unpack_whole(&self, packages: &[&str], root: &Path) -> Result<()> {
        let archives = self.directory.join("cache/archives");
        remove_packages(&archives)?;
        let install = ["-q", "-y", "--download-only", "install"];
        run(self.command("apt-get").args(install).args(packages))
            .with_context(|| format!("{} cannot be fetched", packages.join(", ")))?;
        unpack(&archives, root)
    }

    /// Unpacks packages and nothing else.
    pub(crate) fn unpack_alone(&self, packages: &[String], root: &Path) -> Result<()> {
        let folder = self.directory.join("alone");
        fs::create_dir_all(&folder)?;
        remove_packages(&folder)?;
        run(self.command("apt-get").args(["-q", "download"]).args(packages).current_dir(&folder))
            .with_context(|| format!("{} cannot be fetched", packages.join(", ")))?;
        unpack(&folder, root)?;
        remove_packages(&folder)
    }
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let is_package = |path: &PathBuf| path.extension().is_some_and(|end| end == "deb");
    entries.filter(|path| path.as_ref().map_or(true, is_package)).collect()
}

fn remove_packages(folder: &Path) -> Result<()> {
    packages(folder)?.iter().try_for_each(|package| Ok(fs::remove_file(package)?))
}

/// Unpacks all packages of a folder into `root`, which is made anew.
fn unpack(folder: &Path, root: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    fs::create_dir_all(root)?;
    for package in packages(folder)? {
        run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(root))?;
    }
    Ok(())
}

/// The address that this machine gets an archive of Debian from.
fn mirror(archive: &str) -> Result<String> {
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
        .find(|word| {
            word.contains("://") && word.trim_end_matches('/').ends_with(&format!("/{archive}"))
        })
        .with_context(|| format!("the sources of apt name no mirror of {archive}"))
}

/// Runs a tool of Debian to its end; what it said is the error.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| {
        format!("{} does not run: this needs a Debian system", command.get_program().display())
    })?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}
