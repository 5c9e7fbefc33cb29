//! From a plan to the evidence: looks at each network namespace in turn, once, twice or for as long
//! as was asked for, and at events meanwhile. Judges nothing.

use std::io::{self, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::AuditPlan;
use crate::cli::plan::Scope;
use crate::container::Homes;
use crate::diagnose::evidence::{Evidence, HostSettings};
use crate::diagnose::gather::{Growing, Recorded, Recorder, Watcher, interval};
use crate::netns::{self, Namespace};
use crate::owner::{self, Owners, Source, Wanted};
use crate::procfs;
use crate::say::complain;
use crate::snapshot::scope;
use crate::socket::NetnsId;
use crate::trace::Refusal;

/// How often events are taken, and the progress told.
const TICK: Duration = Duration::from_millis(50);

/// The evidence, who holds all the sockets of the host, and why there was no tracing.
pub(super) struct Gathered {
    pub(super) seen: Vec<Seen>,
    pub(super) owners: Owners,
    pub(super) refusal: Option<Refusal>,
}

/// What was seen of a namespace, which is named where there may be others.
pub(super) struct Seen {
    pub(super) namespace: Option<Namespace>,
    pub(super) evidence: Evidence,
}

pub(super) fn gather(plan: &AuditPlan, host: HostSettings, homes: &Homes) -> Result<Gathered> {
    let Some(time) = plan.watch else {
        let mut posts = Posts::take_up(plan, host, homes)?;
        let glimpse = posts.look_twice(plan)?;
        return posts.finish(glimpse.as_ref(), None, homes, None);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(watch(plan, time, host, homes))
}

/// Watches until the time is over or a signal ends it: then the report is of what was seen so far.
async fn watch(
    plan: &AuditPlan,
    time: Duration,
    host: HostSettings,
    homes: &Homes,
) -> Result<Gathered> {
    let handle = |kind| signal(kind).context("cannot handle signals");
    let (mut interrupt, mut terminate) =
        (handle(SignalKind::interrupt())?, handle(SignalKind::terminate())?);
    let recorder = plan.wants_tracing().then(|| Recorder::start(only(&plan.netns)));
    let (mut recorder, refusal) = match recorder {
        None => (None, None),
        Some(Ok(recorder)) => (Some(recorder), None),
        Some(Err(refusal)) => (None, Some(refusal)),
    };
    let mut posts = Posts::take_up(plan, host, homes)?;
    let starting = Instant::now();
    let mut growing = Growing::start(&procfs::root());
    let began = Instant::now();
    let mut progress = Progress::start(time);
    let between = interval(time, posts.cost + began.duration_since(starting));
    let mut next_look = began + between;
    let mut tick = tokio::time::interval(TICK);
    let mut look = |recorder: &mut Option<Recorder>| {
        growing.look();
        posts.each(&mut |watcher| {
            recorder.iter_mut().for_each(Recorder::drain);
            watcher.look()
        })
    };
    loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = tick.tick() => {}
        }
        recorder.iter_mut().for_each(Recorder::drain);
        let now = Instant::now();
        if now.duration_since(began) >= time {
            break;
        }
        progress.show(now.duration_since(began));
        if now >= next_look && now + between / 2 < began + time {
            look(&mut recorder)?;
            next_look = Instant::now() + between;
        }
    }
    progress.clear();
    look(&mut recorder)?;
    let recorded = recorder.map(Recorder::finish);
    posts.finish(recorded.as_ref(), Some(&growing), homes, refusal)
}

/// The namespace whose events are wanted; those of all if there is none.
fn only(scope: &Scope) -> Option<NetnsId> {
    if *scope == Scope::All { None } else { netns::current() }
}

/// A watcher in each namespace that is to be judged.
struct Posts {
    posts: Vec<Post>,
    here: Option<OwnedFd>,
    /// What a look took.
    cost: Duration,
}

struct Post {
    /// With what holds it until the end; `None` if this thread does not leave it.
    namespace: Option<(Namespace, OwnedFd)>,
    watcher: Watcher,
}

impl Posts {
    /// Looks for the first time.
    fn take_up(plan: &AuditPlan, host: HostSettings, homes: &Homes) -> Result<Posts> {
        let here = (plan.netns == Scope::All).then(scope::here).transpose()?;
        let (mut posts, mut cost) = (Vec::new(), Duration::ZERO);
        scope::each(&plan.netns, homes, &mut |namespace| {
            let namespace = match namespace {
                Some(namespace) => Some((namespace.clone(), scope::here()?)),
                None => None,
            };
            let began = Instant::now();
            let watcher = Watcher::start(plan.watch.is_some(), host)?;
            cost += began.elapsed();
            posts.push(Post { namespace, watcher });
            Ok(())
        })?;
        Ok(Posts { posts, here, cost })
    }

    /// Looks a second time where something may be wrong, and at events until then if only they
    /// would tell who it is.
    fn look_twice(&mut self, plan: &AuditPlan) -> Result<Option<Recorded>> {
        let watchers = || self.posts.iter().map(|post| &post.watcher);
        let Some(wait) = watchers().filter_map(Watcher::second_look).max() else { return Ok(None) };
        // Without the privilege, it remains unknown who they are.
        let recorder = watchers()
            .any(Watcher::lacks_owners)
            .then(|| Recorder::start(only(&plan.netns)))
            .and_then(Result::ok);
        std::thread::sleep(wait);
        self.each(&mut |watcher| match watcher.second_look() {
            Some(_) => watcher.look(),
            None => Ok(()),
        })?;
        Ok(recorder.map(Recorder::finish))
    }

    /// Has each watcher do it in its namespace.
    fn each(&mut self, each: &mut dyn FnMut(&mut Watcher) -> Result<()>) -> Result<()> {
        let Posts { posts, here, .. } = self;
        let result = posts.iter_mut().try_for_each(|Post { namespace, watcher }| {
            if let Some((_, file)) = namespace {
                enter(file)?;
            }
            each(watcher)
        });
        here.iter().try_for_each(enter)?;
        result
    }

    /// Adds what the processes and events tell.
    fn finish(
        self,
        recorded: Option<&Recorded>,
        growing: Option<&Growing>,
        homes: &Homes,
        refusal: Option<Refusal>,
    ) -> Result<Gathered> {
        let owners = owner::collect(Wanted::default(), Source::Auto, &procfs::root(), &mut |_| {})?;
        let mut seen = Vec::with_capacity(self.posts.len());
        for Post { namespace, watcher } in self.posts {
            if let Some((_, file)) = &namespace {
                enter(file)?;
            }
            let traced = recorded.map(|recorded| recorded.of(netns::current()));
            let evidence = watcher.finish(traced, growing, &owners, homes);
            seen.push(Seen { namespace: namespace.map(|(namespace, _)| namespace), evidence });
        }
        self.here.iter().try_for_each(enter)?;
        Ok(Gathered { seen, owners, refusal })
    }
}

fn enter(namespace: &OwnedFd) -> Result<()> {
    netns::move_into(namespace).context("cannot return to a network namespace")
}

/// How long it still takes: a line that changes on a terminal, and one that does not elsewhere.
struct Progress {
    total: Duration,
    is_terminal: bool,
    /// The seconds that were last said to be left.
    said: Option<u64>,
}

impl Progress {
    fn start(total: Duration) -> Progress {
        let is_terminal = io::stderr().is_terminal();
        if !is_terminal {
            complain(&format!(
                "watching for {} s; Ctrl-C gives the report so far",
                total.as_secs()
            ));
        }
        Progress { total, is_terminal, said: None }
    }

    fn show(&mut self, passed: Duration) {
        let left = self.total.saturating_sub(passed).as_secs() + 1;
        if self.is_terminal && self.said.replace(left) != Some(left) {
            let total = self.total.as_secs();
            // With the terminal gone there is nobody left to tell.
            let _ = write!(
                io::stderr(),
                "\r\x1b[Kwatching for {total} s, {left} s left; Ctrl-C gives the report so far"
            );
        }
    }

    fn clear(&mut self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
