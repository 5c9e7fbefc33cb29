//! `--json` of traces: what the schema promises.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::process::Signal;
use serde_json::Value;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{Running, socktrace};
use socktrace_tests::require_root;
use socktrace_tests::schema::Schema;

/// Connections that are accepted, refused and reset.
fn connections() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    drop((client, server));
    let client = TcpStream::connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    rustix::net::sockopt::set_socket_linger(&client, Some(std::time::Duration::ZERO)).unwrap();
    drop((client, server));
    drop(listener);
    assert!(TcpStream::connect(address).is_err());
}

/// The events of a command, by their names.
fn events(command: &str) -> Vec<Value> {
    let schema = Schema::of_socktrace();
    let mut running = socktrace();
    running.args(command.split(' '));
    let running = Running::start(running);
    running.await_message(|line| line.contains("tracing TCP").then_some(()));
    in_namespace(connections);
    running.signal(Signal::INT);
    let finished = running.finish();
    let events: Vec<Value> = finished
        .stdout
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?}")))
        .collect();
    events.iter().for_each(|event| schema.check_entry(event));
    events
}

#[test]
fn every_event_is_as_the_schema_says() {
    require_root!();
    for (command, wanted) in [("trace --json", &["state", "reset"][..]), ("life --json", &["life"])]
    {
        let events = events(command);
        for name in wanted {
            assert!(events.iter().any(|event| event["event"] == *name), "{command}: no {name}");
        }
    }
}
