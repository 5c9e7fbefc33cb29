//! What a guest is made of: an initramfs with the userland, the modules, socktrace and its tests.
//!
//! Programs lie where they lie here, because tests know the paths that they were built with.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Test;
use super::kernel::Files;
use super::tools::inside;
use crate::debian::run;

/// Whatever of this a kernel has is loaded before the tests.
const MODULES: &[&str] = &[
    "af_packet",
    "af_packet_diag",
    "diag",
    "dummy",
    "inet_diag",
    "ipv6",
    "mptcp_diag",
    "netlink_diag",
    "nf_tables",
    "nft_reject",
    "nft_reject_inet",
    "raw_diag",
    "sch_netem",
    "sctp",
    "sctp_diag",
    "tcp_bbr",
    "tcp_dctcp",
    "tcp_diag",
    "tipc",
    "tipc_diag",
    "tls",
    "tcp_vegas",
    "tun",
    "udp_diag",
    "unix_diag",
    "veth",
    "vsock",
    "vsock_diag",
    "vsock_loopback",
    "xsk_diag",
];

/// Of the tls module, which has them loaded by name.
const CIPHERS: &[&str] = &["gcm", "ctr", "ghash-generic", "aes_generic", "aesni-intel"];

const INIT: &str = include_str!("init.sh");

/// A test file may take so long.
const TEST_SECONDS: u32 = 600;

pub(super) struct Guest<'a> {
    pub(super) root: &'a Path,
    pub(super) userland: &'a Path,
    pub(super) kernel: &'a Files,
    pub(super) socktrace: &'a Path,
    pub(super) helpers: &'a [PathBuf],
    pub(super) tests: &'a [&'a Test],
    pub(super) command: Option<&'a str>,
}

impl Guest<'_> {
    /// Lays the files of the guest out below `tree` and packs them.
    pub(super) fn pack(&self, tree: &Path, initramfs: &Path) -> Result<()> {
        if tree.exists() {
            fs::remove_dir_all(tree)?;
        }
        for folder in ["dev", "etc", "proc", "run/netns", "sys", "tmp", "root", "bin"] {
            fs::create_dir_all(tree.join(folder))?;
        }
        self.copy_userland(tree)?;
        self.copy_modules(tree)?;
        for program in self.helpers.iter().map(PathBuf::as_path).chain([self.socktrace]) {
            copy(program, tree)?;
        }
        for test in self.tests {
            copy(&test.path, tree)?;
        }
        self.write_orders(tree)?;
        let init = tree.join("init");
        fs::write(&init, INIT)?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
        cpio(tree, initramfs)
    }

    fn copy_userland(&self, tree: &Path) -> Result<()> {
        let usr = tree.join("usr");
        run(Command::new("cp").arg("-a").arg(self.userland.join("usr")).arg(&usr))?;
        for folder in ["share", "include"] {
            let folder = usr.join(folder);
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
        }
        fs::remove_dir(tree.join("bin"))?;
        for folder in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{folder}"), tree.join(folder))?;
        }
        // What names of services and protocols are resolved with.
        for file in ["etc/services", "etc/protocols", "etc/passwd", "etc/group"] {
            if Path::new("/").join(file).exists() {
                fs::copy(Path::new("/").join(file), tree.join(file))?;
            }
        }
        fs::write(tree.join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
        fs::write(tree.join("etc/hostname"), "guest\n")?;
        Ok(())
    }

    /// The wanted modules and what they depend on.
    fn copy_modules(&self, tree: &Path) -> Result<()> {
        let release = self.kernel.release.as_str();
        let depmod = |base: &Path| -> Result<()> {
            let mut command = inside(self.userland, "depmod")?;
            run(command.arg("-b").arg(base).arg(release)).map(drop)
        };
        let from = self.kernel.root.join("lib/modules").join(release);
        if !from.join("modules.dep").exists() {
            depmod(&self.kernel.root)?;
        }
        let to = tree.join("usr/lib/modules").join(release);
        let dependencies = fs::read_to_string(from.join("modules.dep"))?;
        let mut files = BTreeSet::new();
        for line in dependencies.lines() {
            let Some((module, needed)) = line.split_once(':') else { continue };
            if [MODULES, CIPHERS].concat().contains(&name_of(module)) {
                files.insert(module);
                files.extend(needed.split_whitespace());
            }
        }
        for file in files {
            let to = to.join(file);
            fs::create_dir_all(to.parent().context("a module lies in a folder")?)?;
            fs::copy(from.join(file), to)?;
        }
        for list in ["modules.builtin", "modules.order", "modules.builtin.modinfo"] {
            if from.join(list).exists() {
                fs::copy(from.join(list), to.join(list))?;
            }
        }
        depmod(tree)
    }

    /// What the first process reads.
    fn write_orders(&self, tree: &Path) -> Result<()> {
        let orders = format!(
            "MODULES='{}'\nCOMMAND={}\nTEST_SECONDS={TEST_SECONDS}\n\
             export SOCKTRACE_BIN='{}' SOCKTRACE_ORACLE=/usr/bin/ss SOCKTRACE_MAY_SUSPEND=1\n\
             cd '{}'\n",
            MODULES.join(" "),
            quoted(self.command.unwrap_or_default()),
            self.socktrace.display(),
            self.root.display(),
        );
        fs::write(tree.join("etc/guest"), orders)?;
        let line = |test: &&Test| format!("{} {}\n", test.name, test.path.display());
        let tests = if self.command.is_some() { &[][..] } else { self.tests };
        Ok(fs::write(tree.join("etc/tests"), tests.iter().map(line).collect::<String>())?)
    }
}

/// For the shell, as one word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The name of a module by its file.
fn name_of(file: &str) -> &str {
    let file = file.rsplit('/').next().unwrap_or(file);
    file.split(".ko").next().unwrap_or(file)
}

/// Copies a program to the same path below `tree`, without what a debugger wants: with it the
/// programs are more than the memory of a guest.
fn copy(file: &Path, tree: &Path) -> Result<()> {
    let inside = file.strip_prefix("/").context("a path from the root is wanted")?;
    let to = tree.join(inside);
    fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    run(Command::new("strip").arg("--strip-debug").arg("-o").arg(&to).arg(file)).map(drop)
}

fn cpio(tree: &Path, initramfs: &Path) -> Result<()> {
    let archive = File::create(initramfs)?;
    let status = Command::new("sh")
        .args(["-c", "find . -print0 | cpio --quiet --null -o -H newc -R 0:0"])
        .current_dir(tree)
        .stdout(Stdio::from(archive))
        .status()?;
    ensure!(status.success(), "cpio fails: is it installed? apt-get install cpio");
    Ok(())
}
