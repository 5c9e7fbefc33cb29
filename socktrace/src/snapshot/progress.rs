//! What a listing that takes long says meanwhile: how far it is, on stderr, if that is a terminal.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::say;

/// A listing that is done before says nothing.
const PATIENCE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(200);
/// How many sockets pass between two looks at the clock.
const STRIDE: u64 = 1024;

pub(super) struct Progress {
    started: Instant,
    /// When to say something next, if at all.
    next: Cell<Option<Duration>>,
    sockets: Cell<u64>,
}

impl Progress {
    /// Of a listing that has an end, unless nobody looks.
    pub(super) fn begin(has_end: bool) -> Progress {
        let is_wanted = has_end && io::stderr().is_terminal();
        Progress {
            started: Instant::now(),
            next: Cell::new(is_wanted.then_some(PATIENCE)),
            sockets: Cell::new(0),
        }
    }

    /// Counts a socket that was read.
    pub(super) fn socket(&self) {
        let sockets = self.sockets.get() + 1;
        self.sockets.set(sockets);
        if sockets.is_multiple_of(STRIDE) {
            self.tell(format_args!("{sockets} sockets"));
        }
    }

    /// Tells how many descriptors were looked at for owners.
    pub(super) fn descriptors(&self, count: usize) {
        self.tell(format_args!("{count} descriptors of sockets"));
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        let Some(next) = self.next.get() else { return };
        let elapsed = self.started.elapsed();
        if elapsed < next {
            return;
        }
        self.next.set(Some(elapsed + INTERVAL));
        say::tell(format_args!("{what}, {} s", elapsed.as_secs()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        say::erase_told();
    }
}

/// The output, which may be the same terminal: what was told is erased before more of it.
pub(super) struct Erasing<'a> {
    pub(super) out: &'a mut dyn Write,
}

impl Write for Erasing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        say::erase_told();
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
