//! The command line of `socktrace report`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{CommandFactory, Parser, value_parser};

use super::duration::duration;
use super::plan::Scope;
use crate::report::{Format, ReportPlan};

/// Makes a page for a ticket: host, kernel, time, counts, states, listeners, top talkers, findings.
#[derive(Debug, Parser)]
#[command(name = "socktrace report", version, after_help = AFTER_HELP)]
struct Typed {
    /// Watch for so long (30s, 2m) before the page is made, so that findings measure rates and
    /// growth; Ctrl-C makes it at once
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    watch: Option<Duration>,

    /// How many of the connections that carried most
    #[arg(long, value_name = "N", default_value = "10", value_parser = value_parser!(u16).range(1..))]
    top: u16,

    /// Report on this network namespace: its name, a container, or a process, as in a listing
    #[arg(short = 'N', long, value_name = "NAME")]
    net: Option<OsString>,

    /// Write Markdown
    #[arg(short, long, conflicts_with = "json")]
    markdown: bool,

    /// Print a JSON object (docs/schema.md)
    #[arg(short, long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Of processes it has name, number and user. Their arguments are neither printed nor read. It has \
addresses, ports and the name of the host: look at it before you pass it on.

Exits with 0 when the page was made, whatever was found, 1 after a failure, 255 when the command \
line is wrong.";

/// The command line, for completions and the manual.
pub fn command() -> clap::Command {
    Typed::command()
}

/// What the arguments behind `report` ask for.
pub fn parse(args: &[OsString]) -> Result<ReportPlan, clap::Error> {
    let name = OsString::from("socktrace report");
    let typed = Typed::try_parse_from([&name].into_iter().chain(args))?;
    Ok(ReportPlan {
        watch: typed.watch,
        netns: typed.net.map_or(Scope::Here, Scope::Called),
        top: typed.top.into(),
        format: match (typed.markdown, typed.json) {
            (true, _) => Format::Markdown,
            (_, true) => Format::Json,
            _ => Format::Text,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<ReportPlan, clap::Error> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_page_is_text_of_ten_talkers_unless_something_else_is_asked_for() {
        let plan = parsed("").unwrap();
        assert_eq!((plan.format, plan.top, plan.watch), (Format::Text, 10, None));
        let plan = parsed("--markdown --top 3 --for 2s -N x").unwrap();
        assert_eq!((plan.format, plan.top), (Format::Markdown, 3));
        assert_eq!(
            (plan.watch, plan.netns),
            (Some(Duration::from_secs(2)), Scope::Called("x".into()))
        );
        assert_eq!(parsed("-j").unwrap().format, Format::Json);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in ["--top 0", "--top x", "--json --markdown", "--for ever", "more"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
