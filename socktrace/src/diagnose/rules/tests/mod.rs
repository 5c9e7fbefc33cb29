//! Each rule on evidence that is made up: what fires it, and what comes close and must not. A file
//! per theme, as the rules have.

mod accept;
mod churn;
mod close_wait;
mod connects;
mod datagrams;
mod exposure;
mod loss;
mod ownership;
mod ports;
mod queues;
mod resources;
mod teardown;

use std::net::IpAddr;
use std::time::Duration;

use super::RULES;
use crate::diagnose::evidence::*;
use crate::diagnose::finding::{Finding, Severity, Sure};
use crate::diagnose::judge;
use crate::diagnose::rule::{Overrides, Threshold};
use crate::socket::{Cookie, InetEnd, Inode, SkMem, State, TcpInfo, Timer, TimerKind};

fn end(addr: &str, port: u16) -> InetEnd {
    InetEnd { addr: addr.parse().unwrap(), port }
}

/// A socket of process 7.
fn tcp(state: State) -> Tcp {
    Tcp {
        state,
        local: end("10.0.0.1", 80),
        peer: end("10.0.0.2", 40000),
        cookie: Cookie(1),
        inode: Inode(7),
        uid: 0,
        recv_q: 0,
        send_q: 0,
        timer: Timer::default(),
        skmem: SkMem { rcvbuf: 131_072, ..SkMem::default() },
        info: TcpInfo::default(),
        earlier: None,
    }
}

fn listener(addr: &str, port: u16) -> Tcp {
    let local = end(addr, port);
    Tcp { local, peer: end("0.0.0.0", 0), send_q: 128, ..tcp(State::Listen) }
}

/// Seen before, a moment ago, just the same.
fn lasting(mut socket: Tcp) -> Tcp {
    socket.earlier = Some(Earlier { ago: Duration::from_secs(2), ..socket.remember() });
    socket
}

fn evidence(tcp: Vec<Tcp>) -> Evidence {
    let mut evidence = Evidence { tcp, ..Evidence::default() };
    let process = Process { pid: 7, comm: b"app".to_vec(), ..Process::default() };
    evidence.processes.known.insert(7, process);
    evidence.processes.holders.insert(Inode(7), vec![7]);
    evidence.addresses = ["127.0.0.1", "10.0.0.1"]
        .map(|addr| LocalAddress { interface: "eth0".into(), addr: addr.parse().unwrap() })
        .to_vec();
    evidence
}

fn watched(mut evidence: Evidence) -> Evidence {
    evidence.watch = Watch { span: Duration::from_secs(10), looks: 11, asked: true };
    evidence
}

fn judged(evidence: &Evidence) -> Vec<Finding> {
    judge(RULES, &Overrides::default(), evidence)
}

/// The rules that fired, with their severity.
fn fired(evidence: &Evidence) -> Vec<(&'static str, Severity)> {
    judged(evidence).iter().map(|finding| (finding.rule, finding.severity)).collect()
}

fn destination(peer: &str, open: u32, young: u32, old: u32) -> Evidence {
    let mut evidence = evidence(Vec::new());
    evidence.settings.local_ports = 40000..=40999;
    evidence.destinations.push(Destination {
        local: "10.0.0.1".parse().unwrap(),
        peer: end(peer, 5432),
        open,
        time_wait_young: young,
        time_wait_old: old,
        time_wait_recent: 0,
        inodes: vec![Inode(7)],
        uid: Some(0),
    });
    evidence
}

fn worker() -> Option<Worker> {
    Some(Worker { pid: 9, comm: b"client".to_vec(), uid: 0 })
}

fn failing(peer: InetEnd, count: u64, tcp: Vec<Tcp>) -> Evidence {
    let mut evidence = watched(evidence(tcp));
    let failed = FailedConnects {
        peer,
        error: ConnectError::Refused,
        worker: worker(),
        is_here: true,
        count,
    };
    evidence.traced = Some(Traced { failed_connects: vec![failed], ..Traced::default() });
    evidence
}

const NOTE: Severity = Severity::Note;
const WARNING: Severity = Severity::Warning;
const CRITICAL: Severity = Severity::Critical;

#[test]
fn names_of_rules_and_thresholds_are_unique_and_words() {
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
    let is_word = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b"-2".contains(&b));
    assert!(names.iter().all(|name| is_word(name)), "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
    for rule in RULES {
        assert!(!rule.finds.is_empty() && rule.why.ends_with('.'), "{}", rule.name);
        for threshold in rule.thresholds {
            assert!(is_word(threshold.name) && !threshold.reason.is_empty(), "{}", rule.name);
        }
    }
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let quiet = (0..100).map(|_| tcp(State::Established)).chain([listener("10.0.0.1", 80)]);
    let evidence = watched(evidence(quiet.collect()));
    assert_eq!(fired(&evidence), []);
    assert_eq!(fired(&Evidence::default()), []);
}

#[test]
fn the_worst_is_first_and_causes_come_before_what_follows() {
    let mut full = listener("10.0.0.1", 80);
    full.recv_q = 129;
    let mut left = tcp(State::CloseWait);
    (left.info.last_ack_recv_ms, left.info.last_data_sent_ms) = (5000, 9000);
    let mut all = vec![left; 200];
    all.push(listener("0.0.0.0", 6379));
    all.push(full);
    let rules: Vec<_> = fired(&evidence(all)).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["accept-queue", "close-wait", "exposed"]);
}

#[test]
fn thresholds_can_be_set() {
    let evidence = evidence(vec![Tcp { recv_q: 64, ..listener("10.0.0.1", 80) }]);
    let mut overrides = Overrides::default();
    overrides.add(RULES, "accept-queue.full-percent=40").unwrap();
    assert_eq!(judge(RULES, &overrides, &evidence)[0].severity, WARNING);
    assert_eq!(judged(&evidence), []);
}

/// The rules, as docs/audit.md has them after its own words.
fn documented() -> String {
    let mut text = String::new();
    for rule in RULES {
        text += &format!(
            "\n### {}\n\nFinds {}. Needs {}.\n{}\n",
            rule.name,
            rule.finds,
            rule.needs.name(),
            rule.why
        );
        if !rule.thresholds.is_empty() {
            text += "\n| threshold | | unit | reason |\n|---|---|---|---|\n";
        }
        for threshold in rule.thresholds {
            let Threshold { name, value, unit, reason } = threshold;
            text += &format!("| {name} | {value} | {unit} | {reason} |\n");
        }
    }
    text
}

#[test]
fn the_documentation_has_the_rules_as_they_are() {
    const HEADING: &str = "## Rules\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/audit.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (own, rules) = text.split_once(HEADING).expect("docs/audit.md has a heading for the rules");
    if std::env::var_os("SOCKTRACE_BLESS").is_some() {
        std::fs::write(path, format!("{own}{HEADING}{}", documented())).unwrap();
    } else {
        assert!(rules == documented(), "SOCKTRACE_BLESS=1 cargo test writes docs/audit.md anew");
    }
}
