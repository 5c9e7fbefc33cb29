//! The groups of processes.

use std::cell::RefCell;
use std::path::Path;

use rustc_hash::FxHashMap;

/// The effective group of each process that was asked for; `None` for one that is gone.
#[derive(Debug, Default)]
pub(super) struct Groups {
    known: RefCell<FxHashMap<u32, Option<u32>>>,
}

impl Groups {
    pub(super) fn of(&self, proc_root: &Path, pid: u32) -> Option<u32> {
        *self.known.borrow_mut().entry(pid).or_insert_with(|| {
            let status = std::fs::read(proc_root.join(format!("{pid}/status"))).ok()?;
            effective_group(&status)
        })
    }
}

/// Of `Gid: REAL EFFECTIVE SAVED FILESYSTEM` in /proc/PID/status.
fn effective_group(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Gid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_the_effective_group() {
        assert_eq!(effective_group(b"Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"), Some(6));
        assert_eq!(effective_group(b"Name:\tx\n"), None);
    }

    #[test]
    fn this_process_has_a_group() {
        let groups = Groups::default();
        let own = rustix::process::getegid().as_raw();
        assert_eq!(groups.of(Path::new("/proc"), std::process::id()), Some(own));
        assert_eq!(groups.of(Path::new("/nonexistent"), 1), None);
    }
}
