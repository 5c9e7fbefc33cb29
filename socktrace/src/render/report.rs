//! The page of `socktrace report`, as text or Markdown: the same sections in the same order.

use super::audit::{self, Style};
use super::known::Known;
use super::listeners::{self, holders};
use super::number::write_to;
use super::table::{Align, Table};
use super::{counts, escape, json, markdown, summary};
use crate::diagnose::finding::{self, Finding, Severity};
use crate::report::page::{Host, Page};
use crate::report::talkers::Talker;

const NO_SERVICES: &str = "nobody listens";
const NO_TALKERS: &str = "no TCP connection has carried anything";

pub fn text(out: &mut Vec<u8>, page: &Page<'_>, style: Style) {
    head(&page.host).write(out, "", true);
    section(out, "Summary");
    let start = out.len();
    summary::summary(out, &page.summary);
    trim(out, start);
    section(out, "States");
    counts::table(&page.states, page.known.names).write(out, "", true);
    section(out, "Listeners");
    match page.services.is_empty() {
        true => line(out, NO_SERVICES),
        false => listeners::table(&page.services, &page.known, false).write(out, "", true),
    }
    section(out, "Top talkers");
    match page.talkers.is_empty() {
        true => line(out, NO_TALKERS),
        false => talkers(&page.talkers, &page.known).write(out, "", true),
    }
    section(out, "Findings");
    audit::heading(out, &page.audited.findings, &page.audited.from);
    for finding in &page.audited.findings {
        out.push(b'\n');
        audit::finding(out, finding, style);
    }
    if !page.unseen.is_empty() {
        out.push(b'\n');
    }
    page.unseen.iter().for_each(|what| audit::unseen(out, what, style));
}

fn section(out: &mut Vec<u8>, title: &str) {
    write_to(out, format_args!("\n{title}\n{:-<1$}\n", "", title.len()));
}

fn line(out: &mut Vec<u8>, text: &str) {
    write_to(out, format_args!("{text}\n"));
}

/// One line break at the end of what was written since.
fn trim(out: &mut Vec<u8>, start: usize) {
    while out.len() > start && out.last() == Some(&b'\n') {
        out.pop();
    }
    out.push(b'\n');
}

pub fn markdown(out: &mut Vec<u8>, page: &Page<'_>) {
    line(out, "# Sockets\n");
    head(&page.host).markdown(out);
    line(out, "\n## Summary\n\n```text");
    let start = out.len();
    summary::summary(out, &page.summary);
    trim(out, start);
    line(out, "```\n\n## States\n");
    counts::table(&page.states, page.known.names).markdown(out);
    line(out, "\n## Listeners\n");
    match page.services.is_empty() {
        true => line(out, NO_SERVICES),
        false => listeners::table(&page.services, &page.known, false).markdown(out),
    }
    line(out, "\n## Top talkers\n");
    match page.talkers.is_empty() {
        true => line(out, NO_TALKERS),
        false => talkers(&page.talkers, &page.known).markdown(out),
    }
    line(out, "\n## Findings\n");
    audit::heading(out, &page.audited.findings, &page.audited.from);
    page.audited.findings.iter().for_each(|finding| finding_in_markdown(out, finding));
    if !page.unseen.is_empty() {
        line(out, "\n## Not seen\n");
    }
    page.unseen.iter().for_each(|what| item(out, "", what));
}

/// As in text: of a note, only what it is and what lists it.
fn finding_in_markdown(out: &mut Vec<u8>, finding: &Finding) {
    write_to(out, format_args!("\n### {}: ", finding.severity.name()));
    markdown::text(out, &format!("{} [{}]", finding.what, finding.rule));
    out.extend_from_slice(b"\n\n");
    let is_note = finding.severity == Severity::Note;
    if !is_note && !finding.evidence.rows.is_empty() {
        audit::evidence_table(&finding.evidence).markdown(out);
        if finding.evidence.left_out > 0 {
            let left_out = finding::grouped(finding.evidence.left_out as u64);
            write_to(out, format_args!("\nand {left_out} more\n"));
        }
        out.push(b'\n');
    }
    out.extend_from_slice(b"- list: ");
    markdown::code(out, &finding.command);
    out.push(b'\n');
    if is_note {
        return;
    }
    item(out, "sure: ", &format!("{}: {}", finding.sure.name(), finding.because));
    item(out, "why: ", finding.why);
    finding.advice.iter().for_each(|advice| item(out, "do: ", advice));
}

fn item(out: &mut Vec<u8>, label: &str, text: &str) {
    write_to(out, format_args!("- {label}"));
    markdown::text(out, text);
    out.push(b'\n');
}

fn head(host: &Host) -> Table {
    let cell = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let host_name = cell(&|out| escape::path(out, &host.name));
    let mut table = Table::new([("Host".to_owned(), Align::Left), (host_name, Align::Left)]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("Kernel", cell(&|out| escape::path(out, &host.kernel)));
    row("Time", cell(&|out| json::time::Clock::default().rfc3339(out, host.time_unix_us)));
    row("Netns", host.netns.map_or_else(|| "-".to_owned(), |netns| netns.0.to_string()));
    row("Made by", format!("socktrace {} as user {}", env!("CARGO_PKG_VERSION"), host.uid));
    table
}

fn talkers(talkers: &[Talker], known: &Known<'_>) -> Table {
    let left = ["State", "Local", "Peer"].map(|name| (name.to_owned(), Align::Left));
    let right = ["Acked", "Received", "Retrans", "RTT(ms)", "User"];
    let right = right.map(|name| (name.to_owned(), Align::Right));
    let process = ("Process".to_owned(), Align::Left);
    let mut table = Table::new(left.into_iter().chain(right).chain([process]));
    for talker in talkers {
        let mut process = Vec::new();
        holders(&[talker.inode], known, &mut process);
        if process.is_empty() {
            process.push(b'-');
        }
        table.row([
            talker.state.name().to_owned(),
            finding::end(talker.local),
            finding::end(talker.peer),
            talker.bytes_acked.to_string(),
            talker.bytes_received.to_string(),
            talker.total_retrans.to_string(),
            format!("{:.3}", f64::from(talker.rtt_us) / 1000.0),
            talker.uid.to_string(),
            String::from_utf8_lossy(&process).into_owned(),
        ]);
    }
    table
}
