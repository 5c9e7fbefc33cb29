//! What an audit says of what happened while it watched: failed connects, churn, and the report
//! that Ctrl-C gives.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use rustix::process::Signal;
use socktrace_tests::audit::{
    Audit, Report, TcpState, await_full, begin, listed, listener, own_pid,
};
use socktrace_tests::namespace::{Neighbour, add_address, in_namespace};
use socktrace_tests::process::{Running, without_capabilities};
use socktrace_tests::{require_root, wait};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 1);
/// That of another host.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 2);

/// Audits while `body` runs, and ends the watch by Ctrl-C. Others on this host may do so much that
/// events are lost: then it is done again.
fn watching(audit: Audit, body: impl Fn()) -> Report {
    wait::until("a trace without losses", || {
        let report = run(audit.clone().watching("1h").command(), &body);
        let is_complete = !report.unseen.iter().any(|what| what.contains("lost event"));
        is_complete.then_some(report)
    })
}

/// Waits until all that has been closed has come to its end, or to TIME-WAIT.
fn await_ends() {
    wait::until("the connections to end", || {
        let is_over = |state| matches!(state, TcpState::TimeWait | TcpState::Listen);
        listed().iter().all(|socket| is_over(socket.state)).then_some(())
    });
}

fn run(command: Command, body: impl FnOnce()) -> Report {
    let running = Running::start(command);
    running.await_message(|line| line.contains("watching").then_some(()));
    body();
    running.signal(Signal::INT);
    let finished = running.finish();
    let text = finished.stdout.join("\n");
    Report::parse(&text, finished.status.code()).unwrap_or_else(|error| {
        panic!("{error}: {finished:?}");
    })
}

fn refused(address: SocketAddr, times: usize) {
    for _ in 0..times {
        TcpStream::connect(address).unwrap_err();
    }
}

#[test]
fn a_service_on_loopback_that_others_ask_for_is_named_first() {
    require_root!();
    in_namespace(|| {
        add_address(ADDRESS);
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let report = watching(Audit::of_all(), || refused((ADDRESS, 8080).into(), 5));
        assert_eq!(report.fired(), [("loopback-only", "critical")], "{report:?}");
        assert_eq!(report.code, Some(20));
        let what = report.what("loopback-only");
        assert!(what.contains("listens on 127.0.0.1:8080 only; 5 connects"), "{what}");
        drop(server);

        let _everywhere = TcpListener::bind("0.0.0.0:8080").unwrap();
        let report =
            watching(Audit::of_all(), || drop(TcpStream::connect((ADDRESS, 8080)).unwrap()));
        assert_eq!(report.fired(), [], "it can be reached");
    });
}

#[test]
fn a_service_on_loopback_is_named_when_other_hosts_ask_for_it() {
    require_root!();
    in_namespace(|| {
        let neighbour = Neighbour::join(ADDRESS, FAR);
        let service = TcpListener::bind("127.0.0.1:8080").unwrap();
        let ask = |port| neighbour.run(move || refused((ADDRESS, port).into(), 3));
        let report = watching(Audit::of_all(), || ask(8080));
        assert_eq!(report.fired(), [("loopback-only", "critical")], "{report:?}");
        let rows = report.finding("loopback-only").unwrap()["evidence"].as_array().unwrap();
        let asked = rows.iter().find(|row| row["client_addr"] == FAR.to_string());
        assert_eq!(asked.map(|row| row["refused"].as_u64()), Some(Some(3)), "{report:?}");

        let report = watching(Audit::of_all(), || ask(8081));
        assert_eq!(report.fired(), [], "nobody serves it: whoever asks is told over there");
        drop(service);
        let _inside = TcpListener::bind((ADDRESS, 8080)).unwrap();
        let report = watching(Audit::of_all(), || {
            neighbour.run(|| drop(TcpStream::connect((ADDRESS, 8080)).unwrap()));
        });
        assert_eq!(report.fired(), [], "it can be reached");
    });
}

#[test]
fn connects_that_are_refused_are_named_by_who_tries_and_where() {
    require_root!();
    in_namespace(|| {
        let (server, address) = listener(4);
        drop(server);
        let report = watching(Audit::of_all(), || refused(address, 10));
        assert_eq!(report.fired(), [("connect-failed", "warning")], "{report:?}");
        assert_eq!(report.pids("connect-failed"), own_pid());
        let row = &report.finding("connect-failed").unwrap()["evidence"][0];
        assert_eq!(row["error"], "ECONNREFUSED");
        assert_eq!(row["count"], 10);
        let report = watching(Audit::of_all(), || refused(address, 2));
        assert_eq!(report.fired(), [], "a restart");
    });
}

#[test]
fn who_has_used_up_the_ports_is_named_though_time_wait_has_no_process() {
    require_root!();
    in_namespace(|| {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40099").unwrap();
        fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "0").unwrap();
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let address = server.local_addr().unwrap();
        while let Ok(client) = TcpStream::connect(address) {
            let accepted = server.accept().unwrap().0;
            client.shutdown(Shutdown::Write).unwrap();
            drop(accepted);
        }
        let report = watching(Audit::of_all(), || {
            let error = TcpStream::connect(address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        });
        assert_eq!(report.fired()[0], ("ephemeral-ports", "critical"), "{report:?}");
        assert_eq!(report.pids("ephemeral-ports"), own_pid());
        let what = report.what("ephemeral-ports");
        assert!(what.contains("1 connect failed for want of one"), "{what}");
    });
}

#[test]
fn short_connections_are_counted_by_who_opens_them_and_where() {
    require_root!();
    in_namespace(|| {
        let (server, address) = listener(64);
        let audit = Audit::only("churn").with("churn.rate=0.001");
        let report = watching(audit.clone(), || {
            for _ in 0..100 {
                let client = TcpStream::connect(address).unwrap();
                drop((server.accept().unwrap(), client));
            }
            await_ends();
        });
        assert_eq!(report.fired(), [("churn", "note")], "{report:?}");
        assert_eq!(report.pids("churn"), own_pid());
        let row = &report.finding("churn").unwrap()["evidence"][0];
        assert_eq!(row["count"], 100);

        let (open, close) = (TcpStream::connect(address).unwrap(), server.accept().unwrap());
        let report = watching(audit, || ());
        assert_eq!(report.fired(), [], "one that stays open");
        drop((open, close));
    });
}

#[test]
fn without_the_privilege_to_trace_the_rest_is_judged_and_the_lack_said() {
    use rustix::thread::CapabilitySet;
    require_root!();
    in_namespace(|| {
        let (_server, address) = listener(4);
        let _clients: Vec<_> = (0..8).map(|_| begin(address)).collect();
        await_full(address, 4);
        let mut command = Audit::of_all().watching("1h").command();
        let tracing = CapabilitySet::SYS_ADMIN | CapabilitySet::BPF | CapabilitySet::PERFMON;
        without_capabilities(&mut command, &tracing.iter().collect::<Vec<_>>());
        let report = run(command, || ());
        assert_eq!(report.fired()[0], ("accept-queue", "critical"), "{report:?}");
        assert!(report.unseen.iter().any(|what| what.contains("connect-failed")), "{report:?}");
    });
}
