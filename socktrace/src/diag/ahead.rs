//! Several dumps, in their order, read ahead of whoever consumes them once they take long.
//!
//! The kernel makes a dump on the thread that reads it, and walks the whole table for each family.
//! So where there is much to list, a thread per dump reads while this one decodes and formats, or
//! still collects what it needs for that; a small listing never starts one. Where few TCP sockets are
//! of IPv6, one walk is for both families: a second would keep a core from whoever formats.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::inet::{self, Extensions, Request};
use super::transport::{DiagError, DiagSocket, DumpEnd, Walk, messages};
use crate::socket::{Family, Inet, StateSet, Table};

/// How long dumps may take before threads are worth their start.
const PATIENCE: Duration = Duration::from_millis(2);

/// How much a thread may have read before anyone takes it, and how much of it is handed over at once:
/// to wake somebody for each read slows the reader down.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    batches: NonZeroUsize,
    batch_bytes: usize,
}

impl Room {
    /// Enough for a reader and a consumer that are about as fast.
    pub const SMALL: Room = Room { batch_bytes: 128 << 10, ..Room::LARGE };

    /// For a reader whom nothing is to hold up.
    pub const LARGE: Room = Room { batches: NonZeroUsize::new(2).unwrap(), batch_bytes: 256 << 10 };

    /// For so many bytes, and never less than the large one.
    pub fn of_bytes(bytes: u64) -> Room {
        let least = Room::LARGE;
        let batches = NonZeroUsize::new((bytes / least.batch_bytes as u64) as usize);
        Room {
            batches: batches.map_or(least.batches, |batches| batches.max(least.batches)),
            ..least
        }
    }
}

type Batch = Result<Vec<u8>, DiagError>;

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
    let ends = dump_all(&requests?, &mut |message| {
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
/// order; an error of `each` ends everything. Threads read once that has taken long.
pub fn dump_all(
    requests: &[Vec<u8>],
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Result<DumpEnd, DiagError>>> {
    let mut ends = Vec::with_capacity(requests.len());
    let started = Instant::now();
    // There may be no more threads to be had.
    let mut is_alone = false;
    for (number, request) in requests.iter().enumerate() {
        let mut begun = match begin(request) {
            Ok(begun) => begun,
            Err(error) => {
                ends.push(Err(error));
                continue;
            }
        };
        let end = loop {
            if started.elapsed() > PATIENCE && !is_alone {
                share_one_arena();
                match Dump::go_on(begun) {
                    Ok(current) => {
                        let mut dumps = vec![current];
                        let later = &requests[number + 1..];
                        dumps.extend(later.iter().map_while(|request| {
                            let request = request.clone();
                            Dump::begin(move || begin(&request), Room::SMALL, false)
                        }));
                        let rest = &later[dumps.len() - 1..];
                        ends.extend(consume(dumps, each)?);
                        ends.extend(dump_all(rest, each)?);
                        return Ok(ends);
                    }
                    Err(back) => (begun, is_alone) = (back, true),
                }
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

/// Dumps that were begun before anyone consumes them.
pub struct Ahead {
    requests: Vec<Vec<u8>>,
    reading: Reading,
}

enum Reading {
    /// A dump for each request.
    Each(Vec<Dump>),
    /// One for both families.
    Both(Dump),
}

impl Ahead {
    /// Begins them; `None` where there are no more threads to be had.
    pub fn begin(requests: Vec<Vec<u8>>, room: Room) -> Option<Ahead> {
        share_one_arena();
        let begin = |(number, request): (usize, &Vec<u8>)| {
            let request = request.clone();
            Dump::begin(move || begin(&request), room, number == 0)
        };
        let dumps = requests.iter().enumerate().map(begin).collect::<Option<_>>()?;
        Some(Ahead { requests, reading: Reading::Each(dumps) })
    }

    /// As [`Ahead::begin`], for a host with few sockets of IPv6: if both families can be had in one
    /// walk, they are.
    pub fn begin_together(requests: Vec<Vec<u8>>, room: Room) -> Option<Ahead> {
        let Some(both) = inet::of_both_families(&requests) else {
            return Ahead::begin(requests, room);
        };
        share_one_arena();
        let dump = Dump::begin(move || begin_both(&both), room, true)?;
        Some(Ahead { requests, reading: Reading::Both(dump) })
    }

    pub fn is_of(&self, requests: &[Vec<u8>]) -> bool {
        self.requests == requests
    }

    /// As [`dump_all`] does.
    pub fn consume(
        self,
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Result<DumpEnd, DiagError>>> {
        match self.reading {
            Reading::Each(dumps) => consume(dumps, each),
            Reading::Both(dump) => consume_both(dump, &self.requests, each),
        }
    }
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

fn begin_both(request: &[u8]) -> Result<Begun, DiagError> {
    let mut diag = DiagSocket::open()?;
    let walk = diag.begin_both(request)?;
    Ok(Begun { diag, walk })
}

/// A dump that a thread reads, until its end or until this is dropped.
struct Dump {
    walk: Walk,
    reads: ReadReceiver,
}

impl Dump {
    /// `None` where there are no more threads to be had.
    fn begin(
        begin: impl FnOnce() -> Result<Begun, DiagError> + Send + 'static,
        room: Room,
        is_first: bool,
    ) -> Option<Dump> {
        let (sender, reads) = pipe(room);
        let read = move || {
            if !is_first {
                step_back();
            }
            match begin() {
                Ok(Begun { diag, .. }) => sender.send_all(&diag),
                // Whoever hung up has an error of its own.
                Err(error) => drop(sender.batches.send(Err(error))),
            }
        };
        thread::Builder::new().spawn(read).ok()?;
        Some(Dump { walk: Walk::of_first_request(), reads })
    }

    /// Reads what is left of one; gives it back where there are no more threads to be had.
    fn go_on(Begun { mut diag, walk }: Begun) -> Result<Dump, Begun> {
        let (sender, reads) = pipe(Room::SMALL);
        // Nobody hangs up before a thread has it.
        let _ = reads.buffers.send(diag.take_buffer());
        let diag = Arc::new(diag);
        let its = Arc::clone(&diag);
        match thread::Builder::new().spawn(move || sender.send_all(&its)) {
            Ok(_) => Ok(Dump { walk, reads }),
            Err(_) => {
                let diag = Arc::into_inner(diag).expect("the thread that had it never was");
                Err(Begun { diag, walk })
            }
        }
    }
}

/// How each dump ended.
fn consume(
    dumps: Vec<Dump>,
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Result<DumpEnd, DiagError>>> {
    dumps.into_iter().map(|dump| unless_sink(dump.reads.consume(dump.walk, each))).collect()
}

/// Hands over IPv4 as it comes, and IPv6 after it: kept until then, or asked for again if it is more
/// than expected. How each family's dump ended.
fn consume_both(
    dump: Dump,
    requests: &[Vec<u8>],
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Result<DumpEnd, DiagError>>> {
    let mut has_begun = false;
    let mut later = Kept::default();
    let end = dump.reads.consume(dump.walk, &mut |message| {
        has_begun = true;
        if inet::is_ipv6(message) {
            later.keep(message);
            return Ok(());
        }
        each(message)
    });
    match unless_sink(end)? {
        Ok(end) if later.is_whole() => {
            later.messages().try_for_each(each)?;
            Ok(vec![Ok(end), Ok(end)])
        }
        Err(_) if !has_begun => dump_all(requests, each),
        end => {
            let mut ends = vec![end];
            ends.extend(dump_all(&requests[1..], each)?);
            Ok(ends)
        }
    }
}

/// Messages for later, as many as there is room for.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    lengths: Vec<usize>,
    has_dropped: bool,
}

impl Kept {
    const ROOM_BYTES: usize = 256 << 10;

    fn keep(&mut self, message: &[u8]) {
        if self.bytes.len() + message.len() > Kept::ROOM_BYTES {
            *self = Kept { has_dropped: true, ..Kept::default() };
        }
        if !self.has_dropped {
            self.bytes.extend_from_slice(message);
            self.lengths.push(message.len());
        }
    }

    fn is_whole(&self) -> bool {
        !self.has_dropped
    }

    fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        self.lengths.iter().map(move |length| {
            let (message, after) = rest.split_at(*length);
            rest = after;
            message
        })
    }
}

/// Has threads allocate where this one does: they allocate a handful of buffers, for which memory
/// of their own would be mapped and touched.
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
fn pipe(room: Room) -> (ReadSender, ReadReceiver) {
    let (batches, from_reader) = sync_channel(room.batches.get());
    let (buffers, used) = channel();
    let sender = ReadSender { batches, used, batch_bytes: room.batch_bytes };
    (sender, ReadReceiver { batches: from_reader, buffers })
}

struct ReadSender {
    batches: SyncSender<Batch>,
    used: Receiver<Vec<u8>>,
    batch_bytes: usize,
}

struct ReadReceiver {
    batches: Receiver<Batch>,
    buffers: Sender<Vec<u8>>,
}

impl ReadSender {
    /// Sends all reads, up to the one that ends the dump or until the other side hangs up.
    fn send_all(&self, diag: &DiagSocket) {
        loop {
            let mut bytes = self.used.try_recv().unwrap_or_default();
            bytes.clear();
            let end = fill(diag, &mut bytes, self.batch_bytes);
            if self.batches.send(Ok(bytes)).is_err() {
                return;
            }
            match end {
                None => {}
                Some(Ok(())) => return,
                // Whoever hung up has an error of its own.
                Some(Err(error)) => return drop(self.batches.send(Err(error))),
            }
        }
    }
}

/// Reads on until there are as many bytes as wanted, or all; how the dump ended, if it did.
fn fill(diag: &DiagSocket, bytes: &mut Vec<u8>, wanted: usize) -> Option<Result<(), DiagError>> {
    while bytes.len() < wanted {
        let start = bytes.len();
        if let Err(error) = diag.receive_after(bytes) {
            return Some(Err(error));
        }
        if holds_end(&bytes[start..]) {
            return Some(Ok(()));
        }
    }
    None
}

impl ReadReceiver {
    fn consume(
        &self,
        mut walk: Walk,
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<DumpEnd, DiagError> {
        for batch in &self.batches {
            let bytes = batch?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_all_or_known_not_to_be() {
        let mut kept = Kept::default();
        kept.keep(b"one");
        kept.keep(b"");
        kept.keep(b"two");
        assert!(kept.is_whole());
        assert_eq!(kept.messages().collect::<Vec<_>>(), [&b"one"[..], b"", b"two"]);
        kept.keep(&[0; Kept::ROOM_BYTES]);
        kept.keep(b"three");
        assert!(!kept.is_whole());
        assert_eq!(kept.messages().count(), 0);
    }
}
