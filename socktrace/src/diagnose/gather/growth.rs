//! How the descriptors of processes become more, look by look: of a leak of whatever kind there are
//! more at each, of a busy process now more and now fewer.

use std::fs;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::processes::descriptors;
use crate::diagnose::evidence::Growth;
use crate::owner::{Owners, Ticks};

/// The processes that there were at the first look.
pub struct Growing {
    root: PathBuf,
    began: Ticks,
    processes: FxHashMap<u32, Growth>,
}

impl Growing {
    /// Looks for the first time.
    pub fn start(root: &Path) -> Growing {
        let began = Ticks::now();
        let number = |name: std::ffi::OsString| name.to_str()?.parse().ok();
        let pids = fs::read_dir(root).into_iter().flatten().flatten();
        let processes = pids.filter_map(|entry| {
            let count = descriptors(&entry.path())?;
            Some((number(entry.file_name())?, Growth::start(count)))
        });
        Growing { root: root.to_owned(), began, processes: processes.collect() }
    }

    /// Looks again.
    pub fn look(&mut self) {
        let root = &self.root;
        self.processes.retain(|pid, growth| {
            let count = descriptors(&root.join(pid.to_string()));
            count.map(|count| growth.add(count)).is_some()
        });
    }

    /// How a process grew, if it is still the same: numbers are given again.
    pub(super) fn of(&self, pid: u32, owners: &Owners) -> Option<Growth> {
        let growth = self.processes.get(&pid)?;
        (growth.last > growth.first && owners.birth(pid)? <= self.began).then_some(*growth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_kept_open_are_growth_and_the_first_that_is_closed_ends_it() {
        let root = Path::new("/proc");
        let own = std::process::id();
        let mut growing = Growing::start(root);
        let kept: Vec<_> = (0..500).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        growing.look();
        // The other tests open and close some, too.
        let growth = growing.processes[&own];
        assert!((400..600).contains(&(growth.last - growth.first)), "{growth:?}");
        assert_eq!((growth.rises, growth.falls), (1, 0), "{growth:?}");
        drop(kept);
        growing.look();
        assert_eq!(growing.processes[&own].falls, 1);
    }
}
