//! Plan -> evidence | rules | render, for `socktrace audit`.

mod watch;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::plan::Scope;
use crate::container::Homes;
use crate::diagnose::evidence::{Evidence, HostSettings, Watch};
use crate::diagnose::finding::{Finding, Severity, counted, grouped, span};
use crate::diagnose::gather::of_the_host;
use crate::diagnose::judge;
use crate::diagnose::rule::{Needs, Of, Overrides, Rule};
use crate::netns::{self, Namespace};
use crate::owner::Owners;
use crate::procfs;
use crate::render;
use crate::render::audit::Style;
use crate::say::complain;
use crate::snapshot::scope;
use crate::trace::Refusal;
use watch::{Gathered, Seen, gather};

/// What is to be judged, and how it is told.
#[derive(Clone)]
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

impl AuditPlan {
    fn wants_tracing(&self) -> bool {
        self.rules.iter().any(|rule| rule.needs.uses_events())
    }
}

/// Judges, writes the report, and tells the severity of the worst finding.
pub fn run(plan: &AuditPlan, out: &mut dyn Write, style: Style) -> Result<Option<Severity>> {
    let homes = Homes::new(procfs::root());
    let (host, here) = (of_the_host(), netns::current());
    scope::enter(&plan.netns, &homes)?;
    let Gathered { seen, owners, refusal } = gather(plan, host, &homes)?;
    let mut plan = plan.clone();
    let (mut text, mut worst) = (Vec::new(), None);
    for Seen { namespace, evidence } in &seen {
        let mut audited = judged(&plan, evidence, &owners, refusal.as_ref());
        match namespace {
            Some(there) if Some(there.id) != here => audited.list_in(there.word().as_deref()),
            Some(_) => {}
            None => audited.list_in(plan.netns.word()),
        }
        write(&mut text, &plan, &audited, namespace.as_ref(), style);
        worst = worst.max(audited.findings.first().map(|finding| finding.severity));
        // The host is judged once.
        plan.rules.retain(|rule| rule.of != Of::Host);
    }
    out.write_all(&text).and_then(|()| out.flush()).context("cannot write the report")?;
    Ok(worst)
}

/// The report on one namespace, under its name if there are others.
fn write(
    out: &mut Vec<u8>,
    plan: &AuditPlan,
    audited: &Audited,
    namespace: Option<&Namespace>,
    style: Style,
) {
    let Audited { findings, watch, unseen, .. } = audited;
    match plan.format {
        Format::Text => {
            if let Some(namespace) = namespace {
                render::audit::place(out, namespace.id, namespace.name.as_deref());
            }
            report(out, audited, style);
        }
        Format::Json => {
            let netns = namespace.map(|namespace| namespace.id).or_else(netns::current);
            render::json::audit::report(out, findings, &plan.rules, *watch, netns, unseen);
            out.push(b'\n');
        }
        Format::JsonLines => {
            for finding in findings {
                render::json::audit::finding(out, finding);
                out.push(b'\n');
            }
        }
    }
    if plan.format == Format::JsonLines {
        unseen.iter().for_each(|what| complain(what));
    }
}

/// What came out, and what it is from.
pub struct Audited {
    pub findings: Vec<Finding>,
    pub watch: Watch,
    /// In words.
    pub from: String,
    /// What the judgement had to do without.
    pub unseen: Vec<String>,
}

impl Audited {
    /// Has the commands list what they are to list in the network namespace that `-N` and this word
    /// lead to.
    pub fn list_in(&mut self, word: Option<&OsStr>) {
        if let Some(word) = word.and_then(|word| quoted(word.as_bytes())) {
            self.findings.iter_mut().for_each(|finding| finding.list_in(&word));
        }
    }
}

/// A word as a shell takes it; `None` for one that is not to be printed.
fn quoted(word: &[u8]) -> Option<String> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(byte);
    let is_printable = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\'';
    let text = std::str::from_utf8(word).ok()?;
    match (word.iter().all(is_plain), word.iter().all(is_printable)) {
        (true, _) => Some(text.to_owned()),
        (false, true) => Some(format!("'{text}'")),
        (false, false) => None,
    }
}

/// Gathers evidence in the namespace that this is in, and judges it; with the owners, for whoever
/// has more to tell of them.
pub fn audited(plan: &AuditPlan, host: HostSettings, homes: &Homes) -> Result<(Audited, Owners)> {
    let Gathered { mut seen, owners, refusal } = gather(plan, host, homes)?;
    let Seen { evidence, .. } = seen.pop().context("there is nothing to judge")?;
    Ok((judged(plan, &evidence, &owners, refusal.as_ref()), owners))
}

fn judged(
    plan: &AuditPlan,
    evidence: &Evidence,
    owners: &Owners,
    refusal: Option<&Refusal>,
) -> Audited {
    Audited {
        findings: judge(&plan.rules, &plan.overrides, evidence),
        watch: evidence.watch,
        from: source(evidence),
        unseen: unseen(plan, evidence, owners, refusal),
    }
}

fn source(evidence: &Evidence) -> String {
    let watch = evidence.watch;
    format!(
        "{} of {}",
        match watch.looks {
            0 | 1 => "one look".to_owned(),
            looks => {
                let ms = u64::try_from(watch.span.as_millis()).unwrap_or(u64::MAX);
                format!("{} looks within {}", grouped(looks), span(ms))
            }
        },
        counted(evidence.states.total(), "TCP socket")
    )
}

fn report(out: &mut Vec<u8>, audited: &Audited, style: Style) {
    let Audited { findings, from, unseen, .. } = audited;
    render::audit::heading(out, findings, from);
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
fn unseen(
    plan: &AuditPlan,
    evidence: &Evidence,
    owners: &Owners,
    refusal: Option<&Refusal>,
) -> Vec<String> {
    let failure = owners.failure();
    let mut unseen: Vec<String> = failure
        .map(|error| format!("some of the processes, so owners may be missing: {error}"))
        .into_iter()
        .collect();
    let refused = evidence.processes.refused;
    if refused > 0 {
        let remedy = if rustix::process::geteuid().is_root() { "" } else { " (run it as root)" };
        unseen.push(format!("{refused} of the processes, so owners may be missing{remedy}"));
    }
    let rules = plan.rules.iter().filter(|rule| rule.needs == Needs::Tracing);
    let tracing = rules.map(|rule| rule.name).collect::<Vec<_>>().join(", ");
    if plan.watch.is_none() {
        let rules = plan.rules.iter().filter(|rule| rule.needs.takes_a_watch());
        let names = ["rates and growth"].into_iter().chain(rules.map(|rule| rule.name));
        let names = names.collect::<Vec<_>>().join(", ");
        unseen.push(format!("{names}: they take --for 30s"));
    } else if let Some(refusal) = refusal
        && !tracing.is_empty()
    {
        unseen.push(format!("{tracing}: {refusal}"));
    }
    unseen.extend(limits_unseen(plan, evidence.host));
    if let Some(traced) = &evidence.traced
        && traced.lost > 0
    {
        unseen.push(format!("{}: what was counted is too low", counted(traced.lost, "lost event")));
    }
    unseen
}

/// Which limits of the host this namespace does not show to the rules that compare with them.
fn limits_unseen(plan: &AuditPlan, host: HostSettings) -> Option<String> {
    let limits = [
        ("tcp-memory", "net.ipv4.tcp_mem", host.tcp_mem.is_none()),
        ("orphans", "net.ipv4.tcp_max_orphans", host.tcp_max_orphans.is_none()),
    ];
    let is_judged = |name: &str| plan.rules.iter().any(|rule| rule.name == name);
    let missing = limits.into_iter().filter(|(rule, _, is_missing)| *is_missing && is_judged(rule));
    let missing: Vec<_> = missing.map(|(rule, limit, _)| format!("{limit} ({rule})")).collect();
    (!missing.is_empty())
        .then(|| format!("{}, which only the first network namespace shows", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_not_take_it_whole() {
        for (word, expected) in [
            (&b"web-0"[..], Some("web-0")),
            (b"/proc/7/ns/net", Some("/proc/7/ns/net")),
            (b"two words", Some("'two words'")),
            (b"$(reboot)", Some("'$(reboot)'")),
            (b"it's", None),
            (b"\x1b[31m", None),
            (b"\xff", None),
        ] {
            assert_eq!(quoted(word).as_deref(), expected);
        }
    }
}
