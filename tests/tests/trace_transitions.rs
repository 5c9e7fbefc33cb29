//! `socktrace trace` reports the transitions of each socket, all of them and no others.

use std::net::SocketAddr;

use rustix::process::Signal;
use socktrace_tests::driver::{Actor, Kind, Sock, parse};
use socktrace_tests::expect::learnt_of_acceptors;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::trace::{Line, Trace};
use socktrace_tests::{actor, require_root};

const ACTIVE: &[&str] = &["UNCONN", "SYN-SENT", "ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"];
const PASSIVE: &[&str] = &["LISTEN", "SYN-RECV", "ESTAB", "CLOSE-WAIT", "LAST-ACK", "UNCONN"];

/// A connection that was opened, used and closed by the client first: both ends.
fn connect(client: &Actor, server: &Actor, listener: &Sock, to: SocketAddr) -> (Sock, Sock) {
    let near = client.connect(to);
    let far = server.accept(listener);
    client.send(&near, 1000);
    client.close(&near);
    server.receive(&far, 1000);
    assert_eq!(server.receive_end(&far), Ok(()));
    server.close(&far);
    (near, far)
}

#[test]
fn each_transition_of_each_socket_is_there_once() {
    require_root!();
    in_namespace(|| {
        let mut trace = Trace::start(&[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let listener = server.listen("127.0.0.1:0");
        let connections: Vec<(Sock, Sock)> =
            (0..50).map(|_| connect(&client, &server, &listener, listener.local)).collect();
        server.close(&listener);

        let ends = connections.iter().flat_map(|(near, far)| [near.cookie, far.cookie]);
        let cookies: Vec<u64> = ends.chain([listener.cookie]).collect();
        trace.await_end(&cookies);
        assert_eq!(trace.path(listener.cookie), ["UNCONN", "LISTEN", "UNCONN"]);
        for (near, far) in &connections {
            assert_eq!(trace.path(near.cookie), ACTIVE);
            assert_eq!(trace.path(far.cookie), PASSIVE);
        }
        let finished = trace.stop(Signal::INT);
        assert!(finished.status.success(), "{finished:?}");
    });
}

#[test]
fn addresses_owners_and_counters_are_those_of_the_socket() {
    require_root!();
    in_namespace(|| {
        let mut trace = Trace::start(&[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = connect(&client, &server, &listener, listener.local);
        trace.await_end(&[near.cookie, far.cookie]);

        for line in trace.of(near.cookie) {
            assert_eq!(line.netid, "tcp");
            assert_eq!(line.peer, near.peer().to_string());
            // The kernel chooses the port after the first transition; it is filled in.
            assert_eq!(line.local, near.local.to_string());
            if line.to != "SYN-SENT" {
                assert_ne!(line.held, "-", "{line:?}");
            }
            assert_eq!(line.process, format!("client[{}]", client.pid), "{line:?}");
        }
        for line in trace.of(far.cookie) {
            assert_eq!(line.local, far.local.to_string());
            // Before, it is not accepted; until it is closed, the server does nothing to it.
            let own = match learnt_of_acceptors() {
                "acceptor" => !["SYN-RECV", "ESTAB"].contains(&&*line.to),
                _ => ["LAST-ACK", "UNCONN"].contains(&&*line.to),
            };
            let mark = if own { "" } else { "*" };
            assert_eq!(line.process, format!("server[{}]{mark}", server.pid), "{line:?}");
        }
        // SYN and FIN count as a byte each; of the peer, the FIN does.
        let last = trace.of(near.cookie).last().unwrap();
        assert_eq!(last.detail("bytes_acked"), Some("1002"));
        let last = trace.of(far.cookie).last().unwrap();
        assert_eq!(last.detail("bytes_received"), Some("1001"));
    });
}

#[test]
fn mapped_and_plain_ipv6_addresses_look_as_in_ss() {
    require_root!();
    in_namespace(|| {
        let mut trace = Trace::start(&[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let listener = server.listen("[::]:0");
        let port = listener.local.port();
        let to = |host: &str| parse(&format!("{host}:{port}"));
        let (mapped, mapped_far) = connect(&client, &server, &listener, to("127.0.0.1"));
        let (plain, plain_far) = connect(&client, &server, &listener, to("[::1]"));
        trace.await_end(&[mapped_far.cookie, plain_far.cookie, plain.cookie]);

        let last = |sock: &Sock| trace.of(sock.cookie).last().unwrap();
        assert_eq!(last(&mapped_far).local, format!("[::ffff:127.0.0.1]:{port}"));
        let from = mapped.local.port();
        assert_eq!(last(&mapped_far).peer, format!("[::ffff:127.0.0.1]:{from}"));
        assert_eq!(last(&plain_far).local, format!("[::1]:{port}"));
        assert_eq!(last(&plain).peer, format!("[::1]:{port}"));
    });
}

#[test]
fn a_refused_connection_says_so() {
    require_root!();
    in_namespace(|| {
        let trace = Trace::start(&[]);
        let client = actor!("client");
        let sock = client.socket(Kind::Tcp4);
        // Nobody listens in a new namespace.
        client.try_connect(&sock, parse("127.0.0.1:9")).1.unwrap_err();
        let line = trace.running().await_line(|line| {
            let line = Line::parse(line);
            (line.cookie == sock.cookie && line.to == "UNCONN").then_some(line)
        });
        assert_eq!(line.peer, "127.0.0.1:9");
        assert_eq!(line.from, "SYN-SENT");
        assert_eq!(line.detail("error"), Some("ECONNREFUSED"));
    });
}
