//! Where control groups are.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Where the hierarchy of cgroup2 is mounted. What else is mounted may have any name.
pub fn hierarchy() -> Option<PathBuf> {
    let mounts = fs::read("/proc/self/mounts").ok()?;
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut words = line.split(|byte| *byte == b' ').skip(1);
        let path = words.next()?;
        (words.next()? == b"cgroup2").then(|| OsString::from_vec(path.to_vec()).into())
    })
}

/// The folder of a process in it.
pub fn of_process(pid: u32) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(hierarchy()?.join(path))
}
