//! Findings as text: what is wrong first, then the rows that prove it, how sure it is, why it
//! matters and what to do.

use std::io::Write;

use super::escape;
use super::table::{Align, Table};
use crate::diagnose::finding::{self, Finding, Owner, Severity, Value};
use crate::diagnose::rule::Rule;
use crate::socket::NetnsId;

/// How findings are laid out.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub width: usize,
    /// Whether severities stand out by colour.
    pub is_coloured: bool,
}

const LABEL: usize = 6;

/// One finding. A note is told in two lines: `--explain` has the rest.
pub fn finding(out: &mut Vec<u8>, finding: &Finding, style: Style) {
    let (colour, off) = match (style.is_coloured, finding.severity) {
        (false, _) => ("", ""),
        (true, Severity::Critical) => ("\x1b[1;31m", "\x1b[0m"),
        (true, Severity::Warning) => ("\x1b[1;33m", "\x1b[0m"),
        (true, Severity::Note) => ("\x1b[1m", "\x1b[0m"),
    };
    let name = finding.severity.name().to_ascii_uppercase();
    let head = format!("{} [{}]", finding.what, finding.rule);
    let indent = name.len() + 1;
    for (number, line) in wrap(&head, style.width.saturating_sub(indent)).iter().enumerate() {
        match number {
            0 => write(out, format_args!("{colour}{name}{off} {line}\n")),
            _ => write(out, format_args!("{:indent$}{line}\n", "")),
        }
    }
    if finding.severity > Severity::Note {
        evidence(out, &finding.evidence);
    }
    labelled(out, "list", &finding.command, style, Wrap::Never);
    if finding.severity == Severity::Note {
        return;
    }
    let sure = format!("{}: {}", finding.sure.name(), finding.because);
    labelled(out, "sure", &sure, style, Wrap::Words);
    labelled(out, "why", finding.why, style, Wrap::Words);
    for (number, advice) in finding.advice.iter().enumerate() {
        labelled(out, if number == 0 { "do" } else { "" }, advice, style, Wrap::Words);
    }
}

fn evidence(out: &mut Vec<u8>, rows: &finding::Table) {
    if rows.rows.is_empty() {
        return;
    }
    let indent = " ".repeat(LABEL + 2);
    evidence_table(rows).write(out, &indent, true);
    if rows.left_out > 0 {
        write(out, format_args!("{indent}and {} more\n", finding::grouped(rows.left_out as u64)));
    }
}

/// The rows that prove a finding. There is one at least.
pub(super) fn evidence_table(rows: &finding::Table) -> Table {
    let align = |column: usize| match rows.rows[0].get(column) {
        Some(Value::Number(_) | Value::Percent(_)) => Align::Right,
        _ => Align::Left,
    };
    let columns =
        rows.columns.iter().enumerate().map(|(number, name)| ((*name).to_owned(), align(number)));
    let mut table = Table::new(columns);
    rows.rows.iter().for_each(|row| table.row(row.iter().map(cell)));
    table
}

fn cell(value: &Value) -> String {
    match value {
        Value::None => "-".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Percent(percent) => format!("{percent:.1}"),
        Value::Text(text) => text.clone(),
        Value::Name(name) => (*name).to_owned(),
        Value::State(state) => state.name().to_owned(),
        Value::End(end) => finding::end(*end),
        Value::Owners(owners) => owner_list(owners),
    }
}

fn owner_list(owners: &[Owner]) -> String {
    match owners {
        [] => "-".to_owned(),
        _ => finding::named(owners),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrap {
    Words,
    /// For what is copied whole.
    Never,
}

/// `  label  text`, on as many lines as it takes.
fn labelled(out: &mut Vec<u8>, label: &str, text: &str, style: Style, how: Wrap) {
    let lines = match how {
        Wrap::Never => vec![text.to_owned()],
        Wrap::Words => wrap(text, style.width.saturating_sub(LABEL + 2)),
    };
    for (number, line) in lines.iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        write(out, format_args!("  {label:LABEL$}{line}\n"));
    }
}

/// Lines of at most `width` characters, broken at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// What `--explain` tells of a rule.
pub fn rule(out: &mut Vec<u8>, rule: &Rule, style: Style) {
    write(out, format_args!("{}\n", rule.name));
    labelled(out, "finds", rule.finds, style, Wrap::Words);
    labelled(out, "needs", rule.needs.name(), style, Wrap::Words);
    labelled(out, "why", rule.why, style, Wrap::Words);
    for (number, advice) in rule.advice.iter().enumerate() {
        labelled(out, if number == 0 { "do" } else { "" }, advice, style, Wrap::Words);
    }
    for (number, threshold) in rule.thresholds.iter().enumerate() {
        let text = format!(
            "--threshold {}.{}={} ({}): {}",
            rule.name, threshold.name, threshold.value, threshold.unit, threshold.reason
        );
        labelled(out, if number == 0 { "set" } else { "" }, &text, style, Wrap::Words);
    }
}

/// All rules, a line each.
pub fn rules(out: &mut Vec<u8>, rules: &[&'static Rule]) {
    let mut table =
        Table::new([("Rule".to_owned(), Align::Left), ("Finds".to_owned(), Align::Left)]);
    rules.iter().for_each(|rule| table.row([rule.name.to_owned(), rule.finds.to_owned()]));
    table.write(out, "", true);
}

/// What stands above the report on one of several namespaces.
pub fn place(out: &mut Vec<u8>, id: NetnsId, name: Option<&[u8]>) {
    let gap = if out.is_empty() { "" } else { "\n" };
    write(out, format_args!("{gap}Network namespace {}", id.0));
    if let Some(name) = name {
        out.extend_from_slice(b", ");
        escape::process_name(out, name);
    }
    out.extend_from_slice(b"\n");
}

/// What stands above the findings: how many there are, and what they are from.
pub fn heading(out: &mut Vec<u8>, findings: &[Finding], from: &str) {
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count() as u64;
    let part = |severity: Severity, one: &str| match count(severity) {
        0 => None,
        number => Some(finding::counted(number, one)),
    };
    let parts: Vec<String> = [
        (count(Severity::Critical) > 0).then(|| format!("{} critical", count(Severity::Critical))),
        part(Severity::Warning, "warning"),
        part(Severity::Note, "note"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let summary = match parts.is_empty() {
        true => "nothing found".to_owned(),
        false => parts.join(", "),
    };
    write(out, format_args!("{summary}, in {from}\n"));
}

/// What the findings had to do without.
pub fn unseen(out: &mut Vec<u8>, what: &str, style: Style) {
    for (number, line) in wrap(what, style.width.saturating_sub(10)).iter().enumerate() {
        let label = if number == 0 { "not seen" } else { "" };
        write(out, format_args!("{label:10}{line}\n"));
    }
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Home;
    use crate::diagnose::finding::Sure;

    #[test]
    fn a_finding_says_what_is_wrong_before_all_else() {
        let owner = Owner { pid: 7, comm: b"app".to_vec(), uid: Some(0), home: Home::default() };
        let row = vec![Value::Number(129), Value::Owners(vec![owner])];
        let example = Finding {
            rule: "accept-queue",
            severity: Severity::Critical,
            weight: 1,
            what: "app[7] does not accept: the queue of 127.0.0.1:80 is full".into(),
            sure: Sure::Certain,
            because: "seen twice".into(),
            evidence: finding::Table {
                columns: &["recv_q", "owners"],
                rows: vec![row],
                left_out: 2,
            },
            command: "socktrace -tlnp 'sport = :80'".into(),
            why: "Clients hang.",
            advice: vec!["Look at it.".into(), "Or restart it.".into()],
        };
        let mut out = Vec::new();
        finding(&mut out, &example, Style { width: 60, is_coloured: false });
        let expected = "\
CRITICAL app[7] does not accept: the queue of 127.0.0.1:80
         is full [accept-queue]
        recv_q  owners
           129  app[7]
        and 2 more
  list  socktrace -tlnp 'sport = :80'
  sure  certain: seen twice
  why   Clients hang.
  do    Look at it.
        Or restart it.
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn words_wrap_and_long_ones_stand_alone() {
        assert_eq!(wrap("a bb ccc dddddddd e", 6), ["a bb", "ccc", "dddddddd", "e"]);
        assert_eq!(wrap("", 6), [""; 0]);
    }
}
