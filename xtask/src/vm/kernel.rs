//! Debian's cloud kernels: which there are, and their files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::only;
use crate::debian::Apt;

/// A kernel by the name that people use, and where to look for it.
pub(super) struct Kernel {
    pub(super) name: &'static str,
    suites: &'static [&'static str],
    /// How its version begins.
    version: &'static str,
}

const KERNELS: &[Kernel] = &[
    Kernel { name: "5.10", suites: &["bullseye", "bullseye-security"], version: "5.10." },
    Kernel { name: "6.1", suites: &["bookworm", "bookworm-security"], version: "6.1." },
    Kernel { name: "6.12", suites: &["trixie", "trixie-security"], version: "6.12." },
    Kernel { name: "6.x", suites: &["trixie-backports"], version: "6." },
    Kernel { name: "newest", suites: &["trixie-backports"], version: "" },
];

/// The kernels of these names, or all.
pub(super) fn named(names: &[String]) -> Result<Vec<&'static Kernel>> {
    if names.is_empty() {
        return Ok(KERNELS.iter().collect());
    }
    let find = |name: &String| match KERNELS.iter().find(|kernel| kernel.name == name) {
        Some(kernel) => Ok(kernel),
        None => {
            let known: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
            bail!("there is no kernel {name:?}: choose from {}", known.join(", "))
        }
    };
    names.iter().map(find).collect()
}

/// The files of a kernel.
pub(super) struct Files {
    /// As uname tells it.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// Has lib/modules/RELEASE in it.
    pub(super) root: PathBuf,
}

impl Kernel {
    /// Fetches the newest kernel of this name, unless it was fetched before.
    pub(super) fn fetch(&self, directory: &Path) -> Result<Files> {
        let root = directory.join("kernel");
        if !root.exists() {
            let apt = Apt::new(directory.join("apt"), self.suites)?;
            let packages = self.newest(&apt)?;
            apt.unpack_alone(&packages, &root)?;
        }
        Files::find(&root)
    }

    /// The packages of the newest kernel that the archive has whole: of old ones, it may have lost
    /// the modules.
    fn newest(&self, apt: &Apt) -> Result<Vec<String>> {
        let start = format!("linux-image-{}", self.version);
        let names = apt.names(&start)?;
        let mut releases: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_prefix("linux-image-"))
            .filter(|release| release.ends_with("-cloud-amd64"))
            .filter(|release| release.starts_with(|c: char| c.is_ascii_digit()))
            .collect();
        releases.sort_by_key(|release| std::cmp::Reverse(numbers(release)));
        for release in releases {
            let image = format!("linux-image-{release}");
            let mut packages = apt.dependencies(&image)?;
            packages.retain(|needed| needed.name.contains(release));
            if packages.iter().all(|needed| needed.is_available) {
                let needed = packages.into_iter().map(|needed| needed.name);
                return Ok(needed.chain([image]).collect());
            }
        }
        bail!("{} has no {start}*-cloud-amd64 with all that it needs", self.suites.join(", "))
    }
}

impl Files {
    fn find(root: &Path) -> Result<Files> {
        // Since Debian 13 packages have all of it below /usr; tools of either kind look here.
        if !root.join("lib").exists() {
            symlink("usr/lib", root.join("lib"))?;
        } else if !root.join("usr/lib").exists() {
            fs::create_dir_all(root.join("usr"))?;
            symlink("../lib", root.join("usr/lib"))?;
        }
        let modules = root.join("lib/modules");
        let releases = fs::read_dir(&modules)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>>>()?;
        let release = only(releases, "kernel release")?;
        let images = [
            root.join("boot").join(format!("vmlinuz-{release}")),
            modules.join(&release).join("vmlinuz"),
        ];
        let image = images.into_iter().find(|image| image.exists()).context("no vmlinuz")?;
        Ok(Files { release, image, root: root.to_owned() })
    }
}

/// A release in the order of versions.
fn numbers(release: &str) -> Vec<u32> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert!(numbers("6.12.9+deb13-cloud-amd64") < numbers("6.12.118+deb13-cloud-amd64"));
        assert!(numbers("5.10.0-9-cloud-amd64") < numbers("5.10.0-46-cloud-amd64"));
        assert!(numbers("6.19.10+deb13-cloud-amd64") < numbers("7.2.12+deb13-cloud-amd64"));
    }
}
