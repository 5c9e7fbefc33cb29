//! Plan -> events | render, for what goes on: the loop around the tracer.
//!
//! The ring is read on a timer, because a wake-up per event would cost more than the event; the
//! kernel half wakes the reader only when the ring fills.

mod filter;
#[cfg(test)]
mod fixture;
mod lives;
mod output;
#[cfg(fuzzing)]
mod replay;
mod settle;
mod show;
pub mod signals;
mod tally;
pub mod window;

#[cfg(fuzzing)]
pub use replay::replay;

use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::Context;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

pub use self::filter::Asked;
use self::filter::{Judge, JudgeError};
use self::lives::Lives;
use self::output::Output;
pub(crate) use self::output::has_lost_reader;
use self::settle::Settling;
use self::show::Show;
use self::tally::Tally;
use crate::container::Homes;
use crate::event::{Event, Family, SinceBoot};
use crate::filter::FilterError;
use crate::names::{NameOptions, Names};
use crate::netns::{self, NetnsError};
use crate::render::event::{EventPrinter, Format, Layout, Shown, TimeStyle, since_boot};
use crate::say::complain;
use crate::socket::NetnsId;
use crate::trace::{
    LogLevel, Losses, Record, Refusal, RingSize, Seeding, TracePlan, Tracer, Wanted,
};
use crate::{privilege, procfs};

/// How often the ring is read.
const TICK: Duration = Duration::from_millis(50);
/// Ticks from one look at the losses to the next: what the kernel counts is asked for by program.
const TICKS_TO_REPORT: u64 = 5;
/// Records taken from the ring before signals and the clock are looked at again.
const BATCH: usize = 8192;

/// What is to be traced, how it is to be shown, and for how long.
#[derive(Debug, Clone)]
pub struct LivePlan {
    pub layout: Layout,
    pub format: Format,
    pub header: bool,
    pub time: TimeStyle,
    /// Whether the container of each owner is told.
    pub container: bool,
    /// How to turn addresses into names, if at all.
    pub names: Option<NameOptions>,
    pub family: Option<Family>,
    /// The only network namespace that is wanted: its name, a process, a file or a container.
    pub netns: Option<OsString>,
    pub duration: Option<Duration>,
    pub filter: Asked,
    /// Stop after so many events.
    pub count: Option<u64>,
    pub ring_size: RingSize,
    pub bpf_log: LogLevel,
    /// Whether to print all that the verifier says of a program that is refused.
    pub verifier_log: bool,
}

impl LivePlan {
    fn wanted(&self) -> Wanted {
        match self.layout {
            Layout::Trace => Wanted::Everything,
            Layout::Life => Wanted::Lives,
            Layout::Retransmissions | Layout::Counts => Wanted::Retransmissions,
        }
    }
}

/// What becomes of records before they are shown.
enum Pipeline {
    Settle(Settling),
    Join(Lives),
}

impl Pipeline {
    /// Takes a record, and shows what is complete by then.
    #[inline]
    fn take<E>(
        &mut self,
        record: Record,
        show: &mut impl FnMut(&Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let at = record.at();
        match self {
            Pipeline::Settle(settling) => settling.take(record),
            Pipeline::Join(lives) => {
                if let Record::Event { event, .. } = &record
                    && lives.is_complete(event)
                {
                    // Nothing waits, so nothing is due either.
                    return show(event);
                }
                if let Some(event) = lives.take(record) {
                    show(&event)?;
                }
            }
        }
        // It is later than that, but to know takes no call, and what waits stays in the cache.
        at.map_or(Ok(()), |at| self.show_until(at, show))
    }

    /// Shows what has waited long enough by a time.
    fn show_until<E>(
        &mut self,
        now: SinceBoot,
        show: &mut impl FnMut(&Event) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(event) = self.due(now) {
            show(event)?;
            self.drop_first();
        }
        Ok(())
    }

    /// The first event, if it has waited long enough.
    fn due(&self, now: SinceBoot) -> Option<&Event> {
        match self {
            Pipeline::Settle(settling) => settling.due(now),
            Pipeline::Join(lives) => lives.due(now),
        }
    }

    /// Forgets the first event.
    fn drop_first(&mut self) {
        match self {
            Pipeline::Settle(settling) => settling.drop_first(),
            Pipeline::Join(lives) => drop(lives.pop()),
        }
    }

    /// What is left when all have waited long enough.
    fn rest(&mut self) -> Vec<Event> {
        match self {
            Pipeline::Settle(_) => Vec::new(),
            Pipeline::Join(lives) => lives.rest().collect(),
        }
    }
}

/// How it ended, if nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    /// Events are missing from the output, or what was before them is.
    Incomplete,
}

#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error(transparent)]
    Netns(#[from] NetnsError),
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
    /// The one that is traced, if not all are.
    _netns: Option<OwnedFd>,
    /// The search for older sockets, while it goes on.
    seeding: Option<Seeding>,
    pipeline: Pipeline,
    show: Show<W>,
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
        let netns = plan.netns.as_deref().map(one_namespace).transpose()?;
        let (only, netns) = netns.unzip();
        let mut judge = Judge::new(&plan.filter, only.as_ref())?;
        let (tracer, seeding) = Tracer::start(&TracePlan {
            wanted: plan.wanted(),
            // Numbers of namespaces are those of nsfs, of 32 bits.
            netns: netns.map(|netns| netns.0 as u32),
            family: plan.family,
            probe: judge.as_ref().and_then(Judge::probe),
            ring_size: plan.ring_size,
            log: plan.bpf_log,
            verifier_log: plan.verifier_log,
        })?;
        let names = plan.names.clone().map(Names::new);
        let shown = Shown { netns: plan.netns.is_none(), container: plan.container };
        let mut printer = EventPrinter::new(plan.layout, plan.format, plan.time, shown, names);
        printer.set_reset_reasons(tracer.reset_reasons());
        if let Some(judge) = &mut judge {
            judge.set_reset_reasons(tracer.reset_reasons());
        }
        let mut output = Output::new(out, printer);
        if plan.header {
            output.header();
        }
        tracer.missing().iter().for_each(|what| complain(what));
        if let Err(error) = privilege::keep_what_reading_takes() {
            complain(&format!("privileges that are no longer needed cannot be given up: {error}"));
        }
        // SAFETY: the descriptor is that of the ring, which the tracer closes when it is dropped.
        let tracer = unsafe { AsyncFd::register_with_interest(tracer, Interest::READABLE) }
            .context("cannot wait for the ring")?;
        let place = match &plan.netns {
            Some(name) => format!("network namespace {}", name.to_string_lossy()),
            None => "all network namespaces".to_owned(),
        };
        complain(&format!("tracing TCP in {place}; Ctrl-C ends it"));
        Ok(Session {
            tracer,
            _netns: only,
            seeding,
            pipeline: match plan.layout {
                Layout::Life => Pipeline::Join(Lives::default()),
                _ => Pipeline::Settle(Settling::default()),
            },
            show: Show {
                judge,
                output,
                tally: (plan.layout == Layout::Counts).then(Tally::default),
                left: plan.count,
            },
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
        let mut ticks = 0;
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
                _ = tick.tick() => {
                    ticks += 1;
                    if ticks % TICKS_TO_REPORT == 0 {
                        self.report()?;
                    }
                    self.show.output.check_reader()?;
                }
            }
            next = self.drain()?;
        }
        Ok(())
    }

    /// Takes records from the ring, but not for ever, and shows what is due.
    fn drain(&mut self) -> Result<Next, LiveError> {
        for _ in 0..BATCH {
            if self.show.is_done() {
                return Ok(Next::Stop);
            }
            let Some(record) = self.tracer.get_mut().next_record() else {
                self.show_until(since_boot())?;
                self.show.output.flush()?;
                return Ok(if self.show.is_done() { Next::Stop } else { Next::Wait });
            };
            self.pipeline.take(record.decode(), &mut |event| self.show.event(event))?;
        }
        Ok(Next::Continue)
    }

    /// Shows what has waited long enough by a time.
    fn show_until(&mut self, now: SinceBoot) -> anyhow::Result<()> {
        self.pipeline.show_until(now, &mut |event| self.show.event(event))
    }

    /// Says what was lost since it was said last.
    fn report(&mut self) -> Result<(), LiveError> {
        self.tracer.get_mut().flush_log();
        let losses = self.tracer.get_mut().losses()?;
        for loss in losses.since(&self.losses) {
            complain(&loss.to_string());
            self.show.output.loss(&loss);
        }
        self.losses = losses;
        self.seeding.iter_mut().for_each(Seeding::report);
        Ok(())
    }

    /// Detaches, and empties the ring.
    fn finish(mut self) -> Result<Outcome, LiveError> {
        self.tracer.get_mut().detach();
        let result = self.show_rest().and_then(|()| self.report());
        match result.and_then(|()| Ok(self.show.output.flush()?)) {
            Err(LiveError::Other(error)) if is_closed_pipe(&error) => {}
            result => result?,
        }
        let (lost, incomplete) = (self.losses.lost(), self.losses.incomplete());
        let printed = self.show.output.printed();
        if lost > 0 {
            complain(&format!("{printed} events printed, {lost} lost: the output has gaps"));
        }
        if incomplete > 0 {
            complain(&format!(
                "{printed} events printed, some without owner or beginning: for {incomplete} there \
                 was no memory"
            ));
        }
        Ok(if lost + incomplete == 0 { Outcome::Complete } else { Outcome::Incomplete })
    }

    fn show_rest(&mut self) -> Result<(), LiveError> {
        while self.drain()? == Next::Continue {}
        self.show_until(SinceBoot { nanos: u64::MAX })?;
        for event in self.pipeline.rest() {
            self.show.event(&event)?;
        }
        self.show.sums()?;
        Ok(self.show.output.flush()?)
    }
}

impl From<JudgeError> for LiveError {
    fn from(error: JudgeError) -> LiveError {
        match error {
            JudgeError::Filter(error) => LiveError::Filter(error),
            JudgeError::Netns(_) => LiveError::Other(error.into()),
        }
    }
}

fn one_namespace(word: &OsStr) -> Result<(OwnedFd, NetnsId), NetnsError> {
    let proc_root = procfs::root();
    netns::called(word, &proc_root, &Homes::new(proc_root.clone()))
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
