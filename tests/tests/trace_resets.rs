//! `socktrace trace` reports resets, sent and received, with the kernel's reason where it tells
//! one, also those that no socket sends.

use rustix::io::Errno;
use serde_json::Value;
use socktrace_tests::driver::{Kind, join, parse};
use socktrace_tests::events::Events;
use socktrace_tests::expect::{end, is_here};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::stage::Stage;
use socktrace_tests::{actor, require_linux, require_root, stage};

fn is_reset(event: &Value, cookie: u64, direction: &str) -> bool {
    event["event"] == "reset" && event["cookie"] == cookie && event["direction"] == direction
}

/// Kernels before 6.10 tell no reason.
fn assert_reason(event: &Value, wanted: &str) {
    if let Some(reason) = event.get("reason") {
        assert_eq!(reason, wanted, "{event:#}");
    }
}

#[test]
fn an_abortive_close_is_sent_by_one_and_received_by_the_other() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut trace, client, server, listener } = stage!("trace");
        let (near, far) = join(&client, &server, &listener);
        client.linger_zero(&near);
        client.close(&near);
        let event = trace.await_event(|event| is_reset(event, near.cookie, "sent"));
        assert_eq!((&event["local"], &event["peer"]), (&end(near.local), &end(near.peer())));
        assert_eq!(event["owners"][0]["pid"], client.pid, "{event:#}");
        assert_reason(&event, "TCP_STATE");
        let event = trace.await_event(|event| is_reset(event, far.cookie, "received"));
        assert_eq!((&event["local"], &event["peer"]), (&end(far.local), &end(far.peer())));
        // It is told before the transition that it causes.
        assert_eq!(event["state"], "ESTAB", "{event:#}");
        trace.await_state(far.cookie, "UNCONN");
        let ended = trace.stop();
        let kinds: Vec<&str> = ended
            .of(far.cookie)
            .iter()
            .map(|event| event["event"].as_str().expect("a kind"))
            .skip_while(|kind| *kind == "state")
            .collect();
        assert_eq!(kinds, ["reset", "state"]);
    });
}

#[test]
fn unread_data_makes_the_close_a_reset() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut trace, client, server, listener } = stage!("trace");
        let (near, far) = join(&client, &server, &listener);
        client.send(&near, 10);
        server.close(&far);
        let event = trace.await_event(|event| is_reset(event, far.cookie, "sent"));
        assert_reason(&event, "TCP_ABORT_ON_CLOSE");
        assert_eq!(event["owners"][0]["pid"], server.pid, "{event:#}");
        trace.await_event(|event| is_reset(event, near.cookie, "received"));
    });
}

#[test]
fn a_closed_port_answers_without_a_socket() {
    require_root!();
    require_linux!(6, 10, "a reset that no socket sends is an event");
    in_namespace(|| {
        let mut trace = Events::start("trace", &[]);
        let client = actor!("client");
        let sock = client.socket(Kind::Tcp4);
        client.bind(&sock, "127.0.0.1:50505");
        let (_, result) = client.try_connect(&sock, parse("127.0.0.1:9"));
        assert_eq!(result, Err(Errno::CONNREFUSED));
        let event = trace.await_event(|event| {
            is_here(event)
                && event["event"] == "reset"
                && event["direction"] == "sent"
                && event["local"]["port"] == 9
                && event["peer"]["port"] == 50505
        });
        assert_reason(&event, "NO_SOCKET");
        assert!(event.get("cookie").is_none(), "{event:#}");
        assert!(event["owners"].as_array().is_none_or(Vec::is_empty), "{event:#}");
        trace.await_event(|event| is_reset(event, sock.cookie, "received"));
    });
}
