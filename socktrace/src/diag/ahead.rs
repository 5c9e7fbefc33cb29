//! Several dumps, in their order, read ahead of whoever consumes them once they take long.
//!
//! The kernel makes a dump on the thread that reads it, and walks the whole table for each family.
//! So where there is much to list, a thread per dump reads while this one decodes and formats; a
//! small listing never starts one.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::inet::{self, Extensions, Request};
use super::transport::{DiagError, DiagSocket, DumpEnd, Walk, messages};
use crate::socket::{Family, Inet, StateSet, Table};

/// How long dumps may take before threads are worth their start.
const PATIENCE: Duration = Duration::from_millis(2);
/// How many reads (of 32 KB) a thread may be ahead.
const AHEAD: usize = 4;

type Read = Result<Vec<u8>, DiagError>;

/// When threads begin to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Once the dumps have taken long.
    WhenSlow,
    /// At once: the kernel may walk a whole table before the first read, where few of it are wanted.
    AtOnce,
}

/// Every socket of a table, of either family.
pub fn each_inet(
    table: Table,
    states: StateSet,
    extensions: Extensions,
    each: &mut dyn FnMut(&Inet<'_>),
) -> anyhow::Result<()> {
    let request = Request { table, states, extensions, bytecode: None, bpf_storage: None };
    let requests: Result<Vec<_>, DiagError> =
        [Family::Inet, Family::Inet6].into_iter().map(|family| request.encode(family)).collect();
    let ends = dump_all(&requests?, Start::WhenSlow, &mut |message| {
        inet::decode(table, message).iter().for_each(&mut *each);
        Ok(())
    })?;
    // One family may be missing; both may not.
    let mut ends = ends.into_iter();
    let first = ends.next().transpose();
    if ends.all(|end| end.is_err()) {
        first?;
    }
    Ok(())
}

/// Runs dumps and hands each socket message's payload to `each`. How each dump ended, in their
/// order; an error of `each` ends everything.
pub fn dump_all(
    requests: &[Vec<u8>],
    start: Start,
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Result<DumpEnd, DiagError>>> {
    let mut ends = Vec::with_capacity(requests.len());
    if start == Start::AtOnce && requests.len() > 1 {
        read_ahead(None, requests, &mut ends, each)?;
        return Ok(ends);
    }
    let started = Instant::now();
    for (number, request) in requests.iter().enumerate() {
        let mut begun = match begin(request) {
            Ok(begun) => begun,
            Err(error) => {
                ends.push(Err(error));
                continue;
            }
        };
        let end = loop {
            if started.elapsed() > PATIENCE {
                read_ahead(Some(begun), &requests[number + 1..], &mut ends, each)?;
                return Ok(ends);
            }
            let Begun { diag, walk } = &mut begun;
            let step = diag.receive().and_then(|bytes| walk.read(bytes, each));
            match step {
                Ok(None) => {}
                Ok(Some(end)) => break Ok(end),
                Err(error) => break Err(error),
            }
        };
        ends.push(unless_sink(end)?);
    }
    Ok(ends)
}

struct Begun {
    diag: DiagSocket,
    walk: Walk,
}

fn begin(request: &[u8]) -> Result<Begun, DiagError> {
    let mut diag = DiagSocket::open()?;
    let walk = diag.begin(request)?;
    Ok(Begun { diag, walk })
}

/// Reads what is left of the current dump and all of the later ones, each in a thread of its own.
fn read_ahead(
    current: Option<Begun>,
    later: &[Vec<u8>],
    ends: &mut Vec<Result<DumpEnd, DiagError>>,
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    share_one_arena();
    thread::scope(|scope| {
        let mut dumps = Vec::with_capacity(later.len() + 1);
        if let Some(Begun { diag, walk }) = current {
            let (sender, reads) = pipe();
            scope.spawn(move || sender.send_all(&diag));
            dumps.push((walk, reads));
        }
        for request in later {
            let (sender, reads) = pipe();
            let is_needed_later = !dumps.is_empty();
            scope.spawn(move || {
                if is_needed_later {
                    step_back();
                }
                match begin(request) {
                    Ok(Begun { diag, .. }) => sender.send_all(&diag),
                    // Whoever hung up has an error of its own.
                    Err(error) => drop(sender.reads.send(Err(error))),
                }
            });
            dumps.push((Walk::of_first_request(), reads));
        }
        for (walk, reads) in dumps {
            ends.push(unless_sink(reads.consume(walk, each))?);
        }
        Ok(())
    })
}

/// Has threads allocate where this one does: they allocate a handful of buffers, for which memory of
/// their own would be mapped and touched.
fn share_one_arena() {
    // SAFETY: it sets a limit of the allocator.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Has this thread run when there is a core that nobody else wants. With two cores, those are for
/// the dump that is shown first and for whoever shows it.
fn step_back() {
    // If it may not, the listing only takes longer.
    let _ = rustix::process::setpriority_process(None, 19);
}

/// Reads on their way, and their buffers on the way back.
fn pipe() -> (ReadSender, ReadReceiver) {
    let (reads, from_reader) = sync_channel(AHEAD);
    let (buffers, used) = channel();
    (ReadSender { reads, used }, ReadReceiver { reads: from_reader, buffers })
}

struct ReadSender {
    reads: SyncSender<Read>,
    used: Receiver<Vec<u8>>,
}

struct ReadReceiver {
    reads: Receiver<Read>,
    buffers: Sender<Vec<u8>>,
}

impl ReadSender {
    /// Sends each read, up to the one that ends the dump or until the other side hangs up.
    fn send_all(&self, diag: &DiagSocket) {
        loop {
            let mut bytes = self.used.try_recv().unwrap_or_default();
            let read = diag.receive_into(&mut bytes).map(|()| bytes);
            let is_last = read.as_ref().map_or(true, |bytes| holds_end(bytes));
            if self.reads.send(read).is_err() || is_last {
                return;
            }
        }
    }
}

impl ReadReceiver {
    fn consume(
        &self,
        mut walk: Walk,
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<DumpEnd, DiagError> {
        for read in &self.reads {
            let bytes = read?;
            if let Some(end) = walk.read(&bytes, each)? {
                return Ok(end);
            }
            // A reader that has ended needs no more of them.
            let _ = self.buffers.send(bytes);
        }
        Err(DiagError::Damaged("it ended without a last message"))
    }
}

/// Only the last read of a dump holds its end, and nothing comes after it to be read.
fn holds_end(bytes: &[u8]) -> bool {
    messages(bytes).any(|message| message.is_ok_and(|message| message.is_last()))
}

/// The error of a sink is not one of the dump.
fn unless_sink(end: Result<DumpEnd, DiagError>) -> anyhow::Result<Result<DumpEnd, DiagError>> {
    match end {
        Err(DiagError::Sink(error)) => Err(error),
        end => Ok(end),
    }
}
