//! What an audit tells of namespaces other than the one that it was started in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;
use socktrace_tests::audit::{Audit, Report, await_full, begin, listener};
use socktrace_tests::namespace::{Named, in_namespace};
use socktrace_tests::{require_root, skip};

/// The rules that fire in each namespace.
fn fired() -> BTreeMap<u64, Vec<String>> {
    let audit = Audit::only("accept-queue").of_all_namespaces();
    let output = audit.command().output().expect("socktrace does not run");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let entry = |line: &str| {
        let report: Value = serde_json::from_str(line).expect(line);
        let findings = report["findings"].as_array().unwrap().iter();
        let rules = findings.map(|finding| finding["rule"].as_str().unwrap().to_owned());
        (report["netns"].as_u64().unwrap(), rules.collect())
    };
    text.lines().map(entry).collect()
}

#[test]
fn each_namespace_is_judged_by_itself() {
    require_root!();
    let own = || fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    in_namespace(|| {
        let (_server, address) = listener(4);
        let _clients: Vec<_> = (0..8).map(|_| begin(address)).collect();
        await_full(address, 4);
        let stuck = own();
        in_namespace(|| {
            let (_idle, _) = listener(4);
            let fired = fired();
            assert_eq!(fired[&stuck], ["accept-queue"], "{fired:?}");
            assert_eq!(fired[&own()], [""; 0], "{fired:?}");
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
