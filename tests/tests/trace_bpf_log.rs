//! The programs log when they are asked to, and are not slowed down when they are not.

use std::net::{TcpListener, TcpStream};

use socktrace_tests::namespace::in_namespace;
use socktrace_tests::require_root;
use socktrace_tests::trace::Trace;

/// How many bytes of instructions the kernel kept of the programs of a trace.
fn kept(trace: &Trace) -> u32 {
    let ids = trace.running().programs();
    assert!(ids.len() >= 2, "the programs were not seen: {ids:?}");
    aya::programs::loaded_programs()
        .flatten()
        .filter(|program| ids.contains(&program.id()))
        .filter_map(|program| program.size_translated())
        .sum()
}

#[test]
fn the_level_decides_what_is_logged() {
    require_root!();
    in_namespace(|| {
        let trace = Trace::start(&["--bpf-log", "debug"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        trace.running().await_message(|line| {
            (line.starts_with("bpf debug: ") && line.contains(" to ")).then_some(())
        });
    });
}

#[test]
fn calls_below_the_level_are_not_in_the_kernel() {
    require_root!();
    let quiet = kept(&Trace::start(&[]));
    let loud = kept(&Trace::start(&["--bpf-log", "debug"]));
    assert!(quiet + 8000 < loud, "{quiet} bytes against {loud}");
}
