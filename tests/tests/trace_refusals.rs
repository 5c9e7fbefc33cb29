//! Where it cannot trace, `socktrace trace` says in one line what is missing.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::thread::CapabilitySet;
use socktrace_tests::cgroup::MemoryGroup;
use socktrace_tests::process::{Running, socktrace, with_empty, with_file, without_capabilities};
use socktrace_tests::{require_linux, require_root, skip};

const BTF: &str = "/sys/kernel/btf/vmlinux";

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

/// The kernel's description of its types, falsified: at each place where a member of this name is
/// described, `change` gets the number of its name and the bit that it is said to begin at.
fn falsified(name: &str, member: &str, change: impl Fn(&mut u32, &mut u32)) -> PathBuf {
    let mut btf = fs::read(BTF).unwrap();
    let word = |btf: &[u8], at: usize| u32::from_ne_bytes(btf[at..at + 4].try_into().unwrap());
    let [header, types, types_length, names] = [4, 8, 12, 16].map(|at| word(&btf, at) as usize);
    let text = format!("\0{member}\0");
    let mut strings = btf[header + names..].windows(text.len());
    let number = strings.position(|window| window == text.as_bytes()).unwrap() as u32 + 1;
    for at in (header + types..header + types + types_length - 8).step_by(4) {
        if word(&btf, at) == number {
            let (mut called, mut begins) = (number, word(&btf, at + 8));
            change(&mut called, &mut begins);
            btf[at..at + 4].copy_from_slice(&called.to_ne_bytes());
            btf[at + 8..at + 12].copy_from_slice(&begins.to_ne_bytes());
        }
    }
    let file = std::env::temp_dir().join(format!("socktrace-btf-{name}-{}", std::process::id()));
    fs::write(&file, btf).unwrap();
    file
}

/// What is said of a program that the kernel refuses, in short and with its log.
fn of_refused_program(falsified: &PathBuf) -> (String, Vec<String>) {
    let mut command = trace();
    with_file(&mut command, BTF, falsified);
    let (code, line) = refusal(command);
    assert_eq!(code, Some(2), "{line}");
    let mut command = trace();
    command.arg("--verifier-log");
    with_file(&mut command, BTF, falsified);
    let finished = Running::start(command).finish();
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    fs::remove_file(falsified).unwrap();
    (line, finished.stderr)
}

#[test]
fn a_program_that_the_verifier_refuses_is_told_in_a_line_and_its_log_on_request() {
    require_root!();
    // Of this member, no socket has room for the value.
    let far = falsified("far", "skc_num", |_, begins| *begins = 8 * 30_000);
    let (line, log) = of_refused_program(&far);
    assert!(line.contains("the kernel refuses the program transition: "), "{line}");
    assert!(line.len() < 200, "{line}");
    let heading =
        log.iter().position(|line| line.contains("the verifier on the program transition"));
    let heading = heading.unwrap_or_else(|| panic!("no log: {log:#?}"));
    assert!(log.len() > heading + 10, "{log:#?}");
    assert!(log.last().unwrap().contains("the kernel refuses the program"), "{log:#?}");
}

#[test]
fn a_kernel_without_a_field_is_refused_by_that_name() {
    require_root!();
    let without = falsified("without", "skc_num", |called, _| *called = 0);
    let (line, log) = of_refused_program(&without);
    assert!(line.contains("lack a field that the program transition reads"), "{line}");
    assert!(log.len() > 2, "{log:#?}");
}

#[test]
fn who_may_not_use_enough_memory_hears_of_it_before_the_kernel_kills() {
    require_root!();
    require_linux!(5, 11, "a control group that is charged for eBPF");
    let Some(group) = MemoryGroup::with_limit(24 << 20) else {
        skip!("no control group here has a limit of memory");
    };
    let mut command = trace();
    group.hold(&mut command);
    let finished = Running::start(command).finish();
    assert_ne!(finished.status.code(), Some(0), "{finished:?}");
    let Some(first) = finished.stderr.first() else { panic!("nothing was said: {finished:?}") };
    assert!(first.contains("limited to 24 MB, and a trace takes 62"), "{finished:?}");
}
