//! However `socktrace trace` ends: at once, with the right words, and nothing left behind.

use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{Running, socktrace};
use socktrace_tests::trace::Trace;
use socktrace_tests::{require_root, wait};

/// Waits until the kernel has freed programs.
fn await_gone(ids: &[u32]) {
    assert!(ids.len() >= 2, "the programs were not seen: {ids:?}");
    wait::until("programs to be gone", || {
        let loaded: Vec<u32> =
            aya::programs::loaded_programs().flatten().map(|program| program.id()).collect();
        (!ids.iter().any(|id| loaded.contains(id))).then_some(())
    });
}

/// One connection, opened and closed.
fn connect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap();
}

#[test]
fn a_signal_ends_it_and_everything_is_detached() {
    require_root!();
    for signal in [Signal::INT, Signal::TERM] {
        let trace = Trace::start(&[]);
        let ids = trace.running().programs();
        let finished = trace.stop(signal);
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        await_gone(&ids);
    }
}

#[test]
fn even_kill_leaves_nothing() {
    require_root!();
    let trace = Trace::start(&[]);
    let ids = trace.running().programs();
    trace.stop(Signal::KILL);
    await_gone(&ids);
}

#[test]
fn a_duration_ends_it() {
    require_root!();
    let finished = {
        let mut command = socktrace();
        command.args(["trace", "--duration", "100ms"]);
        Running::start(command).finish()
    };
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(finished.stdout[0].starts_with("Time "), "{finished:?}");
}

#[test]
fn a_count_ends_it_after_as_many_lines() {
    require_root!();
    in_namespace(|| {
        let mut command = socktrace();
        command.args(["trace", "-H", "--count", "3"]);
        let running = Running::start(command);
        running.await_message(|line| line.contains("tracing").then_some(()));
        connect();
        let finished = running.finish();
        assert_eq!(finished.stdout.len(), 3, "{finished:?}");
        // On a slow machine an event may interrupt another, and then is said to be lost.
        let is_said = finished.stderr.iter().any(|line| line.contains("they interrupted an event"));
        let code = if is_said { 3 } else { 0 };
        assert_eq!(finished.status.code(), Some(code), "{finished:?}");
    });
}

#[test]
fn a_closed_pipe_ends_it_without_an_event() {
    require_root!();
    let mut command = socktrace();
    command.args(["trace", "-H"]);
    let (running, pipe) = Running::start_unread(command);
    running.await_message(|line| line.contains("tracing").then_some(()));
    drop(pipe);
    let finished = running.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
}

#[test]
fn lost_events_are_counted_and_told() {
    require_root!();
    in_namespace(|| {
        let trace = Trace::start(&["--ring-size", "4K"]);
        // While it cannot read, the ring fills: it has room for fewer than 22 events.
        trace.running().signal(Signal::STOP);
        for _ in 0..10 {
            connect();
        }
        trace.running().signal(Signal::CONT);
        let message =
            trace.running().await_message(|line| line.contains("lost").then(|| line.to_owned()));
        assert!(message.contains(" on CPU "), "{message}");
        assert!(message.contains("the ring was full"), "{message}");
        let finished = trace.stop(Signal::INT);
        assert_eq!(finished.status.code(), Some(3), "{finished:?}");
        assert!(finished.stderr.iter().any(|line| line.contains("the output has gaps")));
    });
}
