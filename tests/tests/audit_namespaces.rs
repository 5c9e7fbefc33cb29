//! An audit of all network namespaces tells of each.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;
use socktrace_tests::audit::{Audit, await_full, begin, listener};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::require_root;

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
