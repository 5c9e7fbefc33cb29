//! Fills the table by a walk over /proc/PID/fd, without an allocation per descriptor; by several
//! threads where there is much to walk over.

use std::ffi::{CStr, OsStr};
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::selinux::{UNAVAILABLE, kernel_context, trim};
use super::{Contexts, Granularity, Owners, Wanted};
use crate::socket::Inode;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);
const ENTRIES: usize = 32 * 1024;

#[derive(Debug, thiserror::Error)]
#[error("cannot read the processes in {}: {error}", root.display())]
pub struct WalkError {
    root: PathBuf,
    error: Errno,
}

/// Collects the owners of all sockets from a /proc, with that many threads. Processes that exit
/// meanwhile are left out; those that may not be looked at are counted.
pub(super) fn walk(
    wanted: Wanted,
    root: &Path,
    threads: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Owners, WalkError> {
    let failed = |error| WalkError { root: root.to_owned(), error };
    let proc = rustix::fs::openat(CWD, root, DIRECTORY, Mode::empty()).map_err(failed)?;
    let pids = processes(&proc).map_err(failed)?;
    let mut owners = Owners::default();
    if wanted.contexts != Contexts::None
        && let Some(context) = kernel_context()
    {
        owners.set_kernel_context(&context);
    }
    let walker = Walker { wanted, root, proc: proc.as_fd() };
    for process in walker.side_by_side(&pids, threads, progress) {
        process.add_to(&mut owners);
    }
    Ok(owners)
}

/// The processes, in the order of their numbers, as /proc lists them.
fn processes(proc: &OwnedFd) -> Result<Vec<u32>, Errno> {
    let mut buffer = [MaybeUninit::uninit(); ENTRIES];
    let mut entries = RawDir::new(proc, &mut buffer);
    let mut pids = Vec::new();
    while let Some(entry) = entries.next() {
        pids.extend(number(entry?.file_name()));
    }
    Ok(pids)
}

/// What is found of one process: the tasks of it that hold sockets.
#[derive(Default)]
struct Process {
    tasks: Vec<Task>,
    is_refused: bool,
    /// What failed other than that it has exited.
    failed: Option<Errno>,
}

struct Task {
    pid: u32,
    tid: u32,
    comm: Vec<u8>,
    context: Option<Vec<u8>>,
    descriptors: Vec<(Inode, u32)>,
    /// One for each descriptor, where they are wanted.
    socket_contexts: Vec<Vec<u8>>,
}

impl Process {
    /// Whether there is nothing to tell of it.
    fn is_nothing(&self) -> bool {
        self.tasks.is_empty() && !self.is_refused && self.failed.is_none()
    }

    /// Notes why something of it could not be read, unless it is because it has exited.
    fn note(&mut self, error: Errno) {
        match error {
            Errno::NOENT | Errno::SRCH => {}
            Errno::ACCESS | Errno::PERM => self.is_refused = true,
            error => self.failed = Some(error),
        }
    }

    fn add_to(self, owners: &mut Owners) {
        if self.is_refused {
            owners.add_refused();
        }
        if let Some(error) = self.failed {
            owners.add_failure(error);
        }
        for task in self.tasks {
            let id = owners.add_task(task.pid, task.tid, &task.comm, task.context.as_deref());
            let mut contexts = task.socket_contexts.iter();
            for (inode, fd) in task.descriptors {
                let descriptor = owners.add_descriptor(inode, id, fd);
                if let Some(context) = contexts.next() {
                    owners.set_socket_context(descriptor, context);
                }
            }
        }
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

#[derive(Clone, Copy)]
struct Walker<'a> {
    wanted: Wanted,
    root: &'a Path,
    proc: BorrowedFd<'a>,
}

impl Walker<'_> {
    /// All processes, in their order: each thread takes the next one that nobody has taken.
    fn side_by_side(
        self,
        pids: &[u32],
        threads: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Vec<Process> {
        let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |progress: &mut dyn FnMut(usize)| {
            let mut done = Vec::new();
            while let at = next.fetch_add(1, Ordering::Relaxed)
                && let Some(pid) = pids.get(at)
            {
                let process = self.process(*pid);
                let count: usize = process.tasks.iter().map(|task| task.descriptors.len()).sum();
                progress(found.fetch_add(count, Ordering::Relaxed) + count);
                if !process.is_nothing() {
                    done.push((at, process));
                }
            }
            done
        };
        let mut all = thread::scope(|scope| {
            // Where there are no more threads to be had, there are fewer.
            let start = |_| thread::Builder::new().spawn_scoped(scope, || work(&mut |_| {})).ok();
            let others: Vec<_> = (1..threads).map_while(start).collect();
            let mut all = work(progress);
            for other in others {
                match other.join() {
                    Ok(done) => all.extend(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        });
        all.sort_unstable_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, process)| process).collect()
    }

    fn process(self, pid: u32) -> Process {
        let mut process = Process::default();
        self.task(&mut Place::process(pid), &mut process);
        if !process.is_refused && self.wanted.granularity == Granularity::Threads {
            self.threads(pid, &mut process);
        }
        process
    }

    /// The threads beside the one that stands for the process.
    fn threads(self, pid: u32, process: &mut Process) {
        let folder = match Place::process(pid).open(self.proc, b"/task", DIRECTORY) {
            Ok(folder) => folder,
            Err(error) => return process.note(error),
        };
        let mut buffer = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(&folder, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            match number(entry.file_name()) {
                // A thread that is gone, or whose process is, holds nothing.
                Some(tid) if tid != pid => {
                    self.task(&mut Place::thread(pid, tid), process);
                }
                _ => {}
            }
        }
    }

    /// Adds a task, if it holds sockets.
    fn task(self, place: &mut Place, process: &mut Process) {
        let folder = match place.open(self.proc, b"/fd", DIRECTORY) {
            Ok(folder) => folder,
            Err(error) => return process.note(error),
        };
        let mut buffer = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(&folder, &mut buffer);
        let mut task = None;
        while let Some(entry) = entries.next() {
            // What was found of a task that exits amid is kept.
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    process.note(error);
                    break;
                }
            };
            let Some(fd) = number(entry.file_name()) else { continue };
            let mut link = [MaybeUninit::uninit(); 64];
            let link = match rustix::fs::readlinkat_raw(&folder, entry.file_name(), &mut link) {
                Ok((link, _)) => link,
                Err(error) => {
                    process.note(error);
                    continue;
                }
            };
            let Some(inode) = socket_inode(link) else { continue };
            let task = task.get_or_insert_with(|| self.begin_task(place, process));
            task.descriptors.push((inode, fd));
            if self.wanted.contexts == Contexts::ProcessesAndSockets {
                task.socket_contexts.push(self.socket_context(place, fd));
            }
        }
        process.tasks.extend(task);
    }

    fn begin_task(self, place: &mut Place, process: &mut Process) -> Task {
        let mut stat = [0; 256];
        let file = place.open(self.proc, b"/stat", FILE).inspect_err(|error| process.note(*error));
        let stat = read_into(file, &mut stat);
        let mut context = [0; 4096];
        let context = match self.wanted.contexts {
            Contexts::None => None,
            _ => {
                Some(match read_into(place.open(self.proc, b"/attr/current", FILE), &mut context) {
                    [] => UNAVAILABLE,
                    label => trim(label),
                })
            }
        };
        Task {
            pid: place.pid,
            tid: place.tid,
            comm: comm(stat).to_vec(),
            context: context.map(<[u8]>::to_vec),
            descriptors: Vec::new(),
            socket_contexts: Vec::new(),
        }
    }

    fn socket_context(self, place: &Place, fd: u32) -> Vec<u8> {
        let folder = OsStr::from_bytes(&place.path[..place.len]);
        let path = self.root.join(folder).join(format!("fd/{fd}"));
        let mut label = [0; 255];
        match rustix::fs::getxattr(&path, c"security.selinux", &mut label[..]) {
            Ok(len) => trim(&label[..len]).to_vec(),
            Err(_) => UNAVAILABLE.to_vec(),
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

        let owners = walk(Wanted::default(), Path::new("/proc"), 1, &mut |_| {}).unwrap();
        let mine: Vec<_> = owners.holders(inode).filter(|h| h.pid == std::process::id()).collect();
        assert_eq!(mine.iter().map(|h| h.fd).collect::<Vec<_>>(), expected);
        assert!(mine.iter().all(|h| h.tid == h.pid && h.process_context.is_none()));

        let threads = Wanted { granularity: Granularity::Threads, ..Wanted::default() };
        let owners = walk(threads, Path::new("/proc"), 3, &mut |_| {}).unwrap();
        let this_thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let by_thread = owners.holders(inode).filter(|h| h.tid == this_thread).count();
        assert_eq!(by_thread, expected.len());
    }

    #[test]
    fn a_proc_that_is_not_there_is_an_error() {
        let error = walk(Wanted::default(), Path::new("/nonexistent"), 1, &mut |_| {}).unwrap_err();
        assert_eq!(
            format!("{:#}", anyhow::Error::from(error)),
            "cannot read the processes in /nonexistent: No such file or directory (os error 2)"
        );
    }
}
