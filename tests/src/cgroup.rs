//! Where control groups are, and one with a limit of memory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Where the hierarchy of cgroup2 is mounted. What else is mounted may have any name.
pub fn hierarchy() -> Option<PathBuf> {
    mounted(|kind, _| kind == b"cgroup2")
}

fn mounted(is_wanted: impl Fn(&[u8], &[u8]) -> bool) -> Option<PathBuf> {
    let mounts = fs::read("/proc/self/mounts").ok()?;
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut words = line.split(|byte| *byte == b' ').skip(1);
        let path = words.next()?;
        let path = OsString::from_vec(path.to_vec()).into();
        is_wanted(words.next()?, words.next()?).then_some(path)
    })
}

/// A control group that may use so much memory; it is gone when this is dropped.
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// `None` where no hierarchy counts memory.
    pub fn with_limit(bytes: u64) -> Option<MemoryGroup> {
        let counts_memory = |options: &[u8]| options.split(|b| *b == b',').any(|o| o == b"memory");
        let old = mounted(|kind, options| kind == b"cgroup" && counts_memory(options));
        let (parent, limit) = match old {
            Some(parent) => (parent, "memory.limit_in_bytes"),
            None => (hierarchy()?, "memory.max"),
        };
        if limit == "memory.max" {
            fs::write(parent.join("cgroup.subtree_control"), "+memory").ok()?;
        }
        let group = MemoryGroup(parent.join(format!("socktrace-{}", std::process::id())));
        fs::create_dir(&group.0).expect("a group is a folder");
        fs::write(group.0.join(limit), bytes.to_string()).ok()?;
        Some(group)
    }

    /// Has the program that is started run in it.
    pub fn hold(&self, command: &mut Command) {
        let members = File::options().write(true).open(self.0.join("cgroup.procs"));
        let members = members.expect("a group has members");
        // SAFETY: between fork and exec only write is called.
        unsafe { command.pre_exec(move || (&members).write_all(b"0")) };
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// The folder of a process in it.
pub fn of_process(pid: u32) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(hierarchy()?.join(path))
}
