//! QEMU, and what a guest has besides the tests: a shell, iproute2, nft, kmod. From Debian,
//! unpacked below target/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian::Apt;
use crate::oracle::find;

const SUITE: &str = "sid";
const USERLAND: &[&str] = &["iproute2", "nftables", "busybox-static", "kmod"];

pub(super) struct Tools {
    pub(super) qemu: Qemu,
    /// The root of a small system.
    pub(super) userland: PathBuf,
}

/// The installed QEMU, or one that runs from where it was unpacked.
pub(super) enum Qemu {
    Installed,
    Unpacked(PathBuf),
}

/// Fetches what is not there yet.
pub(super) fn fetch(directory: &Path) -> Result<Tools> {
    let userland = directory.join("userland");
    let unpacked = directory.join("qemu");
    let is_installed = Command::new("qemu-system-x86_64").arg("--version").output().is_ok();
    let needs_qemu = !is_installed && !unpacked.exists();
    // What it was made of; it is made anew when that changes.
    let list = directory.join("userland.packages");
    let wanted = USERLAND.join(" ");
    let needs_userland = !fs::read_to_string(&list).is_ok_and(|packages| packages == wanted);
    if needs_qemu || needs_userland {
        let apt = Apt::new(directory.join("apt"), &[SUITE])?;
        if needs_userland {
            apt.unpack_whole(USERLAND, &userland)?;
            fs::write(&list, wanted)?;
        }
        if needs_qemu {
            apt.unpack_whole(&["qemu-system-x86"], &unpacked)?;
        }
    }
    let qemu = if is_installed { Qemu::Installed } else { Qemu::Unpacked(unpacked) };
    Ok(Tools { qemu, userland })
}

impl Qemu {
    pub(super) fn command(&self) -> Result<Command> {
        match self {
            Qemu::Installed => Ok(Command::new("qemu-system-x86_64")),
            Qemu::Unpacked(root) => {
                let mut command = inside(root, "qemu-system-x86_64")?;
                command.arg("-L").arg(root.join("usr/share/qemu"));
                command.arg("-L").arg(root.join("usr/share/seabios"));
                command.env("QEMU_MODULE_DIR", root.join("usr/lib/x86_64-linux-gnu/qemu"));
                Ok(command)
            }
        }
    }
}

/// A program of an unpacked system, with its loader and libraries.
pub(super) fn inside(root: &Path, program: &str) -> Result<Command> {
    let lib = root.join("usr/lib/x86_64-linux-gnu");
    let loader = lib.join("ld-linux-x86-64.so.2");
    let program = find(root, &|name| name == program)
        .with_context(|| format!("{program} is not in {}", root.display()))?;
    let mut command = Command::new(loader);
    command.arg("--library-path").arg(lib).arg(program);
    Ok(command)
}
