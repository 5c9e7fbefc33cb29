//! What a guest reported: the results of its tests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// How much of the output of a test file that failed is shown; the log has the rest.
const SHOWN_LINES: usize = 60;
const SHOWN_WIDTH: usize = 240;

/// The end of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// With the reason.
    Skipped(String),
    Failed,
}

/// A test file.
#[derive(Debug, Default)]
struct Part {
    outcomes: BTreeMap<String, Outcome>,
    /// What the shell says of the whole; `None` if it did not come to an end.
    status: Option<i32>,
    output: String,
}

impl Part {
    fn is_good(&self) -> bool {
        self.status == Some(0) && self.outcomes.values().all(|outcome| *outcome != Outcome::Failed)
    }

    fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.values().filter(|outcome| wanted(outcome)).count()
    }

    fn in_short(&self) -> String {
        let passed = self.count(|outcome| *outcome == Outcome::Passed);
        let failed = self.count(|outcome| *outcome == Outcome::Failed);
        let skipped = self.count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        let mut text = match self.status {
            None => "**stopped**".to_owned(),
            Some(_) if failed > 0 => format!("**{failed} failed**, {passed} ok"),
            Some(0) => format!("{passed} ok"),
            Some(143 | 124) => "**hung**".to_owned(),
            Some(status) => format!("**exit {status}**"),
        };
        if skipped > 0 {
            let _ = write!(text, ", {skipped} skipped");
        }
        text
    }
}

pub(super) struct Report {
    pub(super) release: String,
    pub(super) command_output: String,
    parts: BTreeMap<String, Part>,
    /// The guest came to its end.
    complete: bool,
    command_failed: bool,
    took: Duration,
}

impl Report {
    pub(super) fn read(release: &str, said: &str, took: Duration) -> Report {
        let mut report = Report {
            release: release.to_owned(),
            command_output: String::new(),
            parts: BTreeMap::new(),
            complete: false,
            command_failed: false,
            took,
        };
        let mut current: Option<String> = None;
        for line in said.lines() {
            if let Some(name) = line.strip_prefix("@@ test ") {
                report.parts.insert(name.to_owned(), Part::default());
                current = Some(name.to_owned());
            } else if let Some(status) = line.strip_prefix("@@ ended ") {
                match current.take().and_then(|name| report.parts.get_mut(&name)) {
                    Some(part) => part.status = status.trim().parse().ok(),
                    None => report.command_failed = status.trim() != "0",
                }
            } else if line == "@@ complete" {
                report.complete = true;
            } else if let Some(part) = current.as_ref().and_then(|name| report.parts.get_mut(name))
            {
                part.line(line);
            } else if line != "@@ command" {
                let _ = writeln!(report.command_output, "{line}");
            }
        }
        report
    }

    pub(super) fn is_good(&self) -> bool {
        self.complete && !self.command_failed && self.parts.values().all(Part::is_good)
    }

    pub(super) fn in_short(&self) -> String {
        let tests: usize = self.parts.values().map(|part| part.outcomes.len()).sum();
        let verdict = if self.is_good() { "good" } else { "NOT GOOD" };
        let end = if self.complete { "" } else { ", and it did not come to its end" };
        format!("{}: {verdict}, {tests} tests in {:.0?}{end}", self.release, self.took)
    }

    /// The output of the test files that failed.
    pub(super) fn failures(&self) -> String {
        let mut text = String::new();
        for (name, part) in &self.parts {
            if !part.is_good() {
                let _ = writeln!(text, "-- {name} on {}", self.release);
                let head = |line: &str| line.chars().take(SHOWN_WIDTH).collect::<String>();
                for line in part.output.lines().filter(|line| !line.is_empty()).take(SHOWN_LINES) {
                    let _ = writeln!(text, "{}", head(line));
                }
            }
            for (test, outcome) in &part.outcomes {
                if let Outcome::Skipped(why) = outcome {
                    let _ = writeln!(text, "   {name}: {test} skipped: {why}");
                }
            }
        }
        text
    }
}

impl Part {
    fn line(&mut self, line: &str) {
        self.output.push_str(line);
        self.output.push('\n');
        // A test that says something on standard error cuts its own line in two.
        if let Some((test, why)) =
            line.split_once("SKIPPED ").and_then(|(_, rest)| rest.split_once(": "))
        {
            self.outcomes.insert(test.to_owned(), Outcome::Skipped(why.to_owned()));
        }
        let Some(rest) = line.strip_prefix("test ") else { return };
        let Some((test, result)) = rest.split_once(" ... ") else { return };
        let outcome = match result {
            "ok" => Outcome::Passed,
            "FAILED" => Outcome::Failed,
            _ => return,
        };
        self.outcomes.entry(test.to_owned()).or_insert(outcome);
    }
}

/// Kernel by feature, for people and for Markdown.
pub(super) fn table(tests: &[&str], reports: &[Report]) -> String {
    let mut text = String::from("| |");
    for report in reports {
        let release = report.release.trim_end_matches("-cloud-amd64");
        let _ = write!(text, " {release} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(reports.len()));
    text.push('\n');
    for test in tests {
        let _ = write!(text, "| {test} |");
        for report in reports {
            let result = report.parts.get(*test).map_or("**not run**".to_owned(), Part::in_short);
            let _ = write!(text, " {result} |");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "@@ test trace\n\nrunning 3 tests\ntest one ... ok\n\
        test two ... SKIPPED two: it needs more\nok\ntest three ... FAILED\n@@ ended 101\n";

    #[test]
    fn results_are_read_line_by_line() {
        let report = Report::read("6.1", SAID, Duration::ZERO);
        let part = &report.parts["trace"];
        assert_eq!(part.outcomes["one"], Outcome::Passed);
        assert_eq!(part.outcomes["two"], Outcome::Skipped("it needs more".to_owned()));
        assert_eq!(part.outcomes["three"], Outcome::Failed);
        assert_eq!(part.in_short(), "**1 failed**, 1 ok, 1 skipped");
    }

    #[test]
    fn a_guest_that_stops_is_not_good() {
        let good = "@@ test trace\ntest one ... ok\n@@ ended 0\n@@ complete\n";
        assert!(Report::read("6.1", good, Duration::ZERO).is_good());
        for (cut, _) in good.match_indices('\n').rev().skip(1) {
            assert!(!Report::read("6.1", &good[..cut + 1], Duration::ZERO).is_good(), "{cut}");
        }
        assert!(!Report::read("6.1", "", Duration::ZERO).is_good());
    }
}
