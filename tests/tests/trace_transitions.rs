//! `socktrace trace` reports the transitions of each socket, all of them and no others.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process;

use rustix::process::Signal;
use socktrace_tests::expect::learnt_of_acceptors;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::require_root;
use socktrace_tests::trace::{Line, Trace, cookie};

const ACTIVE: &[&str] = &["UNCONN", "SYN-SENT", "ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"];
const PASSIVE: &[&str] = &["LISTEN", "SYN-RECV", "ESTAB", "CLOSE-WAIT", "LAST-ACK", "UNCONN"];

/// A connection that was opened, used and closed by the client first.
struct Connection {
    client: u64,
    server: u64,
    client_addr: SocketAddr,
    server_addr: SocketAddr,
}

fn connect(listener: &TcpListener, to: SocketAddr) -> Connection {
    let mut client = TcpStream::connect(to).unwrap();
    let (mut server, peer) = listener.accept().unwrap();
    let connection = Connection {
        client: cookie(&client),
        server: cookie(&server),
        client_addr: client.local_addr().unwrap(),
        server_addr: client.peer_addr().unwrap(),
    };
    assert_eq!(peer.port(), connection.client_addr.port());
    client.write_all(&[7; 1000]).unwrap();
    drop(client);
    server.read_to_end(&mut Vec::new()).unwrap();
    connection
}

#[test]
fn each_transition_of_each_socket_is_there_once() {
    require_root!();
    socktrace_tests::require_linux!(5, 12, "a trace tells no cookies");
    in_namespace(|| {
        let mut trace = Trace::start(&[]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listening = cookie(&listener);
        let addr = listener.local_addr().unwrap();
        let connections: Vec<Connection> = (0..50).map(|_| connect(&listener, addr)).collect();
        drop(listener);

        let ends = connections.iter().flat_map(|c| [c.client, c.server]);
        let cookies: Vec<u64> = ends.chain([listening]).collect();
        trace.await_end(&cookies);
        assert_eq!(trace.path(listening), ["UNCONN", "LISTEN", "UNCONN"]);
        for connection in &connections {
            assert_eq!(trace.path(connection.client), ACTIVE);
            assert_eq!(trace.path(connection.server), PASSIVE);
        }
        let finished = trace.stop(Signal::INT);
        assert!(finished.status.success(), "{finished:?}");
    });
}

#[test]
fn addresses_owners_and_counters_are_those_of_the_socket() {
    require_root!();
    socktrace_tests::require_linux!(5, 12, "a trace tells no cookies");
    in_namespace(|| {
        let mut trace = Trace::start(&[]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = connect(&listener, listener.local_addr().unwrap());
        trace.await_end(&[connection.client, connection.server]);

        let me = format!("[{}]", process::id());
        for line in trace.of(connection.client) {
            assert_eq!(line.netid, "tcp");
            assert_eq!(line.peer, connection.server_addr.to_string());
            // The kernel chooses the port after the first transition; it is filled in.
            assert_eq!(line.local, connection.client_addr.to_string());
            if line.to != "SYN-SENT" {
                assert_ne!(line.held, "-", "{line:?}");
            }
            assert!(line.process.ends_with(&me), "{line:?}");
        }
        for line in trace.of(connection.server) {
            assert_eq!(line.local, connection.server_addr.to_string());
            // Before, it is not accepted; until it is closed, the server does nothing to it.
            let own = match learnt_of_acceptors() {
                "acceptor" => !["SYN-RECV", "ESTAB"].contains(&&*line.to),
                _ => ["LAST-ACK", "UNCONN"].contains(&&*line.to),
            };
            let process = if own { me.clone() } else { format!("{me}*") };
            assert!(line.process.ends_with(&process), "{line:?}");
        }
        // SYN and FIN count as a byte each; of the peer, the FIN does.
        let last = trace.of(connection.client).last().unwrap();
        assert_eq!(last.detail("bytes_acked"), Some("1002"));
        let last = trace.of(connection.server).last().unwrap();
        assert_eq!(last.detail("bytes_received"), Some("1001"));
    });
}

#[test]
fn mapped_and_plain_ipv6_addresses_look_as_in_ss() {
    require_root!();
    socktrace_tests::require_linux!(5, 12, "a trace tells no cookies");
    in_namespace(|| {
        let mut trace = Trace::start(&[]);
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mapped = connect(&listener, SocketAddr::from(([127, 0, 0, 1], port)));
        let plain = connect(&listener, (IpAddr::V6(Ipv6Addr::LOCALHOST), port).into());
        trace.await_end(&[mapped.server, plain.server, plain.client]);

        let last = |cookie| trace.of(cookie).last().unwrap();
        assert_eq!(last(mapped.server).local, format!("[::ffff:127.0.0.1]:{port}"));
        let from = mapped.client_addr.port();
        assert_eq!(last(mapped.server).peer, format!("[::ffff:127.0.0.1]:{from}"));
        assert_eq!(last(plain.server).local, format!("[::1]:{port}"));
        assert_eq!(last(plain.client).peer, format!("[::1]:{port}"));
    });
}

#[test]
fn a_refused_connection_says_so() {
    require_root!();
    socktrace_tests::require_linux!(5, 12, "a trace tells no cookies");
    in_namespace(|| {
        let trace = Trace::start(&[]);
        // Nobody listens in a new namespace.
        TcpStream::connect("127.0.0.1:9").unwrap_err();
        let line = trace.running().await_line(|line| {
            let line = Line::parse(line);
            (line.peer == "127.0.0.1:9" && line.to == "UNCONN").then_some(line)
        });
        assert_eq!(line.from, "SYN-SENT");
        assert_eq!(line.detail("error"), Some("ECONNREFUSED"));
    });
}
