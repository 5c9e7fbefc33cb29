//! Every holder in a listing, compared with what /proc says of the processes that have the sockets.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::population::Kind;

/// A descriptor: the process and the number.
type Holder = (u32, u32);
type Holders = HashMap<u64, BTreeSet<Holder>>;

/// Lists with each source of owners, and fails at the first socket that is missing or has others
/// than /proc says.
pub(super) fn check(ours: &Path, kind: Kind, processes: &[u32]) -> Result<()> {
    let told = told_by_proc(processes)?;
    for source in ["iterator", "walk"] {
        let listed = listed(ours, kind, source)?;
        for (inode, holders) in &told {
            match listed.get(inode) {
                Some(listed) if listed == holders => {}
                Some(listed) => bail!(
                    "socket {inode} is held by {holders:?}, but --owners={source} has {listed:?}"
                ),
                None => bail!("socket {inode} of {holders:?} is not listed"),
            }
        }
        println!("--owners={source}: {} sockets have the holders that /proc has", told.len());
    }
    Ok(())
}

/// The sockets that the processes hold.
fn told_by_proc(processes: &[u32]) -> Result<Holders> {
    let mut told = Holders::new();
    for pid in processes {
        let folder = format!("/proc/{pid}/fd");
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
            let entry = entry?;
            let target = fs::read_link(entry.path())?;
            let inode = target.to_str().and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']'));
            if let Some(inode) = inode {
                let fd = entry.file_name().to_str().context("a descriptor is a number")?.parse()?;
                told.entry(inode.parse()?).or_default().insert((*pid, fd));
            }
        }
    }
    ensure!(!told.is_empty(), "the processes hold no sockets");
    Ok(told)
}

fn listed(ours: &Path, kind: Kind, source: &str) -> Result<Holders> {
    let options = match kind {
        Kind::Tcp => "-tanepH",
        Kind::Unix => "-xanpH",
    };
    let mut child = Command::new(ours)
        .args([options, "--owners", source])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", ours.display()))?;
    let lines = BufReader::new(child.stdout.take().context("a listing has no output")?).lines();
    let mut listed = Holders::new();
    for line in lines {
        let line = line?;
        let Some(inode) = inode(kind, &line) else { continue };
        let holders = holders(&line).with_context(|| format!("cannot read {line}"))?;
        listed.entry(inode).or_default().extend(holders);
    }
    ensure!(child.wait()?.success(), "the listing failed");
    Ok(listed)
}

fn inode(kind: Kind, line: &str) -> Option<u64> {
    match kind {
        Kind::Tcp => line.split_once(" ino:")?.1.split(' ').next()?.parse().ok(),
        // Netid, state, two queues, and the name before it.
        Kind::Unix => line.split_ascii_whitespace().nth(5)?.parse().ok(),
    }
}

/// The holders in `users:(("name",pid=1,fd=2),...)`; `None` if they are written otherwise.
fn holders(line: &str) -> Option<Vec<Holder>> {
    let number = |text: &str| text.split([',', ')']).next()?.parse().ok();
    let after_pid = line.split("\",pid=").skip(1);
    after_pid.map(|text| Some((number(text)?, number(text.split_once(",fd=")?.1)?))).collect()
}
