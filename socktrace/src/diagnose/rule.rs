//! A rule as data: its name, what it watches, its thresholds with their reasons, what to do, and
//! the function that judges the evidence.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Tcp};
use super::finding::{Finding, Severity, Sure, Table, grouped};

pub struct Rule {
    pub name: &'static str,
    /// What it finds, in a sentence.
    pub finds: &'static str,
    pub needs: Needs,
    pub of: Of,
    pub thresholds: &'static [Threshold],
    /// Why it matters.
    pub why: &'static str,
    pub advice: &'static [&'static str],
    pub judge: fn(&Case<'_>) -> Vec<Finding>,
}

/// What a rule cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// One look, or two a moment apart.
    Snapshot,
    /// The same; with events it sees more.
    SnapshotOrEvents,
    /// `--for`.
    Watch,
    /// `--for`, and the privilege to trace.
    Tracing,
}

impl Needs {
    pub fn name(self) -> &'static str {
        match self {
            Needs::Snapshot => "a snapshot",
            Needs::SnapshotOrEvents => "a snapshot; --for tells more",
            Needs::Watch => "--for",
            Needs::Tracing => "--for, and the privilege to trace",
        }
    }

    pub fn uses_events(self) -> bool {
        matches!(self, Needs::SnapshotOrEvents | Needs::Tracing)
    }

    pub fn takes_a_watch(self) -> bool {
        matches!(self, Needs::Watch | Needs::Tracing)
    }
}

/// What a rule judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Namespace,
    /// The whole host, whatever the namespace.
    Host,
}

pub struct Threshold {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub reason: &'static str,
}

/// Thresholds that were set otherwise, by `rule.threshold`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides(BTreeMap<(&'static str, &'static str), f64>);

/// Why a threshold cannot be set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OverrideError {
    #[error(
        "RULE.THRESHOLD=NUMBER is wanted rather than {0:?}, such as accept-queue.full-percent=90"
    )]
    Syntax(String),
    #[error("there is no threshold {0:?}; the rule has {1}")]
    Unknown(String, String),
    #[error("there is no rule {0:?} (socktrace audit --explain all lists them)")]
    NoRule(String),
}

impl Overrides {
    /// Takes one `RULE.THRESHOLD=NUMBER`.
    pub fn add(&mut self, rules: &[&'static Rule], text: &str) -> Result<(), OverrideError> {
        let syntax = || OverrideError::Syntax(text.to_owned());
        let (name, value) = text.split_once('=').ok_or_else(syntax)?;
        let (rule, threshold) = name.split_once('.').ok_or_else(syntax)?;
        let value: f64 = value.parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(syntax)?;
        let rule = find(rules, rule)?;
        let Some(found) = rule.thresholds.iter().find(|t| t.name == threshold) else {
            let has: Vec<_> = rule.thresholds.iter().map(|t| t.name).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            return Err(OverrideError::Unknown(threshold.to_owned(), has));
        };
        self.0.insert((rule.name, found.name), value);
        Ok(())
    }
}

/// The rule of that name.
pub fn find(rules: &[&'static Rule], name: &str) -> Result<&'static Rule, OverrideError> {
    let found = rules.iter().find(|rule| rule.name == name).copied();
    found.ok_or_else(|| OverrideError::NoRule(name.to_owned()))
}

/// What a rule judges, and by which thresholds.
pub struct Case<'a> {
    pub evidence: &'a Evidence,
    pub rule: &'static Rule,
    pub overrides: &'a Overrides,
}

impl Case<'_> {
    /// The threshold of that name.
    pub fn limit(&self, name: &str) -> f64 {
        let threshold = self.rule.thresholds.iter().find(|threshold| threshold.name == name);
        let threshold = threshold.unwrap_or_else(|| panic!("{} has no {name}", self.rule.name));
        let set = self.overrides.0.get(&(self.rule.name, threshold.name));
        set.copied().unwrap_or(threshold.value)
    }

    /// `Critical` from the second threshold on, `Warning` from the first, else nothing.
    pub fn severity(&self, value: f64, warning: &str, critical: &str) -> Option<Severity> {
        if value >= self.limit(critical) {
            Some(Severity::Critical)
        } else if value >= self.limit(warning) {
            Some(Severity::Warning)
        } else {
            None
        }
    }

    /// A finding of this rule, still to be filled in.
    pub fn finding(&self, severity: Severity, what: String) -> Finding {
        Finding {
            rule: self.rule.name,
            severity,
            weight: 0,
            what,
            sure: Sure::Certain,
            because: String::new(),
            evidence: Table::default(),
            command: String::new(),
            why: self.rule.why,
            advice: self.rule.advice.iter().map(|&advice| advice.to_owned()).collect(),
        }
    }

    /// Of sockets in one state those that are stuck in it; and how the pile grew while it was
    /// watched, as the end of a sentence. What has just come is too young to be stuck, so for that
    /// all of them count.
    pub fn pile<'s>(
        &self,
        mut sockets: Vec<&'s Tcp>,
        is_stuck: impl Fn(&Tcp) -> bool,
    ) -> (Vec<&'s Tcp>, String) {
        let new = sockets.iter().filter(|socket| socket.is_new_in_state()).count() as u64;
        let growth = match (self.evidence.watch.asked, new) {
            (false, _) => String::new(),
            (true, 0) => ", not growing".to_owned(),
            (true, new) => format!(", {} new while it was watched", grouped(new)),
        };
        sockets.retain(|socket| is_stuck(socket));
        (sockets, growth)
    }

    /// Per second, while it was watched.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.evidence.watch.span.as_secs_f64().max(0.001)
    }
}

/// What `part` is of `whole`, in percent.
pub fn percent(part: impl Into<u64>, whole: impl Into<u64>) -> f64 {
    let (part, whole) = (part.into(), whole.into());
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}
