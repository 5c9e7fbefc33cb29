//! The command line of `socktrace audit`.

use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::duration::duration;
use super::plan::Scope;
use crate::audit::{AuditPlan, Format};
use crate::diagnose::rule::{OverrideError, Overrides, Rule, find};
use crate::diagnose::rules::RULES;

/// Says what is wrong with the sockets of this host, with the evidence and what to do: findings,
/// the most severe first.
#[derive(Debug, Parser)]
#[command(name = "socktrace audit", version, after_help = AFTER_HELP)]
struct Typed {
    /// Watch for so long (30s, 2m), so that rates and growth are measured; Ctrl-C ends it with the
    /// report so far
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    watch: Option<Duration>,

    /// Judge by these rules only
    #[arg(long, value_name = "RULE,...", value_delimiter = ',')]
    only: Vec<String>,

    /// Tell what a rule finds, why it matters and its thresholds; `all` lists the rules
    #[arg(long, value_name = "RULE")]
    explain: Option<String>,

    /// Set a threshold
    #[arg(long, value_name = "RULE.NAME=NUMBER")]
    threshold: Vec<String>,

    /// Audit this network namespace: its name, a container, or a process, as in a listing
    #[arg(short = 'N', long, value_name = "NAME", conflicts_with = "all_netns")]
    net: Option<OsString>,

    /// Audit all network namespaces, each by itself
    #[arg(long)]
    all_netns: bool,

    /// Print a JSON object (docs/schema.md), or one for each namespace
    #[arg(short, long, conflicts_with = "json_lines")]
    json: bool,

    /// Print a JSON object per finding
    #[arg(long)]
    json_lines: bool,
}

const AFTER_HELP: &str = "\
Without --for it looks once, or twice a second apart where something may be wrong, and claims only \
what that supports: counters since boot say nothing about now, and make notes at most.

Exits with 0 when nothing is worse than a note, 10 after a warning, 20 after something critical, 1 \
after a failure, 255 when the command line is wrong.";

/// What to do.
pub enum Action {
    Audit(Box<AuditPlan>),
    /// Explain this rule.
    Explain(&'static Rule),
    /// List the rules.
    List,
}

/// The command line, for completions and the manual.
pub fn command() -> clap::Command {
    Typed::command()
}

/// What the arguments behind `audit` ask for.
pub fn parse(args: &[OsString]) -> Result<Action, clap::Error> {
    let name = OsString::from("socktrace audit");
    let typed = Typed::try_parse_from([&name].into_iter().chain(args))?;
    if let Some(rule) = typed.explain {
        return match rule.as_str() {
            "all" => Ok(Action::List),
            name => find(RULES, name).map(Action::Explain).map_err(wrong),
        };
    }
    let mut overrides = Overrides::default();
    for text in &typed.threshold {
        overrides.add(RULES, text).map_err(wrong)?;
    }
    let only: Vec<&'static Rule> =
        typed.only.iter().map(|name| find(RULES, name)).collect::<Result<_, _>>().map_err(wrong)?;
    let chosen =
        |rule: &&&'static Rule| only.is_empty() || only.iter().any(|only| only.name == rule.name);
    Ok(Action::Audit(Box::new(AuditPlan {
        rules: RULES.iter().filter(chosen).copied().collect(),
        overrides,
        watch: typed.watch,
        netns: match (typed.net, typed.all_netns) {
            (_, true) => Scope::All,
            (Some(word), false) => Scope::Called(word),
            (None, false) => Scope::Here,
        },
        format: match (typed.json, typed.json_lines) {
            (_, true) => Format::JsonLines,
            (true, false) => Format::Json,
            (false, false) => Format::Text,
        },
    })))
}

fn wrong(error: OverrideError) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Action, clap::Error> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn rules_are_chosen_by_name_and_stay_in_their_order() {
        let Ok(Action::Audit(plan)) = parsed("--only close-wait,accept-queue --for 30s") else {
            panic!("no audit")
        };
        let names: Vec<_> = plan.rules.iter().map(|rule| rule.name).collect();
        assert_eq!(names, ["accept-queue", "close-wait"]);
        assert_eq!(plan.watch, Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_there_is_not_is_named() {
        for (line, named) in [
            ("--only nonsense", "nonsense"),
            ("--explain nonsense", "nonsense"),
            ("--threshold close-wait.nonsense=1", "age, count"),
            ("--threshold close-wait=1", "RULE.THRESHOLD"),
            ("--threshold close-wait.age=much", "RULE.THRESHOLD"),
            ("--for ever", "30s"),
        ] {
            let error = parsed(line).err().unwrap_or_else(|| panic!("{line}")).to_string();
            assert!(error.contains(named) || line.contains("--for"), "{line}: {error}");
        }
    }
}
