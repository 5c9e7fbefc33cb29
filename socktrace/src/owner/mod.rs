//! Which processes hold which socket.
//!
//! One table, [`Owners`], and two ways to fill it with the same result: a [`walk`] over /proc, and
//! an eBPF [`iterator`], which costs more at the start and far less per descriptor. Knows neither
//! sockets nor output.

pub mod iterator;
pub mod selinux;
mod seniority;
mod table;
mod walk;

use std::fs;
use std::path::Path;
use std::thread;

pub use seniority::Ticks;
pub use table::{DescriptorId, Holder, Owners, TaskId};
pub use walk::WalkError;

use crate::procfs;
use crate::socket::Inode;
use iterator::{IteratorError, SocketDescriptors};
use seniority::Births;

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

/// What to collect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    pub granularity: Granularity,
    pub contexts: Contexts,
}

/// Where to collect it from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// The iterator where it may be used and pays, the walk elsewhere.
    #[default]
    Auto,
    Walk,
    Iterator,
}

/// Why the owners are not known.
#[derive(Debug, thiserror::Error)]
pub enum OwnersError {
    #[error(transparent)]
    Walk(#[from] WalkError),
    #[error(transparent)]
    Iterator(#[from] IteratorError),
    #[error("the iterator tells of neither threads nor SELinux contexts: they take a walk")]
    NotByIterator,
    #[error(
        "{root} does not show the processes by their numbers in the initial PID namespace, \
        as the iterator does"
    )]
    OtherNumbers { root: String },
}

/// From how many open files on the host the iterator pays (docs/BENCHMARKS.md).
const ITERATOR_PAYS: u64 = 6_000;
/// From how many open files on the host the walk takes longer than threads to start.
const THREADS_PAY: u64 = 2_000;
const MOST_THREADS: usize = 8;

/// Collects the owners of all sockets; `root` is where /proc is. `progress` is told now and then
/// how many descriptors of sockets were found.
pub fn collect(
    wanted: Wanted,
    source: Source,
    root: &Path,
    progress: &mut dyn FnMut(usize),
) -> Result<Owners, OwnersError> {
    let mut owners = fill(wanted, source, root, progress)?;
    owners.set_births(Births::below(root));
    Ok(owners)
}

fn fill(
    wanted: Wanted,
    source: Source,
    root: &Path,
    progress: &mut dyn FnMut(usize),
) -> Result<Owners, OwnersError> {
    let is_simple =
        wanted.granularity == Granularity::Processes && wanted.contexts == Contexts::None;
    let open_files = procfs::open_files(root);
    match source {
        Source::Iterator if !is_simple => return Err(OwnersError::NotByIterator),
        Source::Iterator if !shows_initial_pids(root) => {
            return Err(OwnersError::OtherNumbers { root: root.display().to_string() });
        }
        Source::Iterator => return Ok(iterate(progress)?),
        Source::Auto if is_simple && open_files >= ITERATOR_PAYS && shows_initial_pids(root) => {
            // Where the kernel has no such iterator, the walk takes its time.
            if let Ok(owners) = iterate(progress) {
                return Ok(owners);
            }
        }
        Source::Auto | Source::Walk => {}
    }
    let threads = match open_files {
        ..THREADS_PAY => 1,
        _ => thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS)),
    };
    Ok(walk::walk(wanted, root, threads, progress)?)
}

/// Whether the processes below `root` have the numbers that the iterator gives them.
fn shows_initial_pids(root: &Path) -> bool {
    const INITIAL: &str = "pid:[4026531836]";
    let link = |name| fs::read_link(root.join(name));
    link("self").is_ok_and(|pid| pid == Path::new(&std::process::id().to_string()))
        && link("self/ns/pid").is_ok_and(|namespace| namespace == Path::new(INITIAL))
}

fn iterate(progress: &mut dyn FnMut(usize)) -> Result<Owners, IteratorError> {
    const STRIDE: usize = 4096;
    let mut owners = Owners::default();
    let mut count = 0;
    let mut task = None;
    SocketDescriptors::open()?.for_each(&mut |descriptor| {
        // A thread with descriptors of its own is none of the process.
        if descriptor.tid != descriptor.tgid {
            return;
        }
        let id = match task {
            Some((pid, id)) if pid == descriptor.tgid => id,
            _ => {
                let comm = descriptor.comm.split(|byte| *byte == 0).next().unwrap_or_default();
                owners.add_task(descriptor.tgid, descriptor.tid, comm, None)
            }
        };
        task = Some((descriptor.tgid, id));
        count += 1;
        if usize::is_multiple_of(count, STRIDE) {
            progress(count);
        }
        owners.add_descriptor(Inode(descriptor.inode), id, descriptor.fd);
    })?;
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proc_that_is_not_there_shows_no_processes() {
        assert!(!shows_initial_pids(Path::new("/nonexistent")));
    }

    #[test]
    fn the_iterator_is_not_asked_for_what_it_cannot_tell() {
        let threads = Wanted { granularity: Granularity::Threads, ..Wanted::default() };
        let error =
            collect(threads, Source::Iterator, Path::new("/proc"), &mut |_| {}).unwrap_err();
        assert!(matches!(error, OwnersError::NotByIterator));
    }
}
