//! Whether owners, control groups and other network namespaces can be seen.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

use super::{Area, Finding, Verdict};
use crate::names;
use crate::procfs;

const AREA: Area = Area::Processes;

pub(super) fn examine() -> Vec<Finding> {
    vec![owners(&procfs::root()), hidden(&procfs::root()), cgroups(), namespaces()]
}

/// Tries the descriptors of every process.
fn owners(root: &Path) -> Finding {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) => {
            let detail = format!("{} cannot be read: {error}", root.display());
            return Finding::new(AREA, "owners", Verdict::Missing, detail)
                .remedy("mount -t proc proc /proc");
        }
    };
    let (mut seen, mut refused) = (0u32, 0u32);
    for entry in entries.flatten() {
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if is_process {
            match first_descriptor(&entry.path()) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => refused += 1,
                // It has ended meanwhile, or it can be looked into.
                _ => seen += 1,
            }
        }
    }
    match (seen, refused) {
        (0, 0) => Finding::new(AREA, "owners", Verdict::Missing, "/proc shows no process")
            .remedy("mount -t proc proc /proc"),
        (_, 0) => {
            Finding::works(AREA, "owners", format!("the descriptors of {seen} processes are open"))
        }
        _ => {
            let all = seen + refused;
            let detail = format!("{refused} of {all} processes do not show their descriptors");
            Finding::new(AREA, "owners", Verdict::Limited, detail)
                .remedy("run as root, or with CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE")
        }
    }
}

/// Listing descriptors takes one privilege, following them another.
fn first_descriptor(process: &Path) -> io::Result<()> {
    match fs::read_dir(process.join("fd"))?.next() {
        Some(entry) => fs::read_link(entry?.path()).map(drop),
        None => Ok(()),
    }
}

/// hidepid takes processes out of /proc altogether.
fn hidden(root: &Path) -> Finding {
    // What else is mounted may have any name.
    let mounts = fs::read(root.join("self/mounts")).unwrap_or_default();
    let mounts = String::from_utf8_lossy(&mounts);
    let options = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        (words.nth(1) == Some("/proc") && words.next() == Some("proc")).then(|| words.next())?
    });
    let hides = options.and_then(|options| {
        options.split(',').find(|option| {
            option.starts_with("hidepid=") && !["hidepid=0", "hidepid=off"].contains(option)
        })
    });
    // Who may trace another's process sees it in spite of the option.
    match hides {
        Some(option) if fs::metadata(root.join("1")).is_err() => {
            let detail = format!("/proc is mounted with {option}: others' processes are not in it");
            Finding::new(AREA, "others", Verdict::Limited, detail)
                .remedy("run as root, or with CAP_SYS_PTRACE")
        }
        _ => Finding::works(AREA, "others", "/proc has the processes of other users"),
    }
}

fn cgroups() -> Finding {
    match names::cgroup_mount_point() {
        Some(path) => Finding::works(AREA, "cgroup2", format!("mounted at {}", path.display())),
        None => {
            Finding::new(AREA, "cgroup2", Verdict::Limited, "not mounted: cgroups have no paths")
                .remedy("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        }
    }
}

/// Enters the namespace that it is in already, on a thread of its own.
fn namespaces() -> Finding {
    let enter = || -> io::Result<()> {
        let own = File::open("/proc/thread-self/ns/net")?;
        Ok(move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?)
    };
    let entered = thread::Builder::new().spawn(enter).map(|thread| thread.join());
    match entered.and_then(|entered| entered.expect("the thread does not panic")) {
        Ok(()) => Finding::works(AREA, "namespaces", "others' network namespaces can be entered"),
        Err(error) => {
            let detail = format!("others' network namespaces cannot be entered: {error}");
            Finding::new(AREA, "namespaces", Verdict::Limited, detail)
                .remedy("run as root, or with CAP_SYS_ADMIN")
        }
    }
}
