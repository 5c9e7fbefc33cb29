//! Which command it is, and how its end becomes an exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use super::doctor::{self, DoctorPlan};
use super::plan::{Action, Plan, PlanError};
use super::{audit, complete, life, listen, manual, options, report, retrans, states, trace};
use crate::diagnose::finding::Severity;
use crate::diagnose::rules::RULES;
use crate::filter::ErrorKind;
use crate::live::{self, LiveError, LivePlan, Outcome};
use crate::render::{self, audit::Style};
use crate::report::ReportPlan;
use crate::say::{Name, complain};
use crate::snapshot::{self, SnapshotError};

/// What a command line that cannot be understood ends with, as in `ss`.
const USAGE: u8 = 255;
const FAILURE: u8 = 1;
/// This kernel, or this user, cannot trace.
const REFUSED: u8 = 2;
/// Events are missing from the output.
const LOST: u8 = 3;
/// The worst that an audit found.
const WARNING: u8 = 10;
const CRITICAL: u8 = 20;

/// What runs the arguments behind a subcommand.
type Run = fn(&[OsString]) -> Result<ExitCode, clap::Error>;

/// What tells clap's form of a subcommand, for completions and the manual.
type CommandLine = fn() -> clap::Command;

/// The words that select a command in place of a listing.
pub(super) const COMMANDS: &[(&str, Run, CommandLine)] = &[
    ("trace", |args| Ok(live(&trace::parse(args)?)), trace::command),
    ("life", |args| Ok(live(&life::parse(args)?)), life::command),
    ("retrans", |args| Ok(live(&retrans::parse(args)?)), retrans::command),
    ("states", |args| Ok(snapshot(states::parse(args)?)), states::command),
    ("audit", |args| Ok(audit(audit::parse(args)?)), audit::command),
    ("report", |args| Ok(report(&report::parse(args)?)), report::command),
    ("listen", |args| Ok(listen(listen::parse(args)?)), listen::command),
    ("doctor", |args| Ok(doctor(doctor::parse(args)?)), doctor::command),
    (
        "completions",
        |args| Ok(written(complete::script(&complete::parse(args)?))),
        complete::command,
    ),
    ("man", |args| Ok(written(manual::parse(args).map(|()| manual::page())?)), manual::command),
];

/// Runs a command line without the program's name.
pub fn run(name: Name, args: Vec<OsString>) -> ExitCode {
    if name == Name::Socktrace
        && let Some(answered) = complete::answer()
    {
        return written(answered.map(|()| Vec::new()));
    }
    if let (Name::Socktrace, [command, rest @ ..]) = (name, args.as_slice())
        && let Some((_, run, _)) = COMMANDS.iter().find(|(name, ..)| command == name)
    {
        return run(rest).unwrap_or_else(|error| explain(&error));
    }
    let action = match options::parse(name, &args) {
        Ok(typed) => Action::from_typed(typed),
        Err(error) => return usage(name, &error.to_string()),
    };
    match action {
        Ok(Action::Help) => print(&help(name)),
        Ok(Action::Version) => {
            print(&format!("{} utility, socktrace-{}\n", name.as_str(), env!("CARGO_PKG_VERSION")))
        }
        Ok(Action::Run(plan)) => snapshot(*plan),
        Err(error) => refuse(name, &error),
    }
}

fn listen(plan: Result<Plan, PlanError>) -> ExitCode {
    plan.map_or_else(|error| refuse(Name::Socktrace, &error), snapshot)
}

fn refuse(name: Name, error: &PlanError) -> ExitCode {
    match error.is_usage() {
        true => usage(name, &error.to_string()),
        false => failure(&error.to_string()),
    }
}

fn snapshot(plan: Plan) -> ExitCode {
    match snapshot::run(plan, &mut io::stdout().lock(), screen_width()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(SnapshotError::Nothing(what)) => {
            complain(what);
            ExitCode::SUCCESS
        }
        Err(SnapshotError::Filter(error)) => {
            complain(&error.to_string());
            ExitCode::from(filter_code(&error.kind))
        }
        Err(SnapshotError::File(error)) => {
            complain(&format!("{error:#}"));
            ExitCode::from(USAGE)
        }
        Err(SnapshotError::Refused(refusal)) => {
            complain(&refusal.to_string());
            ExitCode::from(REFUSED)
        }
        Err(error @ (SnapshotError::Lost(_) | SnapshotError::Incomplete(_))) => {
            complain(&error.to_string());
            ExitCode::from(LOST)
        }
        Err(SnapshotError::NoSelinux) => failure("SELinux is not enabled."),
        Err(SnapshotError::Other(error)) => {
            if is_closed_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            failure(&format!("{error:#}"))
        }
    }
}

/// The exit code tells how bad the worst finding is.
fn audit(action: audit::Action) -> ExitCode {
    let style = style();
    let mut text = Vec::new();
    let plan = match action {
        audit::Action::Audit(plan) => plan,
        audit::Action::Explain(rule) => {
            render::audit::rule(&mut text, rule, style);
            return print(&String::from_utf8_lossy(&text));
        }
        audit::Action::List => {
            render::audit::rules(&mut text, RULES);
            return print(&String::from_utf8_lossy(&text));
        }
    };
    match crate::audit::run(&plan, &mut io::stdout().lock(), style) {
        Ok(Some(Severity::Critical)) => ExitCode::from(CRITICAL),
        Ok(Some(Severity::Warning)) => ExitCode::from(WARNING),
        Ok(Some(Severity::Note) | None) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => failure(&format!("{error:#}")),
    }
}

/// What was found does not change the exit code: the page is there.
fn report(plan: &ReportPlan) -> ExitCode {
    match crate::report::run(plan, &mut io::stdout().lock(), style()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => failure(&format!("{error:#}")),
    }
}

fn style() -> Style {
    Style {
        width: screen_width().unwrap_or(100).clamp(40, 120),
        is_coloured: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

fn doctor(plan: DoctorPlan) -> ExitCode {
    let findings = crate::doctor::examine();
    let mut out = Vec::new();
    if plan.json {
        render::doctor::json(&mut out, &findings);
    } else {
        render::doctor::text(&mut out, &findings);
    }
    match print(&String::from_utf8_lossy(&out)) {
        code if code == ExitCode::SUCCESS => {}
        code => return code,
    }
    match findings.iter().any(|finding| finding.verdict.is_lacking()) {
        true => ExitCode::from(REFUSED),
        false => ExitCode::SUCCESS,
    }
}

fn live(plan: &LivePlan) -> ExitCode {
    match live::run(plan, io::stdout()) {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::Incomplete) => ExitCode::from(LOST),
        Err(LiveError::Refused(refusal)) => {
            complain(&refusal.to_string());
            ExitCode::from(REFUSED)
        }
        Err(LiveError::Filter(error)) => {
            complain(&error.to_string());
            ExitCode::from(filter_code(&error.kind))
        }
        Err(LiveError::Netns(error)) => failure(&error.to_string()),
        Err(LiveError::Other(error)) => failure(&format!("{error:#}")),
    }
}

/// Prints the help or the version that was asked for, or one line on what was wrong.
fn explain(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if !error.use_stderr() {
        return print(&text);
    }
    // What is wrong, in one paragraph with what may be there; then hints, and how to get help.
    let mut paragraphs = text.split("\n\n");
    let wrong = paragraphs.next();
    let similar = paragraphs.find(|paragraph| paragraph.contains("a similar "));
    let line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = wrong.into_iter().chain(similar).map(line).collect::<Vec<_>>().join("; ");
    complain(line.strip_prefix("error: ").unwrap_or(&line));
    ExitCode::from(USAGE)
}

/// As `ss`: a filter whose grammar is wrong is wrong usage, one with a wrong value is a failure.
fn filter_code(kind: &ErrorKind) -> u8 {
    match kind {
        ErrorKind::Syntax
        | ErrorKind::NestedTooDeep
        | ErrorKind::MissingState
        | ErrorKind::State(_) => USAGE,
        ErrorKind::Port(_)
        | ErrorKind::Prefix(_)
        | ErrorKind::Address
        | ErrorKind::Device
        | ErrorKind::Mark(_)
        | ErrorKind::Cgroup { .. }
        | ErrorKind::Value(_) => FAILURE,
    }
}

/// The width of the terminal, or the one that the environment asks for.
fn screen_width() -> Option<usize> {
    let terminal = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col.into());
    let asked = || {
        let columns = std::env::var("COLUMNS").ok()?;
        let end = columns.find(|c: char| !c.is_ascii_digit()).unwrap_or(columns.len());
        columns[..end].parse().ok()
    };
    terminal.filter(|width| *width > 0).or_else(asked).filter(|width| *width > 0)
}

fn print(text: &str) -> ExitCode {
    written(Ok(text.into()))
}

/// Prints what was written, and ends.
fn written(text: io::Result<Vec<u8>>) -> ExitCode {
    match text.and_then(|text| io::stdout().write_all(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failure(&format!("cannot write: {error}")),
    }
}

/// Whoever closed the pipe has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn failure(what: &str) -> ExitCode {
    complain(what);
    ExitCode::from(FAILURE)
}

fn usage(name: Name, what: &str) -> ExitCode {
    complain(what);
    let _ = write!(io::stderr(), "{}", help(name));
    ExitCode::from(USAGE)
}

fn help(name: Name) -> String {
    let mut command = match name {
        Name::Socktrace => complete::whole(),
        Name::Ss => options::command(name),
    };
    command.render_help().to_string()
}
