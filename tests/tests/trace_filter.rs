//! Filters of `life`, `trace` and `retrans`: only what was asked for is told, and the rest never
//! reaches the ring.

use rustix::process::Signal;
use socktrace_tests::driver::{Actor, Kind, Sock, join, parse};
use socktrace_tests::expect::netns;
use socktrace_tests::namespace::{await_closed, in_namespace};
use socktrace_tests::process::{Finished, Running, socktrace};
use socktrace_tests::{actor, require_root};

/// Two that talk, over either of two ports.
struct Talkers {
    client: Actor,
    server: Actor,
    busy: Sock,
    other: Sock,
}

impl Talkers {
    fn new() -> Talkers {
        let (client, server) = (actor!("client"), actor!("server"));
        let (busy, other) = (server.listen("127.0.0.1:7201"), server.listen("127.0.0.1:7202"));
        Talkers { client, server, busy, other }
    }

    /// Opens and closes a connection some times; the client's end of the last.
    fn connect(&self, listener: &Sock, times: usize) -> Sock {
        let connections = (0..times).map(|_| {
            let (near, far) = join(&self.client, &self.server, listener);
            self.client.close(&near);
            self.server.close(&far);
            near
        });
        connections.last().expect("more often than never")
    }

    fn is_refused(&self) {
        let sock = self.client.socket(Kind::Tcp4);
        self.client.try_connect(&sock, parse("127.0.0.1:7209")).1.expect_err("nobody listens");
        self.client.close(&sock);
    }
}

/// What a command tells of what `act` does, in columns; `count` lines are awaited.
fn told(arguments: &[&str], count: usize, act: impl FnOnce()) -> (Vec<Vec<String>>, Finished) {
    let mut command = socktrace();
    command.args(arguments).arg("--no-header");
    let running = Running::start(command);
    running.await_message(|line| line.contains("tracing").then_some(()));
    act();
    await_closed();
    let mut lines: Vec<String> = (0..count).map_while(|_| running.line()).collect();
    running.signal(Signal::INT);
    let finished = running.finish();
    lines.extend(finished.stdout.iter().cloned());
    let columns = |line: &String| line.split_whitespace().map(str::to_owned).collect();
    (lines.iter().map(columns).collect(), finished)
}

/// A filter for this namespace, in which nobody else is.
fn here(filter: &str) -> String {
    format!("netns = {} and ( {filter} )", netns())
}

#[test]
fn of_many_connections_the_one_that_was_asked_for_is_told() {
    require_root!();
    in_namespace(|| {
        let talkers = Talkers::new();
        let pid = talkers.client.pid;
        for filter in [
            "dport = :7202".to_owned(),
            here("dport = :7202"),
            format!("pid = {pid} and dport = :7202"),
            "uid = root and dst 127/8:7202".to_owned(),
            "dport = :7202 and state = established and end = closed".to_owned(),
            "( dport = :7202 or dport = :7203 ) and duration < 1h".to_owned(),
        ] {
            let mut port = 0;
            // Ends of connections that nobody asked for would fill this ring many times.
            let (lines, finished) = told(&["life", "--ring-size", "4K", &filter], 1, || {
                talkers.connect(&talkers.busy, 100);
                port = talkers.connect(&talkers.other, 1).local.port();
                talkers.connect(&talkers.busy, 100);
            });
            assert_eq!(lines.len(), 1, "{filter}: {lines:?}");
            assert_eq!(lines[0][5], format!("127.0.0.1:{port}"), "{filter}");
            assert!(finished.status.success(), "{filter}: events were lost");
        }
    });
}

#[test]
fn what_only_userspace_can_judge_is_judged_there() {
    require_root!();
    in_namespace(|| {
        let talkers = Talkers::new();
        let act = || {
            talkers.connect(&talkers.busy, 2);
            talkers.is_refused();
        };
        for (filter, count) in [
            ("opened = active", 3),
            ("opened = passive or opened = active", 5),
            ("not opened = active", 2),
            ("end = refused", 1),
            ("end = timeout", 0),
            ("sport = :7201 and unit != no-such.service", 2),
        ] {
            let (lines, _) = told(&["life", &here(filter)], count, act);
            assert_eq!(lines.len(), count, "{filter}: {lines:?}");
        }
        let all = format!("netns = {}", netns());
        for (option, count) in
            [(&["--failed"][..], 1), (&["--longer-than", "1h"], 0), (&["--shorter-than", "1h"], 5)]
        {
            let (lines, _) = told(&[&["life"], option, &[&all]].concat(), count, act);
            assert_eq!(lines.len(), count, "{option:?}: {lines:?}");
        }
    });
}

#[test]
fn transitions_are_chosen_by_their_states_and_by_a_port_that_is_known_later() {
    require_root!();
    in_namespace(|| {
        let talkers = Talkers::new();
        for (filter, count) in [
            (format!("state syn-sent netns = {}", netns()), 2),
            (here("state = syn-recv"), 2),
            (here("dport = :7201 and oldstate = syn-sent"), 2),
            (here("sport = :7201 and newstate = established"), 2),
            // The port of SYN-SENT is chosen after the event.
            (here("newstate = syn-sent and sport > :0 and sport != :7201"), 2),
            (here("newstate = established and pid = 1"), 0),
        ] {
            let act = || _ = talkers.connect(&talkers.busy, 2);
            let (lines, _) = told(&["trace", &filter], count, act);
            assert_eq!(lines.len(), count, "{filter}: {lines:?}");
        }
    });
}

#[test]
fn a_filter_that_is_wrong_is_refused_before_anything_is_traced() {
    for command in ["life", "trace", "retrans"] {
        for (filter, status, said) in
            [("dprot = :80", 1, "did you mean dport?"), ("dport =", 255, "dport =")]
        {
            let output = socktrace().args([command, filter]).output().unwrap();
            assert_eq!(output.status.code(), Some(status), "{command} {filter}");
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(stderr.contains(said), "{stderr}");
        }
    }
}
