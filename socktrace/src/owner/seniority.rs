//! Which of the processes that hold a socket answers for it.
//!
//! Many may: workers have what their master opened before, and between fork() and exec() every
//! child has all that its parent has. Numbers of processes tell nothing of their age, they wrap.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::Owners;
use crate::socket::Inode;

/// Opens sockets for others: socket activation.
const INIT: u32 = 1;

/// A moment in ticks of the clock since the host booted, as /proc tells when a process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(u64);

impl Ticks {
    pub fn now() -> Ticks {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let per_second = rustix::param::clock_ticks_per_second();
        let [seconds, ns] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
        Ticks(seconds * per_second + ns * per_second / 1_000_000_000)
    }
}

/// When a process began, and of which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Birth {
    at: Ticks,
    parent: u32,
}

/// The births of processes, read when they are asked for.
#[derive(Debug, Default)]
pub(super) struct Births {
    root: PathBuf,
    known: RefCell<FxHashMap<u32, Option<Birth>>>,
}

impl Births {
    pub(super) fn below(root: &Path) -> Births {
        Births { root: root.to_owned(), ..Births::default() }
    }

    /// `None`: it has exited, or nothing is known of it.
    fn of(&self, pid: u32) -> Option<Birth> {
        let read = || birth(&fs::read(self.root.join(pid.to_string()).join("stat")).ok()?);
        *self.known.borrow_mut().entry(pid).or_insert_with(read)
    }

    /// Puts the one first that the others come from. Whoever has exited holds nothing any more.
    fn sort(&self, pids: &mut Vec<u32>) {
        let lives = |pid: &u32| self.of(*pid).is_some();
        if pids.iter().any(lives) {
            pids.retain(lives);
        }
        let all = pids.clone();
        pids.sort_by_cached_key(|pid| {
            let birth = self.of(*pid);
            // Within a tick, a child comes after its parent.
            let is_child = birth.is_some_and(|birth| all.contains(&birth.parent));
            (*pid == INIT, birth.map(|birth| birth.at), is_child, *pid)
        });
    }
}

/// The name in /proc/PID/stat may hold anything, parentheses too.
fn birth(stat: &[u8]) -> Option<Birth> {
    /// Places among the fields behind the name.
    const PARENT: usize = 1;
    const START: usize = 19;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    let parent = fields.nth(PARENT)?.parse().ok()?;
    let ticks = fields.nth(START - PARENT - 1)?.parse().ok()?;
    Some(Birth { at: Ticks(ticks), parent })
}

impl Owners {
    /// The processes that hold a socket, each once; first the one that answers for it: the one that
    /// began first, unless it is init, which opens sockets for others.
    pub fn processes_of(&self, inode: Inode) -> Vec<u32> {
        let mut pids: Vec<u32> = self.holders(inode).map(|holder| holder.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        if pids.len() > 1 {
            self.births().sort(&mut pids);
        }
        pids
    }

    /// When a process began; `None` if it has exited.
    pub fn birth(&self, pid: u32) -> Option<Ticks> {
        self.births().of(pid).map(|birth| birth.at)
    }

    /// The process that answers for a socket.
    pub fn process_of(&self, inode: Inode) -> Option<(u32, &[u8])> {
        let newest = self.holders(inode).next()?;
        let is_alone = self.holders(inode).all(|holder| holder.pid == newest.pid);
        let pid = if is_alone { newest.pid } else { *self.processes_of(inode).first()? };
        let holder = self.holders(inode).find(|holder| holder.pid == pid)?;
        Some((pid, holder.comm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who answers for a socket, of processes of such pid, start and parent.
    fn first(holders: &[(u32, u64, u32)]) -> Option<u32> {
        let births = Births::default();
        for &(pid, ticks, parent) in holders {
            let birth = (ticks > 0).then_some(Birth { at: Ticks(ticks), parent });
            births.known.borrow_mut().insert(pid, birth);
        }
        let mut pids = holders.iter().map(|(pid, ..)| *pid).collect();
        births.sort(&mut pids);
        pids.first().copied()
    }

    #[test]
    fn the_process_that_the_others_come_from_answers_for_a_socket() {
        assert_eq!(first(&[]), None);
        assert_eq!(first(&[(5, 100, 1), (9, 200, 5)]), Some(5));
        assert_eq!(first(&[(5, 200, 9), (9, 100, 1)]), Some(9), "pids have wrapped");
        assert_eq!(first(&[(5, 100, 9), (9, 100, 1)]), Some(9), "forked within a tick");
        assert_eq!(first(&[(1, 1, 0), (9, 100, 1)]), Some(9), "init opened it for another");
        assert_eq!(first(&[(1, 1, 0)]), Some(1));
    }

    #[test]
    fn who_has_exited_meanwhile_holds_nothing() {
        assert_eq!(first(&[(5, 0, 0), (9, 100, 1)]), Some(9));
        assert_eq!(first(&[(9, 0, 0), (5, 0, 0)]), Some(5), "unless nobody else is known");
    }

    #[test]
    fn a_birth_is_read_behind_the_name() {
        let fields: Vec<String> = (4..=52).map(|number| number.to_string()).collect();
        let stat = format!("7 (a) b)) S {}\n", fields.join(" "));
        assert_eq!(birth(stat.as_bytes()), Some(Birth { at: Ticks(22), parent: 4 }));
        assert_eq!(birth(b""), None);
        let own = Births::below(Path::new("/proc")).of(std::process::id());
        assert_eq!(own.map(|birth| birth.parent), Some(std::os::unix::process::parent_id()));
        assert!(own.is_some_and(|birth| birth.at <= Ticks::now()));
    }
}
