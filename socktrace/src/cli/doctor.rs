//! The command line of `socktrace doctor`.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

/// Tries what socktrace needs of this machine, and says what works, what does not, why, and what
/// would change it.
#[derive(Debug, Parser)]
#[command(name = "socktrace doctor", version, after_help = AFTER_HELP)]
struct Typed {
    /// Print JSON: an array of findings
    #[arg(short, long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Each thing is tried for real; nothing is changed. reduced means that it works with less detail, \
later or slower, absent that there is nothing of the kind here, limited that part of what is here \
stays unseen, missing that all of it does.

Exits with 0 when nothing stays unseen, 1 after a failure, 2 when something is limited or missing, \
255 when the command line is wrong.";

/// How the findings are to be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoctorPlan {
    pub json: bool,
}

/// The command line, for completions and the manual.
pub fn command() -> clap::Command {
    Typed::command()
}

/// What the arguments behind `doctor` ask for.
pub fn parse(args: &[OsString]) -> Result<DoctorPlan, clap::Error> {
    let name = OsString::from("socktrace doctor");
    let typed = Typed::try_parse_from([&name].into_iter().chain(args))?;
    Ok(DoctorPlan { json: typed.json })
}
