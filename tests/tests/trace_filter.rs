//! Filters of `life`, `trace` and `retrans`: only what was asked for is told, and the rest never
//! reaches the ring.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};

use rustix::process::Signal;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{Finished, Running, socktrace};
use socktrace_tests::require_root;

fn address(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// Opens and closes a connection some times, and tells the port of the client's end of the last.
fn connect(listener: &TcpListener, times: usize) -> u16 {
    let mut port = 0;
    for _ in 0..times {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        port = client.local_addr().unwrap().port();
        drop((client, server));
    }
    port
}

/// What a command tells of what `act` does, in columns.
fn told(arguments: &[&str], act: impl FnOnce()) -> (Vec<Vec<String>>, Finished) {
    let mut command = socktrace();
    command.args(arguments).arg("--no-header");
    let running = Running::start(command);
    running.await_message(|line| line.contains("tracing").then_some(()));
    act();
    running.signal(Signal::INT);
    let finished = running.finish();
    let columns = |line: &String| line.split_whitespace().map(str::to_owned).collect();
    (finished.stdout.iter().map(columns).collect(), finished)
}

#[test]
fn of_many_connections_the_one_that_was_asked_for_is_told() {
    require_root!();
    in_namespace(|| {
        let (busy, other) =
            (TcpListener::bind(address(7201)).unwrap(), TcpListener::bind(address(7202)).unwrap());
        let netns = std::fs::metadata("/proc/thread-self/ns/net").unwrap();
        let netns = std::os::unix::fs::MetadataExt::ino(&netns);
        let pid = std::process::id();
        for filter in [
            "dport = :7202".to_owned(),
            format!("netns = {netns} and dport = :7202"),
            format!("pid = {pid} and dport = :7202"),
            "uid = root and dst 127/8:7202".to_owned(),
            "dport = :7202 and state = established and end = closed".to_owned(),
            "( dport = :7202 or dport = :7203 ) and duration < 1m".to_owned(),
        ] {
            let mut port = 0;
            // Ends of connections that nobody asked for would fill this ring many times.
            let (lines, finished) = told(&["life", "--ring-size", "4K", &filter], || {
                connect(&busy, 200);
                port = connect(&other, 1);
                connect(&busy, 200);
            });
            assert_eq!(lines.len(), 1, "{filter}: {lines:?}");
            assert_eq!(lines[0][4], format!("127.0.0.1:{port}"), "{filter}");
            assert!(finished.status.success(), "{filter}: events were lost");
        }
    });
}

#[test]
fn what_only_userspace_can_judge_is_judged_there() {
    require_root!();
    in_namespace(|| {
        let listener = TcpListener::bind(address(7201)).unwrap();
        let netns = std::fs::metadata("/proc/thread-self/ns/net").unwrap();
        let here = format!("netns = {}", std::os::unix::fs::MetadataExt::ino(&netns));
        for (filter, count) in [
            ("opened = active", 2),
            ("opened = passive or opened = active", 4),
            ("not opened = active", 2),
            ("end = refused", 0),
            ("sport = :7201 and unit != no-such.service", 2),
        ] {
            let filter = format!("{here} and ( {filter} )");
            let (lines, _) = told(&["life", &filter], || _ = connect(&listener, 2));
            assert_eq!(lines.len(), count, "{filter}: {lines:?}");
        }
        let refused = |arguments: &[&str]| {
            told(arguments, || {
                connect(&listener, 2);
                assert!(TcpStream::connect(address(7209)).is_err());
            })
            .0
        };
        assert_eq!(refused(&["life", "--failed", &here]).len(), 1);
        assert_eq!(refused(&["life", "--longer-than", "1m", &here]).len(), 0);
        assert_eq!(refused(&["life", "--shorter-than", "1m", &here]).len(), 5);
    });
}

#[test]
fn transitions_are_chosen_by_their_states_and_by_a_port_that_is_known_later() {
    require_root!();
    in_namespace(|| {
        let listener = TcpListener::bind(address(7201)).unwrap();
        let netns = std::fs::metadata("/proc/thread-self/ns/net").unwrap();
        let here = format!("netns = {}", std::os::unix::fs::MetadataExt::ino(&netns));
        for (filter, count) in [
            ("state syn-sent", 2),
            ("state = syn-recv", 2),
            ("dport = :7201 and oldstate = syn-sent", 2),
            ("sport = :7201 and newstate = established", 2),
            // The port of SYN-SENT is chosen after the event.
            ("newstate = syn-sent and sport > :0 and sport != :7201", 2),
            ("newstate = established and pid = 1", 0),
        ] {
            let text = match filter.strip_prefix("state syn-sent") {
                Some(_) => format!("{filter} {here}"),
                None => format!("{here} and {filter}"),
            };
            let (lines, _) = told(&["trace", &text], || _ = connect(&listener, 2));
            assert_eq!(lines.len(), count, "{text}: {lines:?}");
        }
    });
}

#[test]
fn a_filter_that_is_wrong_is_refused_before_anything_is_traced() {
    for (command, status) in [("life", 255), ("trace", 255), ("retrans", 255)] {
        let output = socktrace().args([command, "dprot = :80"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command} {status}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("did you mean dport?"), "{stderr}");
        let output = socktrace().args([command, "dport ="]).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{command}");
    }
}
