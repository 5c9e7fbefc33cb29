//! Lines on their way out.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags};

use crate::event::{Counted, Event, Loss};
use crate::render::event::EventPrinter;

/// Output is written when there is so much of it, and on each tick.
const WRITE_AT: usize = 64 << 10;

pub(super) struct Output<W> {
    out: W,
    printer: EventPrinter,
    pending: Vec<u8>,
    printed: u64,
}

impl<W: Write + AsFd> Output<W> {
    pub(super) fn new(out: W, printer: EventPrinter) -> Output<W> {
        Output { out, printer, pending: Vec::with_capacity(2 * WRITE_AT), printed: 0 }
    }

    pub(super) fn header(&mut self) {
        self.printer.header(&mut self.pending);
    }

    pub(super) fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        self.printer.event(&mut self.pending, event);
        self.printed += 1;
        self.write_if_full()
    }

    pub(super) fn counted(&mut self, counted: &Counted) -> anyhow::Result<()> {
        self.printer.counted(&mut self.pending, counted);
        self.printed += 1;
        self.write_if_full()
    }

    pub(super) fn loss(&mut self, loss: &Loss) {
        self.printer.loss(&mut self.pending, loss);
    }

    /// How many events were printed.
    pub(super) fn printed(&self) -> u64 {
        self.printed
    }

    fn write_if_full(&mut self) -> anyhow::Result<()> {
        if self.pending.len() >= WRITE_AT { self.flush() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let result = self.out.write_all(&self.pending).and_then(|()| self.out.flush());
        self.pending.clear();
        result.context("cannot write")
    }

    /// Fails like a write would if the reader of a pipe is gone, even when there is nothing to
    /// write to it.
    pub(super) fn check_reader(&self) -> anyhow::Result<()> {
        if has_lost_reader(self.out.as_fd()) {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        Ok(())
    }
}

/// Whether it is a pipe that nobody reads any more.
pub(crate) fn has_lost_reader(out: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&out, PollFlags::empty())];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}
