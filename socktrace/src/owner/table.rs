//! The table of holders: inode -> descriptors, the newest first. Filled process by process.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use rustix::io::Errno;

use super::seniority::Births;
use crate::socket::Inode;

/// The holders of every socket that was seen.
#[derive(Debug, Default)]
pub struct Owners {
    /// The newest descriptor of each socket, older ones hang behind it: nearly all have but one,
    /// and are found at once.
    newest: FxHashMap<Inode, Descriptor>,
    older: Vec<Descriptor>,
    tasks: Vec<Task>,
    /// Names and security contexts, one after the other.
    text: Vec<u8>,
    socket_contexts: FxHashMap<DescriptorId, Span>,
    kernel_context: Option<Span>,
    refused: u32,
    failed: Option<Errno>,
    births: Births,
}

#[derive(Debug, Clone, Copy)]
struct Descriptor {
    id: DescriptorId,
    /// Its place in [`Owners::older`], or `NONE`.
    older: u32,
}

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Task {
    pid: u32,
    tid: u32,
    comm: Span,
    context: Option<Span>,
}

/// A piece of [`Owners::text`].
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
}

/// A task that was added to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId(u32);

/// A descriptor that was added to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DescriptorId {
    task: TaskId,
    fd: u32,
}

/// One descriptor of a socket and the task that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder<'a> {
    pub pid: u32,
    /// The thread; that of the process itself unless threads were asked for.
    pub tid: u32,
    pub fd: u32,
    /// As the process chose it: any bytes.
    pub comm: &'a [u8],
    /// SELinux contexts, where they were asked for.
    pub process_context: Option<&'a [u8]>,
    pub socket_context: Option<&'a [u8]>,
}

impl Owners {
    pub fn add_task(&mut self, pid: u32, tid: u32, comm: &[u8], context: Option<&[u8]>) -> TaskId {
        let task = Task {
            pid,
            tid,
            comm: self.store(comm),
            context: context.map(|context| self.store(context)),
        };
        self.tasks.push(task);
        TaskId(index(self.tasks.len() - 1))
    }

    pub fn add_descriptor(&mut self, inode: Inode, task: TaskId, fd: u32) -> DescriptorId {
        let id = DescriptorId { task, fd };
        match self.newest.entry(inode) {
            Entry::Vacant(entry) => {
                entry.insert(Descriptor { id, older: NONE });
            }
            Entry::Occupied(mut entry) => {
                let older = entry.insert(Descriptor { id, older: index(self.older.len()) });
                self.older.push(older);
            }
        }
        id
    }

    pub fn set_socket_context(&mut self, descriptor: DescriptorId, context: &[u8]) {
        let span = self.store(context);
        self.socket_contexts.insert(descriptor, span);
    }

    /// The context of what the kernel itself holds.
    pub fn set_kernel_context(&mut self, context: &[u8]) {
        self.kernel_context = Some(self.store(context));
    }

    /// The SELinux context of a process that holds sockets, or of the kernel (pid 0).
    pub fn context(&self, pid: u32) -> Option<&[u8]> {
        let span = match pid {
            0 => self.kernel_context,
            _ => self.tasks.iter().find(|task| task.pid == pid).and_then(|task| task.context),
        };
        span.map(|span| self.text(span))
    }

    /// Counts a process whose descriptors could not be seen.
    pub fn add_refused(&mut self) {
        self.refused += 1;
    }

    /// How many processes' descriptors could not be seen for want of permission.
    pub fn refused(&self) -> u32 {
        self.refused
    }

    /// Notes that holders may be missing, and why.
    pub fn add_failure(&mut self, error: Errno) {
        self.failed.get_or_insert(error);
    }

    /// Where to look up how old the processes are.
    pub(super) fn set_births(&mut self, births: Births) {
        self.births = births;
    }

    pub(super) fn births(&self) -> &Births {
        &self.births
    }

    /// Why holders may be missing that could have been seen; `None` if none are.
    pub fn failure(&self) -> Option<Errno> {
        self.failed
    }

    /// The tasks that hold any socket, by process and name.
    pub fn processes(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.tasks.iter().map(|task| (task.pid, self.text(task.comm)))
    }

    /// How many descriptors of sockets each process has.
    pub fn counts(&self) -> FxHashMap<u32, u64> {
        let mut counts = FxHashMap::default();
        for descriptor in self.newest.values().chain(&self.older) {
            let task = self.tasks.get(descriptor.id.task.0 as usize);
            task.into_iter().for_each(|task| *counts.entry(task.pid).or_default() += 1);
        }
        counts
    }

    /// The holders of a socket, the newest first.
    pub fn holders(&self, inode: Inode) -> impl Iterator<Item = Holder<'_>> {
        let mut next = self.newest.get(&inode).copied();
        std::iter::from_fn(move || {
            let Descriptor { id, older } = next?;
            next = self.older.get(older as usize).copied();
            let task = self.tasks.get(id.task.0 as usize)?;
            Some(Holder {
                pid: task.pid,
                tid: task.tid,
                fd: id.fd,
                comm: self.text(task.comm),
                process_context: task.context.map(|span| self.text(span)),
                socket_context: self.socket_contexts.get(&id).map(|span| self.text(*span)),
            })
        })
    }

    fn store(&mut self, bytes: &[u8]) -> Span {
        let span = Span { start: index(self.text.len()), len: index(bytes.len()) };
        self.text.extend_from_slice(bytes);
        span
    }

    fn text(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        &self.text[start..start + span.len as usize]
    }
}

/// Positions are kept in four bytes: the kernel has no room for that many descriptors.
fn index(position: usize) -> u32 {
    u32::try_from(position).expect("fewer than four thousand million descriptors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_come_newest_first() {
        let mut owners = Owners::default();
        let a = owners.add_task(1, 1, b"a", None);
        owners.add_descriptor(Inode(7), a, 3);
        owners.add_descriptor(Inode(8), a, 4);
        let b = owners.add_task(2, 5, b"b)", Some(b"ctx"));
        let descriptor = owners.add_descriptor(Inode(7), b, 9);
        owners.set_socket_context(descriptor, b"sock");
        let seven: Vec<_> = owners.holders(Inode(7)).collect();
        assert_eq!(
            seven,
            [
                Holder {
                    pid: 2,
                    tid: 5,
                    fd: 9,
                    comm: b"b)",
                    process_context: Some(b"ctx"),
                    socket_context: Some(b"sock"),
                },
                Holder {
                    pid: 1,
                    tid: 1,
                    fd: 3,
                    comm: b"a",
                    process_context: None,
                    socket_context: None,
                },
            ]
        );
        assert_eq!(owners.holders(Inode(8)).count(), 1);
        assert_eq!((owners.context(2), owners.context(1)), (Some(&b"ctx"[..]), None));
        assert_eq!(owners.context(0), None);
        owners.set_kernel_context(b"kernel");
        assert_eq!(owners.context(0), Some(&b"kernel"[..]));
        assert_eq!(owners.holders(Inode(9)).count(), 0);
    }
}
