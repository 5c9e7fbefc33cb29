//! Plan -> events | render, for what goes on: the loop around the tracer.
//!
//! The ring is read on a timer, because a wake-up per event would cost more than the event; the
//! kernel half wakes the reader only when the ring fills.

use std::future::pending;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::event::Event;
use crate::render::event::EventPrinter;
use crate::say::complain;
use crate::trace::{LogLevel, Losses, Refusal, RingSize, Tracer};

/// How often the ring is read.
const TICK: Duration = Duration::from_millis(50);
/// Events taken from the ring before signals and the clock are looked at again.
const BATCH: usize = 8192;
/// Output is written when there is so much of it, and on each tick.
const WRITE_AT: usize = 64 << 10;

/// What is to be traced, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivePlan {
    pub header: bool,
    pub duration: Option<Duration>,
    /// Stop after so many events.
    pub count: Option<u64>,
    pub ring_size: RingSize,
    pub bpf_log: LogLevel,
}

/// How it ended, if nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    /// Events are missing from the output.
    Lost(u64),
}

#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// Traces until the plan, a signal or the reader of the output ends it.
pub fn run(plan: &LivePlan, out: impl Write + AsFd) -> Result<Outcome, LiveError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async { Session::start(plan, out)?.run(plan.duration).await })
}

struct Session<W> {
    tracer: AsyncFd<Tracer>,
    output: Output<W>,
    /// Events still to be printed; `None` for all.
    left: Option<u64>,
    losses: Losses,
    interrupt: Signal,
    terminate: Signal,
}

/// Why the loop goes on, or not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The ring is empty: wait.
    Wait,
    /// There is more in the ring.
    Continue,
    Stop,
}

impl<W: Write + AsFd> Session<W> {
    fn start(plan: &LivePlan, out: W) -> Result<Session<W>, LiveError> {
        // From here on a signal ends the loop, not the process.
        let handle = |kind| signal(kind).context("cannot handle signals");
        let (interrupt, terminate) =
            (handle(SignalKind::interrupt())?, handle(SignalKind::terminate())?);
        let tracer = Tracer::start(plan.ring_size, plan.bpf_log)?;
        // SAFETY: the descriptor is that of the ring, which the tracer closes when it is dropped.
        let tracer = unsafe { AsyncFd::register_with_interest(tracer, Interest::READABLE) }
            .context("cannot wait for the ring")?;
        let mut output = Output::new(out);
        if plan.header {
            output.printer.header(&mut output.pending);
        }
        complain("tracing TCP in all network namespaces; Ctrl-C ends it");
        Ok(Session {
            tracer,
            output,
            left: plan.count,
            losses: Losses::default(),
            interrupt,
            terminate,
        })
    }

    async fn run(mut self, duration: Option<Duration>) -> Result<Outcome, LiveError> {
        match self.follow(duration).await {
            Err(LiveError::Other(error)) if is_closed_pipe(&error) => {}
            result => result?,
        }
        self.finish()
    }

    async fn follow(&mut self, duration: Option<Duration>) -> Result<(), LiveError> {
        let end = async {
            match duration {
                Some(duration) => sleep(duration).await,
                None => pending().await,
            }
        };
        tokio::pin!(end);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = Next::Continue;
        while next != Next::Stop {
            tokio::select! {
                biased;
                _ = self.interrupt.recv() => break,
                _ = self.terminate.recv() => break,
                () = &mut end => break,
                () = async {}, if next == Next::Continue => {}
                woken = self.tracer.readable() => {
                    woken.context("cannot wait for the ring")?.clear_ready();
                }
                _ = tick.tick() => self.report()?,
            }
            next = self.drain()?;
        }
        Ok(())
    }

    /// Prints events from the ring, but not for ever.
    fn drain(&mut self) -> Result<Next, LiveError> {
        for _ in 0..BATCH {
            if self.left == Some(0) {
                return Ok(Next::Stop);
            }
            let Some(event) = self.tracer.get_mut().next_event() else {
                self.output.flush()?;
                return Ok(Next::Wait);
            };
            self.output.event(&event)?;
            self.left = self.left.map(|left| left - 1);
        }
        Ok(Next::Continue)
    }

    /// Says what was lost since it was said last, and whether anybody reads.
    fn report(&mut self) -> Result<(), LiveError> {
        self.tracer.get_mut().flush_log();
        let losses = self.tracer.get_mut().losses()?;
        for loss in losses.since(&self.losses) {
            complain(&loss.to_string());
        }
        self.losses = losses;
        Ok(self.output.check_reader()?)
    }

    /// Detaches, and empties the ring.
    fn finish(mut self) -> Result<Outcome, LiveError> {
        self.tracer.get_mut().detach();
        let result = loop {
            match self.drain() {
                Ok(Next::Continue) => {}
                Ok(Next::Wait | Next::Stop) => break self.output.flush().map_err(LiveError::from),
                Err(error) => break Err(error),
            }
        };
        match result.and_then(|()| self.report()) {
            Err(LiveError::Other(error)) if is_closed_pipe(&error) => {}
            result => result?,
        }
        match self.losses.lost() {
            0 => Ok(Outcome::Complete),
            lost => {
                complain(&format!(
                    "{} events printed, {lost} lost: the output has gaps",
                    self.output.events
                ));
                Ok(Outcome::Lost(lost))
            }
        }
    }
}

/// Lines on their way out.
struct Output<W> {
    out: W,
    printer: EventPrinter,
    pending: Vec<u8>,
    events: u64,
}

impl<W: Write + AsFd> Output<W> {
    fn new(out: W) -> Output<W> {
        Output { out, printer: EventPrinter::new(), pending: Vec::new(), events: 0 }
    }

    fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        self.printer.event(&mut self.pending, event);
        self.events += 1;
        if self.pending.len() >= WRITE_AT { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let result = self.out.write_all(&self.pending).and_then(|()| self.out.flush());
        self.pending.clear();
        result.context("cannot write")
    }

    /// Fails like a write would if the reader of a pipe is gone, even when there is nothing to
    /// write to it.
    fn check_reader(&self) -> anyhow::Result<()> {
        if has_lost_reader(self.out.as_fd()) {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        Ok(())
    }
}

fn has_lost_reader(out: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&out, PollFlags::empty())];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
