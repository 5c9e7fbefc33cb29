//! `-E` prints what `ss -E` prints, event by event.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use socktrace_tests::namespace::in_namespace;
use socktrace_tests::oracle::oracle;
use socktrace_tests::process::{Running, socktrace};
use socktrace_tests::{require_root, skip, wait};

/// The port of the sockets that are destroyed last.
const LAST: u16 = 41599;

/// How many sockets of this namespace listen to sock_diag's announcements.
fn followers() -> usize {
    let table = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let sock_diag = table.lines().skip(1).filter(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (protocol, groups) = (fields.next(), fields.nth(1));
        protocol == Some("4") && groups.is_some_and(|groups| groups != "00000000")
    });
    sock_diag.count()
}

fn live_and_die() {
    for (server, client) in [("127.0.0.1:41500", "127.0.0.1"), ("[::1]:41501", "[::1]")] {
        let listener = TcpListener::bind(server).unwrap();
        let connected = TcpStream::connect(server).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop((accepted, connected, listener));
        drop(UdpSocket::bind((client.trim_matches(['[', ']']), 41502)).unwrap());
    }
    drop(UdpSocket::bind(("127.0.0.1", LAST)).unwrap());
    drop(TcpListener::bind(("127.0.0.1", LAST)).unwrap());
}

/// All lines up to that of the last socket, sorted: the kernel announces from a queue on each CPU.
fn lines(tool: &Running) -> Vec<String> {
    let mut lines = Vec::new();
    tool.await_line(|line| {
        lines.push(line.to_owned());
        line.contains(&LAST.to_string()).then_some(())
    });
    lines.sort();
    lines
}

#[test]
fn destroyed_sockets_are_announced_alike() {
    require_root!();
    let Some(oracle) = oracle() else {
        return skip::report("there is no ss new enough (cargo xtask oracle)");
    };
    for options in ["-Etn", "-Eun", "-Etne", "-E4tnO", "-E6tn -4", "-EtnH"] {
        in_namespace(|| {
            let start = |mut command: Command| {
                command.args(options.split(' '));
                Running::start(command)
            };
            let theirs = start(Command::new(oracle.path()));
            let ours = start(socktrace());
            wait::until("both to follow", || (followers() == 2).then_some(()));
            live_and_die();
            assert_eq!(lines(&theirs), lines(&ours), "{options}");
        });
    }
}
