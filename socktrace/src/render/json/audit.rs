//! Findings of `socktrace audit`.

use super::Object;
use super::address::inet_end;
use super::home::home;
use super::time::{Clock, now_unix_us};
use crate::diagnose::evidence::Watch;
use crate::diagnose::finding::{Finding, Owner, Table, Value};
use crate::diagnose::rule::Rule;
use crate::socket::NetnsId;

/// All that an audit found, as one object.
pub fn report(
    out: &mut Vec<u8>,
    findings: &[Finding],
    rules: &[&'static Rule],
    watch: Watch,
    netns: Option<NetnsId>,
    unseen: &[String],
) {
    let mut report = Object::new(out);
    Clock::default().write(&mut report, now_unix_us());
    report.known("netns", netns.map(|netns| netns.0));
    report.value("looks", watch.looks);
    report.value("span_ms", u64::try_from(watch.span.as_millis()).unwrap_or(u64::MAX));
    report.known("severity", findings.first().map(|finding| finding.severity.name()));
    let mut list = report.array("findings");
    for finding in findings {
        members(&mut list.object(), finding);
    }
    drop(list);
    report.words("unseen", unseen);
    report.words("rules", rules.iter().map(|rule| rule.name));
}

/// One finding.
pub fn finding(out: &mut Vec<u8>, finding: &Finding) {
    members(&mut Object::new(out), finding);
}

fn members(object: &mut Object<'_>, finding: &Finding) {
    object.value("rule", finding.rule);
    object.value("severity", finding.severity.name());
    object.value("what", &finding.what);
    object.value("sure", finding.sure.name());
    object.value("because", &finding.because);
    evidence(object, &finding.evidence);
    object.value("command", &finding.command);
    object.bytes("why", finding.why.as_bytes());
    object.words("advice", &finding.advice);
}

/// `evidence`: an object per row.
fn evidence(object: &mut Object<'_>, table: &Table) {
    let mut rows = object.array("evidence");
    for row in &table.rows {
        let mut object = rows.object();
        table.columns.iter().zip(row).for_each(|(key, value)| member(&mut object, key, value));
    }
    drop(rows);
    object.value("evidence_left_out", table.left_out);
}

fn member(object: &mut Object<'_>, key: &str, value: &Value) {
    match value {
        Value::None => {}
        Value::Number(number) => object.value(key, number),
        Value::Percent(percent) => object.value(key, (percent * 10.0).round() / 10.0),
        Value::Text(text) => object.value(key, text),
        Value::Name(name) => object.bytes(key, name.as_bytes()),
        Value::State(state) => object.value(key, state.name()),
        Value::End(end) => inet_end(&mut object.object(key), end),
        Value::Owners(owners) => {
            let mut list = object.array(key);
            owners.iter().for_each(|one| owner(&mut list.object(), one));
        }
    }
}

fn owner(object: &mut Object<'_>, owner: &Owner) {
    object.value("pid", owner.pid);
    object.bytes("comm", &owner.comm);
    object.known("uid", owner.uid);
    home(object, &owner.home);
}
