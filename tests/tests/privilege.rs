//! socktrace needs no root, only what it names, and keeps no more than that.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use rustix::thread::CapabilitySet as Cap;
use socktrace_tests::compare::{Comparison, over_population};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{Running, socktrace, without_capabilities};
use socktrace_tests::require_root;

fn all_but(kept: Cap) -> Vec<Cap> {
    Cap::all().iter_names().map(|(_, one)| one).filter(|one| !kept.contains(*one)).collect()
}

/// Starts a tracing command and waits until it is live.
fn start(arguments: &[&str], taken: &[Cap]) -> Running {
    let mut command = socktrace();
    command.args(arguments);
    without_capabilities(&mut command, taken);
    let running = Running::start(command);
    running.await_message(|line| line.contains("tracing TCP").then_some(()));
    running
}

fn connect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    drop(listener.accept().unwrap());
}

/// A set of capabilities in /proc/PID/status.
fn held(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a set has a line");
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

#[test]
fn a_trace_keeps_one_capability_once_it_is_live() {
    require_root!();
    in_namespace(|| {
        for command in ["trace", "life", "retrans"] {
            let running = start(&[command, "-H"], &[]);
            let pid = running.pid().as_raw_nonzero();
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            for set in ["CapEff", "CapPrm"] {
                assert_eq!(held(&status, set), Cap::BPF.bits(), "{command}: {set}");
            }
            for set in ["CapInh", "CapAmb"] {
                assert_eq!(held(&status, set), 0, "{command}: {set}");
            }
            assert!(status.contains("NoNewPrivs:\t1"), "{command}: {status}");
            connect();
            if command != "retrans" {
                running.await_line(|_| Some(()));
            }
            running.signal(Signal::INT);
            let finished = running.finish();
            assert_eq!(finished.status.code(), Some(0), "{command}: {finished:?}");
        }
    });
}

#[test]
fn two_capabilities_trace_and_tell_what_is_lost() {
    require_root!();
    in_namespace(|| {
        for command in ["trace", "life"] {
            let running =
                start(&[command, "-H", "--ring-size", "4K"], &all_but(Cap::BPF | Cap::PERFMON));
            running.signal(Signal::STOP);
            (0..60).for_each(|_| connect());
            running.signal(Signal::CONT);
            running.await_message(|line| line.contains("the ring was full").then_some(()));
            running.signal(Signal::INT);
            assert_eq!(running.finish().status.code(), Some(3), "{command}");
        }
    });
}

/// What a listing is without some capabilities.
fn print(mut command: Command, taken: &[Cap]) -> String {
    command.args(["-tuxanep", "--cgroup"]).stdin(Stdio::null());
    without_capabilities(&mut command, taken);
    let text = command.output().unwrap().stdout;
    // `ss` prints control characters in names as they are.
    let text = String::from_utf8_lossy(&text).replace("new\nline", "new.line");
    let text = text.replace(|c: char| c.is_control() && c != '\n', ".");
    // Timers move between two listings.
    let words = text.split_inclusive([' ', '\n']).filter(|word| !word.starts_with("timer:"));
    words.collect()
}

#[test]
fn without_any_capability_a_listing_has_what_ss_has() {
    require_root!();
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison: &Comparison| {
        let alone = [
            Cap::NET_ADMIN,
            Cap::SYS_PTRACE,
            Cap::DAC_READ_SEARCH,
            Cap::DAC_OVERRIDE,
            Cap::SYS_ADMIN,
        ];
        let mut sets: Vec<Vec<Cap>> = alone.iter().map(|one| vec![*one]).collect();
        sets.push(all_but(Cap::empty()));
        for taken in sets {
            // A state may end between the two.
            let differs = (0..5).map(|_| {
                let (ours, theirs) =
                    (print(comparison.ours(), &taken), print(comparison.theirs(), &taken));
                let differ = ours.lines().zip(theirs.lines()).find(|(ours, theirs)| ours != theirs);
                differ.map(|(ours, theirs)| format!("without {taken:?}\n-{theirs}\n+{ours}"))
            });
            let always: Option<Vec<String>> = differs.collect();
            assert!(always.is_none(), "{}", always.unwrap_or_default().join("\n"));
        }
    });
}

#[test]
fn what_fails_without_a_capability_names_it() {
    require_root!();
    for (arguments, taken, named) in [
        (&["trace", "--duration", "0s"][..], &[Cap::BPF, Cap::SYS_ADMIN][..], "CAP_BPF"),
        (&["life", "--duration", "0s"], &[Cap::PERFMON, Cap::SYS_ADMIN], "CAP_PERFMON"),
        (&["-tnp", "--owners", "iterator"], &[Cap::BPF, Cap::SYS_ADMIN], "CAP_BPF"),
    ] {
        let mut command = socktrace();
        command.args(arguments).stdin(Stdio::null());
        without_capabilities(&mut command, taken);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
}
