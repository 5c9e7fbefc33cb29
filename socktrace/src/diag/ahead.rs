//! Several dumps, in their order, read ahead of whoever consumes them once they take long.
//!
//! The kernel makes a dump on the thread that reads it, and walks the whole table for each family.
//! So where there is much to list, a thread per dump reads while this one decodes and formats; a
//! small listing never starts one.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::transport::{DiagError, DiagSocket, DumpEnd, Walk, messages};

/// How long dumps may take before threads are worth their start.
const PATIENCE: Duration = Duration::from_millis(2);
/// How many reads (of 32 KB) a thread may be ahead.
const AHEAD: usize = 16;

type Read = Result<Vec<u8>, DiagError>;

/// Runs dumps and hands each socket message's payload to `each`. How each dump ended, in their
/// order; an error of `each` ends everything.
pub fn dump_all(
    requests: &[Vec<u8>],
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Result<DumpEnd, DiagError>>> {
    let started = Instant::now();
    let mut ends = Vec::with_capacity(requests.len());
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
                read_ahead(begun, number, requests, &mut ends, each)?;
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

/// Reads the rest of dump `number` and all after it, each in a thread of its own.
fn read_ahead(
    current: Begun,
    number: usize,
    requests: &[Vec<u8>],
    ends: &mut Vec<Result<DumpEnd, DiagError>>,
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let later = requests[number + 1..].iter().map(|request| begin(request));
    let dumps: Vec<_> = std::iter::once(Ok(current)).chain(later).collect();
    thread::scope(|scope| {
        let readers: Vec<Result<(Walk, Receiver<Read>), DiagError>> = dumps
            .into_iter()
            .map(|dump| {
                dump.map(|Begun { diag, walk }| {
                    let (sender, receiver) = sync_channel(AHEAD);
                    scope.spawn(move || send_reads(&diag, &sender));
                    (walk, receiver)
                })
            })
            .collect();
        for reader in readers {
            let end = match reader {
                Ok((walk, reads)) => consume(walk, &reads, each),
                Err(error) => Err(error),
            };
            ends.push(unless_sink(end)?);
        }
        Ok(())
    })
}

/// Sends each read, up to the one that ends the dump or until the other side hangs up.
fn send_reads(diag: &DiagSocket, sender: &SyncSender<Read>) {
    loop {
        let mut bytes = Vec::new();
        let read = diag.receive_into(&mut bytes).map(|()| bytes);
        let is_last = read.as_ref().map_or(true, |bytes| holds_end(bytes));
        if sender.send(read).is_err() || is_last {
            return;
        }
    }
}

/// Only the last read of a dump holds its end, and nothing comes after it to be read.
fn holds_end(bytes: &[u8]) -> bool {
    messages(bytes).any(|message| message.is_ok_and(|message| message.is_last()))
}

fn consume(
    mut walk: Walk,
    reads: &Receiver<Read>,
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> Result<DumpEnd, DiagError> {
    for bytes in reads {
        if let Some(end) = walk.read(&bytes?, each)? {
            return Ok(end);
        }
    }
    Err(DiagError::Damaged("it ended without a last message"))
}

/// The error of a sink is not one of the dump.
fn unless_sink(end: Result<DumpEnd, DiagError>) -> anyhow::Result<Result<DumpEnd, DiagError>> {
    match end {
        Err(DiagError::Sink(error)) => Err(error),
        end => Ok(end),
    }
}
