//! `socktrace trace` beside another tracer at the same tracepoint: the same transitions, and the
//! same process wherever the other's can be believed.

use std::collections::HashMap;
use std::process::Command;

use serde_json::Value;
use socktrace_tests::driver::{Actor, Sock, join};
use socktrace_tests::events::{Events, path};
use socktrace_tests::expect::netns;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{Running, with_tracefs};
use socktrace_tests::{actor, require_root, skip};

/// The names of the kernel's numbers.
const STATES: [&str; 12] = [
    "?",
    "ESTAB",
    "SYN-SENT",
    "SYN-RECV",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "UNCONN",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
];
const CLOSE: usize = 7;

/// What bpftrace tells of a transition.
#[derive(Debug)]
struct Step {
    old: usize,
    new: usize,
    /// Whether a process had locked the socket, so that the running one is at work on it.
    is_locked: bool,
    pid: u32,
}

/// bpftrace, live; `None` where it cannot be.
fn bpftrace() -> Option<Running> {
    Command::new("bpftrace").arg("-V").output().ok()?;
    let program = "
        BEGIN { printf(\"live\\n\"); }
        tracepoint:sock:inet_sock_set_state {
            $sk = (struct sock *)args->skaddr;
            if ($sk->__sk_common.skc_net.net->ns.inum == NETNS) {
                printf(\"%llx %llu %d %d %d %d\\n\", args->skaddr,
                    $sk->__sk_common.skc_cookie.counter, args->oldstate, args->newstate,
                    $sk->sk_lock.owned, pid);
            }
        }";
    let mut command = Command::new("bpftrace");
    command.args(["-B", "line", "-e", &program.replace("NETNS", &netns().to_string())]);
    with_tracefs(&mut command);
    let running = Running::start(command);
    while running.line()? != "live" {}
    Some(running)
}

/// What it tells of sockets until all of them have closed, by cookie: a socket has none before
/// somebody asks, and its place in the kernel is soon another's.
fn steps(bpftrace: &Running, cookies: &[u64]) -> HashMap<u64, Vec<Step>> {
    let mut open: HashMap<String, Vec<Step>> = HashMap::new();
    let mut closed = HashMap::new();
    while !cookies.iter().all(|cookie| closed.contains_key(cookie)) {
        let line = bpftrace.line().expect("bpftrace goes on");
        let words: Vec<&str> = line.split(' ').collect();
        let [place, cookie, old, new, locked, pid] = words[..] else { continue };
        let number = |word: &str| word.parse::<u64>().expect("a number");
        let step = Step {
            old: number(old) as usize,
            new: number(new) as usize,
            is_locked: number(locked) == 1,
            pid: number(pid) as u32,
        };
        let is_end = step.new == CLOSE && step.old != CLOSE;
        let steps = open.entry(place.to_owned()).or_default();
        if step.old != step.new {
            steps.push(step);
        }
        if is_end {
            closed.insert(number(cookie), open.remove(place).expect("it is there"));
        }
    }
    closed
}

#[test]
fn transitions_and_owners_are_those_that_bpftrace_sees() {
    require_root!();
    in_namespace(|| {
        let Some(peer) = bpftrace() else { skip!("bpftrace does not run here") };
        let mut trace = Events::start("trace", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let listener = server.listen("127.0.0.1:0");
        let ends: Vec<(Sock, Sock)> =
            (0..20).map(|i| talk(&client, &server, &listener, i)).collect();
        server.close(&listener);
        let owned: Vec<(&Sock, &Actor)> = ends
            .iter()
            .flat_map(|(near, far)| [(near, &client), (far, &server)])
            .chain([(&listener, &server)])
            .collect();

        let cookies: Vec<u64> = owned.iter().map(|(sock, _)| sock.cookie).collect();
        let theirs = steps(&peer, &cookies);
        let mut misled = 0;
        for (sock, owner) in owned {
            trace.await_event(|event| {
                let state = event["new_state"].as_str();
                event["cookie"] == sock.cookie && matches!(state, Some("UNCONN" | "TIME-WAIT"))
            });
            let ours = trace.of(sock.cookie);
            let steps = &theirs[&sock.cookie];
            let mut names: Vec<&str> = vec![STATES[steps[0].old]];
            names.extend(steps.iter().map(|step| STATES[step.new]));
            let mut path = path(&ours);
            // The one thing that the tracepoint does not tell.
            path.iter_mut().filter(|name| *name == "TIME-WAIT").for_each(|name| {
                "UNCONN".clone_into(name);
            });
            assert_eq!(path, names, "{ours:#?}");

            let transitions = ours.iter().filter(|event| event["event"] == "state");
            for (event, step) in transitions.zip(steps) {
                assert_eq!(pid(event), owner.pid, "{event:#}");
                if step.is_locked {
                    assert_eq!(step.pid, owner.pid, "{step:?}");
                } else {
                    misled += usize::from(step.pid != owner.pid);
                }
            }
        }
        assert!(misled > 0, "on loopback, one end runs the events of the other");
    });
}

/// A connection that ends in one of several ways.
fn talk(client: &Actor, server: &Actor, listener: &Sock, i: usize) -> (Sock, Sock) {
    let (near, far) = join(client, server, listener);
    client.send(&near, 10);
    server.receive(&far, 10);
    let ((first, one), (second, other)) = match i % 2 {
        0 => ((client, &near), (server, &far)),
        _ => ((server, &far), (client, &near)),
    };
    if i % 4 < 2 {
        first.shutdown(one);
        second.receive_end(other).expect("it hears of it");
    } else {
        first.linger_zero(one);
    }
    first.close(one);
    second.close(other);
    (near, far)
}

fn pid(event: &Value) -> u32 {
    event["owners"][0]["pid"].as_u64().expect("it has an owner") as u32
}
