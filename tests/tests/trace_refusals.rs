//! Where it cannot trace, `socktrace trace` says in one line what is missing.

use std::process::Command;

use rustix::thread::CapabilitySet;
use socktrace_tests::process::{Running, socktrace, with_empty, without_capabilities};
use socktrace_tests::require_root;

fn trace() -> Command {
    let mut command = socktrace();
    command.args(["trace", "--duration", "0s"]);
    command
}

/// The exit code and the only line on stderr.
fn refusal(command: Command) -> (Option<i32>, String) {
    let finished = Running::start(command).finish();
    assert!(finished.stdout.is_empty(), "{finished:?}");
    let [line] = &finished.stderr[..] else { panic!("not one line: {finished:?}") };
    (finished.status.code(), line.clone())
}

#[test]
fn missing_capabilities_are_named() {
    require_root!();
    use CapabilitySet as Cap;
    for (dropped, named) in [
        (&[Cap::BPF, Cap::PERFMON, Cap::SYS_ADMIN][..], "lacks CAP_BPF and CAP_PERFMON"),
        (&[Cap::PERFMON, Cap::SYS_ADMIN], "lacks CAP_PERFMON"),
        (&[Cap::BPF, Cap::SYS_ADMIN], "lacks CAP_BPF"),
    ] {
        let mut command = trace();
        without_capabilities(&mut command, dropped);
        let (code, line) = refusal(command);
        assert_eq!(code, Some(2));
        assert!(line.contains(named), "{line}");
    }
}

#[test]
fn two_capabilities_suffice() {
    require_root!();
    let mut command = trace();
    let others: Vec<CapabilitySet> = CapabilitySet::all()
        .iter_names()
        .map(|(_, capability)| capability)
        .filter(|one| !(CapabilitySet::BPF | CapabilitySet::PERFMON).contains(*one))
        .collect();
    without_capabilities(&mut command, &others);
    let finished = Running::start(command).finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
}

#[test]
fn a_kernel_without_btf_is_refused() {
    require_root!();
    let mut command = trace();
    with_empty(&mut command, "/sys/kernel/btf");
    let (code, line) = refusal(command);
    assert_eq!(code, Some(2));
    assert!(line.contains("/sys/kernel/btf/vmlinux"), "{line}");
}

#[test]
fn wrong_usage_is_told_in_a_line() {
    for (arg, named) in
        [("--nonsense", "--nonsense"), ("--count=x", "--count"), ("--ring-size=1", "--ring-size")]
    {
        let mut command = socktrace();
        command.args(["trace", arg]);
        let (code, line) = refusal(command);
        assert_eq!(code, Some(255), "{line}");
        assert!(line.contains(named), "{line}");
    }
}
