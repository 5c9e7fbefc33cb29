//! Fills the table by a walk over /proc/PID/fd, without an allocation per descriptor.

use std::ffi::{CStr, OsStr};
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::selinux::{UNAVAILABLE, kernel_context, trim};
use super::{Owners, TaskId};
use crate::socket::Inode;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);
const ENTRIES: usize = 32 * 1024;

/// Whether each thread is looked at by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Granularity {
    #[default]
    Processes,
    Threads,
}

/// Which SELinux contexts to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Contexts {
    #[default]
    None,
    Processes,
    ProcessesAndSockets,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot read the processes in {}: {source}", root.display())]
pub struct WalkError {
    root: PathBuf,
    source: Errno,
}

/// What to collect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Walk {
    pub granularity: Granularity,
    pub contexts: Contexts,
}

impl Walk {
    /// Collects the owners of all sockets from a /proc. Processes that exit meanwhile are left
    /// out; those that may not be looked at are counted.
    pub fn run(self, root: &Path) -> Result<Owners, WalkError> {
        let failed = |source| WalkError { root: root.to_owned(), source };
        let proc = rustix::fs::openat(CWD, root, DIRECTORY, Mode::empty()).map_err(failed)?;
        let mut walker = Walker { walk: self, root, owners: Owners::default() };
        if self.contexts != Contexts::None
            && let Some(context) = kernel_context()
        {
            walker.owners.set_kernel_context(&context);
        }
        // One buffer per depth: a directory is read on after those inside it.
        let mut pids = [MaybeUninit::uninit(); ENTRIES];
        let mut tids = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(&proc, &mut pids);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            let Some(pid) = number(entry.file_name()) else { continue };
            if walker.task(proc.as_fd(), &Place::process(pid)).is_err_and(|e| e == Errno::ACCESS) {
                walker.owners.add_refused();
                continue;
            }
            if self.granularity == Granularity::Threads {
                walker.threads(proc.as_fd(), pid, &mut tids);
            }
        }
        Ok(walker.owners)
    }
}

/// A task and its folder below the root.
struct Place {
    pid: u32,
    tid: u32,
    /// `PID` or `PID/task/TID`, with room for a name after it and the NUL that it ends in.
    path: [u8; 48],
    len: usize,
}

impl Place {
    fn process(pid: u32) -> Place {
        Place::at(pid, pid, format_args!("{pid}"))
    }

    fn thread(pid: u32, tid: u32) -> Place {
        Place::at(pid, tid, format_args!("{pid}/task/{tid}"))
    }

    fn at(pid: u32, tid: u32, folder: std::fmt::Arguments<'_>) -> Place {
        let mut path = [0; 48];
        let mut rest = &mut path[..];
        // Two numbers of ten digits and "/task/" fit.
        let _ = rest.write_fmt(folder);
        let len = 48 - rest.len();
        Place { pid, tid, path, len }
    }

    fn open(&mut self, proc: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = &mut self.path[self.len..];
        path[..name.len()].copy_from_slice(name);
        path[name.len()..].fill(0);
        let path = CStr::from_bytes_until_nul(&self.path).map_err(|_| Errno::NAMETOOLONG)?;
        rustix::fs::openat(proc, path, flags, Mode::empty())
    }
}

struct Walker<'a> {
    walk: Walk,
    root: &'a Path,
    owners: Owners,
}

impl Walker<'_> {
    fn threads(&mut self, proc: BorrowedFd<'_>, pid: u32, buffer: &mut [MaybeUninit<u8>]) {
        let Ok(folder) = Place::process(pid).open(proc, b"/task", DIRECTORY) else { return };
        let mut entries = RawDir::new(&folder, buffer);
        while let Some(Ok(entry)) = entries.next() {
            match number(entry.file_name()) {
                // A thread that is gone, or whose process is, holds nothing.
                Some(tid) if tid != pid => drop(self.task(proc, &Place::thread(pid, tid))),
                _ => {}
            }
        }
    }

    fn task(&mut self, proc: BorrowedFd<'_>, place: &Place) -> Result<(), Errno> {
        let mut place = Place { path: place.path, ..*place };
        let folder = place.open(proc, b"/fd", DIRECTORY)?;
        let mut buffer = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(&folder, &mut buffer);
        let mut task = None;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let Some(fd) = number(entry.file_name()) else { continue };
            let mut link = [MaybeUninit::uninit(); 64];
            let Ok((link, _)) = rustix::fs::readlinkat_raw(&folder, entry.file_name(), &mut link)
            else {
                continue;
            };
            let Some(inode) = socket_inode(link) else { continue };
            let task = *task.get_or_insert_with(|| self.add_task(proc, &mut place));
            self.add_descriptor(inode, task, &place, fd);
        }
        Ok(())
    }

    fn add_task(&mut self, proc: BorrowedFd<'_>, place: &mut Place) -> TaskId {
        let mut stat = [0; 256];
        let stat = read_into(place.open(proc, b"/stat", FILE), &mut stat);
        let mut context = [0; 4096];
        let context = match self.walk.contexts {
            Contexts::None => None,
            _ => Some(match read_into(place.open(proc, b"/attr/current", FILE), &mut context) {
                [] => UNAVAILABLE,
                label => trim(label),
            }),
        };
        self.owners.add_task(place.pid, place.tid, comm(stat), context)
    }

    fn add_descriptor(&mut self, inode: Inode, task: TaskId, place: &Place, fd: u32) {
        let descriptor = self.owners.add_descriptor(inode, task, fd);
        if self.walk.contexts == Contexts::ProcessesAndSockets {
            let folder = OsStr::from_bytes(&place.path[..place.len]);
            let path = self.root.join(folder).join(format!("fd/{fd}"));
            let mut label = [0; 255];
            let context = match rustix::fs::getxattr(&path, c"security.selinux", &mut label[..]) {
                Ok(len) => trim(&label[..len]),
                Err(_) => UNAVAILABLE,
            };
            self.owners.set_socket_context(descriptor, context);
        }
    }
}

/// The start of a file; nothing where it cannot be read.
fn read_into(file: Result<OwnedFd, Errno>, buffer: &mut [u8]) -> &[u8] {
    match file.and_then(|file| rustix::io::read(file, &mut *buffer)) {
        Ok(len) => &buffer[..len],
        Err(_) => &[],
    }
}

/// The name in /proc/PID/stat: all between the first and the last parenthesis.
fn comm(stat: &[u8]) -> &[u8] {
    let start = stat.iter().position(|byte| *byte == b'(').map(|at| at + 1);
    let end = stat.iter().rposition(|byte| *byte == b')');
    match (start, end) {
        (Some(start), Some(end)) if start <= end => &stat[start..end],
        _ => &[],
    }
}

/// The inode of `socket:[N]`.
fn socket_inode(link: &[u8]) -> Option<Inode> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    decimal(digits).map(Inode)
}

fn number(name: &CStr) -> Option<u32> {
    decimal(name.to_bytes())
}

fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_name_may_hold_parentheses() {
        assert_eq!(comm(b"7 (a) S 1"), b"a");
        assert_eq!(comm(b"7 (a)b(c) S 1"), b"a)b(c");
        assert_eq!(comm(b"7 () S 1"), b"");
        assert_eq!(comm(b"7 )("), b"");
        assert_eq!(comm(b""), b"");
    }

    #[test]
    fn only_links_to_sockets_count() {
        assert_eq!(socket_inode(b"socket:[123]"), Some(Inode(123)));
        for link in
            [&b"socket:[]"[..], b"socket:[1", b"socket:[x]", b"pipe:[1]", b"socket:[4294967296]"]
        {
            assert_eq!(socket_inode(link), None, "{link:?}");
        }
    }

    #[test]
    fn this_process_is_found_as_the_holder_of_its_sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let copy = listener.try_clone().unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = socket_inode(link.as_os_str().as_encoded_bytes()).unwrap();
        let mut expected = [listener.as_raw_fd() as u32, copy.as_raw_fd() as u32];
        expected.sort_unstable_by(|a, b| b.cmp(a));

        let owners = Walk::default().run(Path::new("/proc")).unwrap();
        let mine: Vec<_> = owners.holders(inode).filter(|h| h.pid == std::process::id()).collect();
        assert_eq!(mine.iter().map(|h| h.fd).collect::<Vec<_>>(), expected);
        assert!(mine.iter().all(|h| h.tid == h.pid && h.process_context.is_none()));

        let threads = Walk { granularity: Granularity::Threads, ..Walk::default() };
        let owners = threads.run(Path::new("/proc")).unwrap();
        let this_thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let by_thread = owners.holders(inode).filter(|h| h.tid == this_thread).count();
        assert_eq!(by_thread, expected.len());
    }

    #[test]
    fn a_proc_that_is_not_there_is_an_error() {
        let error = Walk::default().run(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }
}
