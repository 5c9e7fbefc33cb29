//! What an audit tells of namespaces other than the one that it was started in.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;
use serde_json::Value;
use socktrace_tests::audit::{Audit, Report, await_full, begin, listener};
use socktrace_tests::namespace::{Named, in_namespace};
use socktrace_tests::process::Running;
use socktrace_tests::{require_root, skip, wait};

/// The rules that fire in each namespace, by the lines of all their reports.
fn fired<'t>(reports: impl Iterator<Item = &'t str>) -> BTreeMap<u64, Vec<String>> {
    let entry = |line: &str| {
        let report: Value = serde_json::from_str(line).expect(line);
        let findings = report["findings"].as_array().unwrap().iter();
        let rules = findings.map(|finding| finding["rule"].as_str().unwrap().to_owned());
        (report["netns"].as_u64().unwrap(), rules.collect())
    };
    reports.map(entry).collect()
}

/// The number of the namespace that this is in.
fn own() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").unwrap().ino()
}

#[test]
fn each_namespace_is_judged_by_itself() {
    require_root!();
    in_namespace(|| {
        let (_server, address) = listener(4);
        let _clients: Vec<_> = (0..8).map(|_| begin(address)).collect();
        await_full(address, 4);
        let stuck = own();
        in_namespace(|| {
            let (_idle, _) = listener(4);
            let audit = Audit::only("accept-queue").of_all_namespaces();
            let output = audit.command().output().expect("socktrace does not run");
            let fired = fired(str::from_utf8(&output.stdout).expect("JSON is UTF-8").lines());
            assert_eq!(fired[&stuck], ["accept-queue"], "{fired:?}");
            assert_eq!(fired[&own()], [""; 0], "{fired:?}");
        });
    });
}

#[test]
fn what_happens_while_it_watches_counts_where_it_happens() {
    require_root!();
    let named = Named::new("watched");
    let busy = named.inside(own);
    let refused = || {
        let (server, address) = listener(4);
        drop(server);
        (0..10).for_each(|_| drop(TcpStream::connect(address).unwrap_err()));
    };
    in_namespace(|| {
        let audit = Audit::only("connect-failed").of_all_namespaces().watching("1h");
        wait::until("a watch without losses", || {
            let running = Running::start(audit.command());
            running.await_message(|line| line.contains("watching").then_some(()));
            named.inside(refused);
            running.signal(Signal::INT);
            let finished = running.finish();
            let fired = fired(finished.stdout.iter().map(String::as_str));
            assert_eq!(fired[&own()], [""; 0], "{fired:?}");
            (fired[&busy] == ["connect-failed"]).then_some(())
        });
    });
}

#[test]
fn the_limits_of_the_host_are_judged_in_every_namespace_and_their_lack_is_said() {
    require_root!();
    if !fs::exists("/proc/sys/net/ipv4/tcp_mem").unwrap() {
        skip!("only the first network namespace shows tcp_mem");
    }
    let named = Named::new("limits");
    // There is always so much.
    let audit = Audit::only("tcp-memory").with("tcp-memory.pressure-percent=0");
    let report = audit.clone().of(named.name()).report();
    assert_eq!(report.severity("tcp-memory"), Some("warning"), "{report:?}");
    let is_said = |report: &Report| report.unseen.iter().any(|what| what.contains("tcp_mem"));
    assert!(!is_said(&report), "{report:?}");
    let command = &report.finding("tcp-memory").unwrap()["command"];
    assert_eq!(*command, format!("socktrace -N {} -tnpm", named.name()), "it looks there, too");

    let report = named.inside(|| audit.report());
    assert!(report.finding("tcp-memory").is_none() && is_said(&report), "{report:?}");
    let report = named.inside(|| Audit::only("close-wait").report());
    assert!(!is_said(&report), "nobody asked: {report:?}");
}
