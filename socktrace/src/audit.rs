//! Plan -> evidence | rules | render, for `socktrace audit`.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::plan::Scope;
use crate::container::Homes;
use crate::diagnose::evidence::{Evidence, Traced};
use crate::diagnose::finding::{Finding, Severity, counted, grouped, span};
use crate::diagnose::gather::Watcher;
use crate::diagnose::judge;
use crate::diagnose::rule::{Needs, Overrides, Rule};
use crate::netns;
use crate::procfs;
use crate::render;
use crate::render::audit::Style;
use crate::say::complain;
use crate::snapshot::scope;

/// What is to be judged, and how it is told.
pub struct AuditPlan {
    pub rules: Vec<&'static Rule>,
    pub overrides: Overrides,
    /// For how long to watch; `None` for a snapshot.
    pub watch: Option<Duration>,
    pub netns: Scope,
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    /// One object.
    Json,
    /// An object per finding.
    JsonLines,
}

/// Judges, writes the report, and tells the severity of the worst finding.
pub fn run(plan: &AuditPlan, out: &mut dyn Write, style: Style) -> Result<Option<Severity>> {
    let homes = Homes::new(procfs::root());
    scope::enter(&plan.netns, &homes)?;
    let evidence = gather(plan, &homes)?;
    let findings = judge(&plan.rules, &plan.overrides, &evidence);
    let unseen = unseen(plan, &evidence);
    let mut text = Vec::new();
    match plan.format {
        Format::Text => report(&mut text, &findings, &evidence, &unseen, style),
        Format::Json => {
            let (netns, watch) = (netns::current(), evidence.watch);
            render::json::audit::report(&mut text, &findings, &plan.rules, watch, netns, &unseen);
            text.push(b'\n');
        }
        Format::JsonLines => {
            for finding in &findings {
                render::json::audit::finding(&mut text, finding);
                text.push(b'\n');
            }
        }
    }
    if plan.format == Format::JsonLines {
        unseen.iter().for_each(|what| complain(what));
    }
    out.write_all(&text).and_then(|()| out.flush()).context("cannot write the report")?;
    Ok(findings.first().map(|finding| finding.severity))
}

fn gather(plan: &AuditPlan, homes: &Homes) -> Result<Evidence> {
    let Some(time) = plan.watch else {
        let mut watcher = Watcher::start(false)?;
        if let Some(wait) = watcher.second_look() {
            std::thread::sleep(wait);
            watcher.look()?;
        }
        return watcher.finish(None, homes);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(watch(time, homes))
}

/// Watches until the time is over or a signal ends it: then the report is of what was seen so far.
async fn watch(time: Duration, homes: &Homes) -> Result<Evidence> {
    /// How often the progress is told.
    const TICK: Duration = Duration::from_millis(200);
    let handle = |kind| signal(kind).context("cannot handle signals");
    let (mut interrupt, mut terminate) =
        (handle(SignalKind::interrupt())?, handle(SignalKind::terminate())?);
    let began = Instant::now();
    let mut watcher = Watcher::start(true)?;
    let mut progress = Progress::new(time);
    let between = watcher.interval(time);
    let mut next_look = began + between;
    let mut tick = tokio::time::interval(TICK.min(time));
    loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = tick.tick() => {}
        }
        let now = Instant::now();
        if now.duration_since(began) >= time {
            break;
        }
        progress.show(now.duration_since(began));
        if now >= next_look && now + between / 2 < began + time {
            watcher.look()?;
            next_look = Instant::now() + between;
        }
    }
    progress.clear();
    watcher.look()?;
    watcher.finish(None::<Traced>, homes)
}

/// One line on the terminal that tells how long it still takes.
struct Progress {
    total: Duration,
    is_shown: bool,
}

impl Progress {
    fn new(total: Duration) -> Progress {
        Progress { total, is_shown: io::stderr().is_terminal() }
    }

    fn show(&mut self, passed: Duration) {
        if self.is_shown {
            let left = self.total.saturating_sub(passed).as_secs() + 1;
            let total = self.total.as_secs();
            // With the terminal gone there is nobody left to tell.
            let _ = write!(
                io::stderr(),
                "\r\x1b[Kwatching for {total} s, {left} s left; Ctrl-C gives the report so far"
            );
        }
    }

    fn clear(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn report(
    out: &mut Vec<u8>,
    findings: &[Finding],
    evidence: &Evidence,
    unseen: &[String],
    style: Style,
) {
    let watch = evidence.watch;
    let from = format!(
        "{} of {}",
        match watch.looks {
            0 | 1 => "one look".to_owned(),
            looks => {
                let ms = u64::try_from(watch.span.as_millis()).unwrap_or(u64::MAX);
                format!("{} looks within {}", grouped(looks), span(ms))
            }
        },
        counted(evidence.states.total(), "TCP socket")
    );
    render::audit::heading(out, findings, &from);
    for finding in findings {
        out.push(b'\n');
        render::audit::finding(out, finding, style);
    }
    if !unseen.is_empty() {
        out.push(b'\n');
    }
    unseen.iter().for_each(|what| render::audit::unseen(out, what, style));
}

/// What the judgement had to do without.
fn unseen(plan: &AuditPlan, evidence: &Evidence) -> Vec<String> {
    let mut unseen = Vec::new();
    if evidence.processes.refused > 0 {
        unseen.push(format!(
            "{} could not be looked into: some owners are missing (run it as root)",
            counted(evidence.processes.refused, "process").replace("processs", "processes")
        ));
    }
    let names = |needs: &[Needs]| {
        let rules = plan.rules.iter().filter(|rule| needs.contains(&rule.needs));
        rules.map(|rule| rule.name).collect::<Vec<_>>().join(", ")
    };
    if plan.watch.is_none() {
        unseen.push(format!(
            "rates and growth, and {}: they take --for 30s",
            names(&[Needs::Watching, Needs::Tracing])
        ));
    } else if evidence.traced.is_none() {
        unseen.push(format!("{}: they take the privilege to trace", names(&[Needs::Tracing])));
    }
    if let Some(traced) = &evidence.traced
        && traced.lost > 0
    {
        unseen.push(format!("{}: what was counted is too low", counted(traced.lost, "lost event")));
    }
    unseen
}
