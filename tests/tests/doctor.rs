//! `socktrace doctor` says what is so: each thing that is taken away shows, by its name.

use std::collections::BTreeMap;
use std::process::Command;

use rustix::thread::CapabilitySet;
use serde_json::Value;
use socktrace_tests::process::{Running, socktrace, with_empty, without_capabilities};
use socktrace_tests::require_root;

/// The verdict of each finding, and the exit code.
fn examine(prepare: impl FnOnce(&mut Command)) -> (BTreeMap<String, String>, Option<i32>) {
    let mut command = socktrace();
    command.args(["doctor", "--json"]);
    prepare(&mut command);
    let finished = Running::start(command).finish();
    assert!(finished.stderr.is_empty(), "{finished:?}");
    let findings: Vec<Value> = serde_json::from_str(&finished.stdout.join("\n")).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let verdicts = findings.iter().map(|finding| {
        assert!(!text(finding, "detail").is_empty());
        assert!(!text(finding, "area").is_empty());
        (text(finding, "name"), text(finding, "verdict"))
    });
    (verdicts.collect(), finished.status.code())
}

#[test]
fn text_and_json_have_the_same_findings() {
    let (verdicts, _) = examine(|_| {});
    let mut command = socktrace();
    command.arg("doctor");
    let finished = Running::start(command).finish();
    for (name, verdict) in &verdicts {
        let start = format!("  {verdict:<8} {name} ");
        assert!(
            finished.stdout.iter().any(|line| line.starts_with(&start)),
            "{start}: {finished:?}"
        );
    }
    let lacking = |verdict: &String| ["limited", "missing"].contains(&verdict.as_str());
    let code = if verdicts.values().any(lacking) { 2 } else { 0 };
    assert_eq!(finished.status.code(), Some(code), "{finished:?}");
}

#[test]
fn a_table_works_if_a_listing_of_it_has_what_only_the_kernel_tells() {
    require_root!();
    let (verdicts, _) = examine(|_| {});
    for (table, option) in [("tcp", "-tlneH"), ("udp", "-uaneH")] {
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = socktrace();
        command.arg(option);
        let listing = Running::start(command).finish().stdout;
        let has_cookies = listing.iter().any(|line| line.contains("sk:"));
        if !listing.is_empty() {
            assert_eq!(verdicts[table] == "works", has_cookies, "{table}");
        }
    }
}

#[test]
fn each_capability_that_is_taken_away_shows() {
    require_root!();
    use CapabilitySet as Cap;
    let (whole, _) = examine(|_| {});
    for (taken, name, fails) in [
        (
            &[Cap::BPF, Cap::SYS_ADMIN][..],
            "CAP_BPF",
            &["programs", "acceptors", "iterator", "ring buffer"][..],
        ),
        (&[Cap::PERFMON, Cap::SYS_ADMIN], "CAP_PERFMON", &["programs", "acceptors", "iterator"]),
        (&[Cap::NET_ADMIN], "CAP_NET_ADMIN", &[]),
        (&[Cap::DAC_READ_SEARCH], "CAP_DAC_READ_SEARCH", &[]),
        (&[Cap::SYS_PTRACE], "CAP_SYS_PTRACE", &[]),
        (&[Cap::SYS_ADMIN], "CAP_SYS_ADMIN", &["namespaces"]),
    ] {
        let (verdicts, code) = examine(|command| without_capabilities(command, taken));
        assert_eq!(code, Some(2), "without {name}");
        for lacking in fails.iter().chain([&name]) {
            assert_ne!(verdicts[*lacking], "works", "{lacking} without {name}");
        }
        for (finding, verdict) in whole.iter().filter(|(finding, _)| !finding.starts_with("CAP_")) {
            // What another capability of those taken away bears on may fail as well.
            let others = ["owners", "namespaces"];
            if !fails.contains(&finding.as_str()) && !others.contains(&finding.as_str()) {
                assert_eq!(verdicts[finding], *verdict, "{finding} without {name}");
            }
        }
    }
}

#[test]
fn a_kernel_without_types_cannot_trace() {
    require_root!();
    let (verdicts, code) = examine(|command| with_empty(command, "/sys/kernel/btf"));
    assert_eq!(verdicts["types"], "missing");
    assert_eq!(verdicts["programs"], "missing");
    assert_eq!(code, Some(2));
}

#[test]
fn a_machine_without_proc_has_no_owners() {
    require_root!();
    let (verdicts, code) = examine(|command| with_empty(command, "/proc"));
    assert_eq!(verdicts["owners"], "missing");
    assert_eq!(code, Some(2));
}
