//! The filter of a trace: read at the start, and asked of each event before it is shown.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;

use socktrace_common::probe::Probe;

use crate::container::Homes;
use crate::event::{Event, ResetReason};
use crate::filter::{
    self, Compare, Expr, FilterError, Glob, Name, Number, Occurred, Predicate, Scope, StateOf,
    Surroundings,
};
use crate::names::{NameOptions, Names};
use crate::say::complain;
use crate::socket::{Table, TableSet};
use crate::{netns, procfs};

/// What was typed of a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub words: Vec<OsString>,
    /// Nanoseconds.
    pub shorter_than: Option<u64>,
    pub longer_than: Option<u64>,
    pub failed: bool,
}

/// Why there is nobody to judge.
#[derive(Debug, thiserror::Error)]
pub(super) enum JudgeError {
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("the interfaces of the network namespace cannot be looked up: {0}")]
    Netns(#[from] std::io::Error),
}

/// The expression, and what it is judged with.
pub(super) struct Judge {
    expr: Expr,
    names: Names,
    homes: Homes,
    reasons: BTreeMap<u32, String>,
}

impl Judge {
    /// `None` if nothing was asked. Interfaces are those of `only`, the one namespace that is
    /// traced, or else those of this namespace.
    pub(super) fn new(asked: &Asked, only: Option<&OwnedFd>) -> Result<Option<Judge>, JudgeError> {
        if *asked == Asked::default() {
            return Ok(None);
        }
        let proc_root = procfs::root();
        let names = Names::new(NameOptions {
            numeric: true,
            resolve_hosts: false,
            proc_root: proc_root.clone(),
        });
        let Some(mut expr) = asked.expr(&names, only.is_some())? else { return Ok(None) };
        if !expr.devices().is_empty() {
            expr = match only {
                Some(only) => netns::inside(only, || {
                    names.leave_namespace();
                    asked.expr(&names, false)
                })??
                .unwrap_or(expr),
                None => netns::current().map_or(expr.clone(), |here| expr.with_devices_of(here)),
            };
        }
        if let Some(predicate) = expr.only_of_listings() {
            let predicate = Expr::Pred(predicate);
            complain(&format!(
                "no event has what \"{predicate}\" asks for: it is known of listings only"
            ));
        }
        Ok(Some(Judge { expr, names, homes: Homes::new(proc_root), reasons: BTreeMap::new() }))
    }

    /// What of it the kernel can judge.
    pub(super) fn probe(&self) -> Option<Probe> {
        filter::probe(&self.expr)
    }

    /// How this kernel numbers the reasons for resets.
    pub(super) fn set_reset_reasons<'a>(
        &mut self,
        reasons: impl Iterator<Item = (ResetReason, &'a str)>,
    ) {
        self.reasons = reasons.map(|(reason, name)| (reason.0, name.to_owned())).collect();
    }

    pub(super) fn lets_through(&self, event: &Event) -> bool {
        let around = Surroundings {
            ports: Some(self.names.ephemeral_ports()),
            homes: Some(&self.homes),
            facts: Some(&self.names),
            ..Surroundings::default()
        };
        let reason = |reason: ResetReason| self.reasons.get(&reason.0).map(String::as_str);
        self.expr.matches(&Occurred { event, around, reason: &reason })
    }
}

impl Asked {
    /// All that was asked, as one expression.
    pub fn expr(&self, names: &Names, any_netns: bool) -> Result<Option<Expr>, FilterError> {
        let scope = Scope { family: None, tables: TableSet::of(&[Table::Tcp]), any_netns };
        let filter = filter::parse(None, &self.words, scope, names)?;
        let states = filter.states.map(|set| Predicate::State { of: StateOf::Now, set });
        let duration = |value: Option<u64>, compare| {
            value.map(|value| Predicate::Number { of: Number::Duration, compare, value })
        };
        let said = [
            states,
            duration(self.shorter_than, Compare::Less),
            duration(self.longer_than, Compare::Greater),
        ];
        let mut parts: Vec<Expr> = said.into_iter().flatten().map(Expr::Pred).collect();
        if self.failed {
            let end = |name: &str| {
                let glob = Glob::exact(name.as_bytes().to_vec());
                Expr::Pred(Predicate::Name { of: Name::End, glob })
            };
            parts.push(end("closed").or(end("aborted")).negate());
        }
        Ok(parts.into_iter().chain(filter.expr).reduce(Expr::and))
    }
}
