//! Dumps that threads read beside each other, consumed one after the other.
//!
//! A thread reads no further than it has buffers for, which come back to it when they have been
//! consumed.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::kept::Kept;
use crate::diag::transport::{DiagError, DiagSocket, DumpEnd, Walk, messages};

/// How much a thread may have read before anyone takes it, and how much of it is handed over at once:
/// to wake somebody for each read slows the reader down.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    batches: NonZeroUsize,
    batch_bytes: usize,
    /// Beyond that, for what comes while an earlier dump is not at its end.
    early_bytes: usize,
}

impl Room {
    /// Enough for a reader and a consumer that are about as fast.
    pub const SMALL: Room = Room { batch_bytes: 128 << 10, ..Room::LARGE };

    /// For a reader whom nothing is to hold up.
    pub const LARGE: Room =
        Room { batches: NonZeroUsize::new(4).unwrap(), batch_bytes: 256 << 10, early_bytes: 0 };

    /// As the large one, and for 140,000 connections: so many come while the kernel looks for
    /// sockets that are bound to the ports of half a million.
    pub const LARGEST: Room = Room { early_bytes: 2 << 20, ..Room::LARGE };

    /// For so many bytes, and never less than the large one.
    pub fn of_bytes(bytes: u64) -> Room {
        let least = Room::LARGE;
        let batches = NonZeroUsize::new((bytes / least.batch_bytes as u64) as usize);
        Room {
            batches: batches.map_or(least.batches, |batches| batches.max(least.batches)),
            ..least
        }
    }

    /// Whether it is worth while to begin a dump whose turn comes after a long one.
    pub(super) fn is_for_early_ones(self) -> bool {
        self.early_bytes > 0
    }
}

/// When a thread may have a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// As anybody.
    Full,
    /// When nobody else wants it. With two cores, those are for the dump that is shown first and for
    /// whoever shows it.
    Spare,
}

type Batch = Result<Vec<u8>, DiagError>;

/// A dump that was asked for.
pub(super) struct Begun {
    pub(super) diag: DiagSocket,
    pub(super) walk: Walk,
}

pub(super) struct Dumps {
    dumps: Vec<Dump>,
    /// Of all of them, each with the number of its dump.
    batches: Receiver<(usize, Batch)>,
    sender: Sender<(usize, Batch)>,
}

impl Dumps {
    pub(super) fn new() -> Dumps {
        share_one_arena();
        let (sender, batches) = channel();
        Dumps { dumps: Vec::new(), batches, sender }
    }

    /// Begins one more on a thread, which reads it until its end or until these are dropped; `false`
    /// where there are no more threads to be had.
    pub(super) fn begin(
        &mut self,
        begin: Box<dyn FnOnce() -> Result<Begun, DiagError> + Send>,
        room: Room,
        share: Share,
    ) -> bool {
        let (dump, reader) = self.prepare(Walk::of_first_request(), room);
        let read = move || {
            if share == Share::Spare {
                step_back();
            }
            match begin() {
                Ok(Begun { diag, .. }) => reader.read_all(&diag),
                Err(error) => {
                    reader.send(Err(error));
                }
            }
        };
        let is_begun = thread::Builder::new().spawn(read).is_ok();
        if is_begun {
            self.dumps.push(dump);
        }
        is_begun
    }

    /// Reads what is left of one; gives it back where there are no more threads to be had.
    pub(super) fn go_on(&mut self, Begun { mut diag, walk }: Begun) -> Result<(), Begun> {
        let (dump, reader) = self.prepare(walk, Room::SMALL);
        // Nobody hangs up before a thread has it.
        let _ = dump.buffers.send(diag.take_buffer());
        let diag = Arc::new(diag);
        let its = Arc::clone(&diag);
        match thread::Builder::new().spawn(move || reader.read_all(&its)) {
            Ok(_) => {
                self.dumps.push(dump);
                Ok(())
            }
            Err(_) => {
                let diag = Arc::into_inner(diag).expect("the thread that had it never was");
                Err(Begun { diag, walk: dump.walk })
            }
        }
    }

    fn prepare(&self, walk: Walk, room: Room) -> (Dump, Reader) {
        let (buffers, used) = channel();
        let dump = Dump {
            walk,
            buffers,
            kept: Kept::new(room.early_bytes),
            waiting: VecDeque::new(),
            end: None,
        };
        let reader = Reader {
            number: self.dumps.len(),
            batches: self.sender.clone(),
            used,
            unused: room.batches.get(),
            batch_bytes: room.batch_bytes,
        };
        (dump, reader)
    }

    pub(super) fn len(&self) -> usize {
        self.dumps.len()
    }

    /// Hands over each socket message's payload of a dump, and keeps what comes of later ones
    /// meanwhile. How the dump ended.
    pub(super) fn consume(
        &mut self,
        number: usize,
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<DumpEnd, DiagError> {
        while let Some(taken) = self.dumps[number].kept.take_some(&mut |message| each(message)) {
            taken?;
            // Its reader need not wait until all of that has been taken.
            while let Ok((of, batch)) = self.batches.try_recv() {
                self.dumps[of].park(batch);
            }
        }
        loop {
            let dump = &mut self.dumps[number];
            let batch = match dump.waiting.pop_front() {
                Some(batch) => batch,
                None => match dump.end.take() {
                    Some(end) => return end,
                    None => self.next_of(number)?,
                },
            };
            let bytes = batch?;
            let dump = &mut self.dumps[number];
            if let Some(end) = dump.walk.read(&bytes, each)? {
                return Ok(end);
            }
            dump.give_back(bytes);
        }
    }

    fn next_of(&mut self, number: usize) -> Result<Batch, DiagError> {
        loop {
            let (of, batch) = self
                .batches
                .recv()
                .map_err(|_| DiagError::Damaged("it ended without a last message"))?;
            if of == number {
                return Ok(batch);
            }
            self.dumps[of].park(batch);
        }
    }
}

/// A dump that a thread reads.
struct Dump {
    walk: Walk,
    buffers: Sender<Vec<u8>>,
    /// What has come before its turn: first what is kept, then what there was no room for.
    kept: Kept,
    waiting: VecDeque<Batch>,
    /// How it ended, if all before that is kept.
    end: Option<Result<DumpEnd, DiagError>>,
}

impl Dump {
    /// Takes what is not wanted yet.
    fn park(&mut self, batch: Batch) {
        let Dump { walk, kept, waiting, .. } = self;
        match batch {
            Ok(bytes) if waiting.is_empty() && kept.has_room() => {
                let keep = &mut |message: &[u8]| {
                    kept.keep(message);
                    Ok(())
                };
                match walk.read(&bytes, keep).transpose() {
                    None => self.give_back(bytes),
                    end => self.end = end,
                }
            }
            batch => waiting.push_back(batch),
        }
    }

    fn give_back(&self, bytes: Vec<u8>) {
        // A reader that has ended needs no more of them.
        let _ = self.buffers.send(bytes);
    }
}

/// The side of the thread.
struct Reader {
    number: usize,
    batches: Sender<(usize, Batch)>,
    used: Receiver<Vec<u8>>,
    /// How many buffers there may be beyond those that there are.
    unused: usize,
    batch_bytes: usize,
}

impl Reader {
    /// Sends all reads, up to the one that ends the dump or until the other side hangs up.
    fn read_all(mut self, diag: &DiagSocket) {
        while let Some(mut bytes) = self.buffer() {
            bytes.clear();
            let end = fill(diag, &mut bytes, self.batch_bytes);
            self.send(Ok(bytes));
            if let Some(end) = end {
                if let Err(error) = end {
                    self.send(Err(error));
                }
                return;
            }
        }
    }

    /// Waits for one if it has to; `None` if the other side has hung up.
    fn buffer(&mut self) -> Option<Vec<u8>> {
        match self.used.try_recv() {
            Ok(buffer) => Some(buffer),
            Err(_) if self.unused > 0 => {
                self.unused -= 1;
                Some(Vec::new())
            }
            Err(_) => self.used.recv().ok(),
        }
    }

    fn send(&self, batch: Batch) {
        // Whoever hung up has an error of its own, and sends no more buffers.
        let _ = self.batches.send((self.number, batch));
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

/// Only the last read of a dump holds its end, and nothing comes after it to be read.
fn holds_end(bytes: &[u8]) -> bool {
    messages(bytes).any(|message| message.is_ok_and(|message| message.is_last()))
}

/// Has threads allocate where this one does: they allocate a handful of buffers, for which memory
/// of their own would be mapped and touched.
fn share_one_arena() {
    // SAFETY: it sets a limit of the allocator.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Has this thread run when there is a core that nobody else wants.
fn step_back() {
    // If it may not, the listing only takes longer.
    let _ = rustix::process::setpriority_process(None, 19);
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use netlink_packet_sock_diag::constants::SOCK_DIAG_BY_FAMILY;
    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

    use super::*;
    use crate::diag::transport::NLMSG_DONE;
    use crate::diag::transport::tests::message;

    /// A dump that whoever has the other end of a pair of sockets makes.
    fn pair() -> (OwnedFd, Begun) {
        let flags = SocketFlags::CLOEXEC;
        let (kernel, diag) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (kernel, Begun { diag: DiagSocket::of(diag), walk: Walk::of_first_request() })
    }

    fn answer(kernel: &OwnedFd, payloads: impl Iterator<Item = [u8; 1000]>) {
        for payload in payloads {
            send(kernel, &message(SOCK_DIAG_BY_FAMILY, &payload), SendFlags::empty()).unwrap();
        }
        send(kernel, &message(NLMSG_DONE, &[0; 4]), SendFlags::empty()).unwrap();
    }

    fn payload(dump: u8, number: usize) -> [u8; 1000] {
        let mut payload = [number as u8; 1000];
        payload[0] = dump;
        payload
    }

    #[test]
    fn dumps_are_consumed_in_their_order_whatever_comes_first() {
        // Some of the second dump is kept, some waits, and some is read only then.
        let room = Room {
            batches: NonZeroUsize::new(3).unwrap(),
            batch_bytes: 20_000,
            early_bytes: 40_000,
        };
        const MANY: usize = 400;
        // As many as its reader has buffers for.
        const EARLY: usize = 40;
        let mut dumps = Dumps::new();
        let (kernels, begun): (Vec<_>, Vec<_>) = (0..2).map(|_| pair()).unzip();
        for begun in begun {
            assert!(dumps.begin(Box::new(move || Ok(begun)), room, Share::Full));
        }
        let [first, second] = <[_; 2]>::try_from(kernels).unwrap();
        let (early, are_early) = channel();
        let writer = thread::spawn(move || {
            answer(
                &second,
                (0..MANY).map(|number| {
                    if number == EARLY {
                        early.send(()).unwrap();
                    }
                    payload(2, number)
                }),
            );
        });
        are_early.recv().unwrap();
        answer(&first, (0..10).map(|number| payload(1, number)));
        let mut all = Vec::new();
        for dump in 0..2 {
            let end = dumps.consume(dump, &mut |message| {
                all.push((message[0], message[1]));
                Ok(())
            });
            assert_eq!(end.unwrap(), DumpEnd::Whole);
        }
        writer.join().unwrap();
        let expected = (0..10).map(|number| (1, number)).chain((0..MANY).map(|n| (2, n as u8)));
        assert_eq!(all, expected.collect::<Vec<_>>());
    }

    #[test]
    fn an_error_of_a_later_dump_is_its_own() {
        let mut dumps = Dumps::new();
        let (kernel, begun) = pair();
        assert!(dumps.begin(Box::new(move || Ok(begun)), Room::LARGE, Share::Full));
        let refuse = || Err(DiagError::Refused(rustix::io::Errno::PERM));
        assert!(dumps.begin(Box::new(refuse), Room::LARGE, Share::Spare));
        answer(&kernel, (0..3).map(|number| payload(1, number)));
        let mut count = 0;
        let each = &mut |_: &[u8]| {
            count += 1;
            Ok(())
        };
        assert_eq!(dumps.consume(0, each).unwrap(), DumpEnd::Whole);
        assert!(matches!(dumps.consume(1, each), Err(DiagError::Refused(_))));
        assert_eq!(count, 3);
    }
}
