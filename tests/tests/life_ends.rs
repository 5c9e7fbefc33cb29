//! `socktrace life` says how each connection ended, and by whom, in words that are not guessed.

use rustix::io::Errno;
use rustix::process::Signal;
use serde_json::Value;
use socktrace_tests::driver::{Kind, Sock, Span, has_mptcp, join, join_mptcp, parse};
use socktrace_tests::events::Events;
use socktrace_tests::expect::{Life, PASSIVE, now_us};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::socktrace;
use socktrace_tests::stage::Stage;
use socktrace_tests::{actor, firewall, require_root, skip, stage, wait};

/// Nothing listens in a new namespace.
const NOBODY: &str = "127.0.0.1:9";
/// The kernel's number.
const TCP_CLOSING: u8 = 11;

fn assert_fields(event: &Value, wanted: &[(&str, &str)]) {
    for (key, value) in wanted {
        let is = event.get(key).and_then(Value::as_str).unwrap_or("absent");
        assert_eq!(is, *value, "{key} of {event:#}");
    }
}

fn states(event: &Value) -> Vec<&str> {
    let states = event["states"].as_array().expect("a path");
    states.iter().map(|state| state.as_str().expect("states are words")).collect()
}

/// What is known of a connection that was never made.
fn failed(sock: &Sock, to: &str, event: &Value) {
    assert_eq!(event["cookie"], sock.cookie);
    assert_eq!(event["opened"], "active", "{event:#}");
    assert_eq!(states(event), ["SYN-SENT"], "{event:#}");
    assert_eq!(event["peer"]["port"], parse(to).port(), "{event:#}");
    assert!(event.get("connect_us").is_none(), "{event:#}");
    assert_eq!((&event["bytes_sent"], &event["bytes_received"]), (&0.into(), &0.into()));
    assert!(event.get("closed_by").is_none(), "{event:#}");
}

/// Whether it lasted until `ended` at least, which the event is told after.
fn assert_lasted(event: &Value, began: Span, ended: Span) {
    let duration = event["duration_us"].as_u64().expect("it was seen from the start");
    let shortest = ended.before_us.saturating_sub(began.after_us);
    let longest = now_us() - began.before_us;
    assert!((shortest..=longest).contains(&duration), "not {shortest} to {longest}: {event:#}");
}

#[test]
fn the_peer_closed_first() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        server.send(&far, 1000);
        client.receive(&near, 1000);
        let closed = server.close(&far);
        let ended = client.close(&near);
        let mut wanted = Life::of_client(&near, &client, ended).bytes(0, 1000);
        wanted.states = [&["SYN-SENT"], &PASSIVE[1..]].concat();
        wanted.closed_by = Some("peer");
        wanted.assert_is(&life.await_life(near.cookie));
        let mut wanted = Life::of_server(&far, &server, &near, closed.until(ended)).bytes(1000, 0);
        wanted.states = vec!["SYN-RECV", "ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"];
        wanted.closed_by = Some("us");
        wanted.assert_is(&life.await_life(far.cookie));
    });
}

#[test]
fn both_closed_at_once() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        // Neither hears the other's FIN until it has sent its own.
        client.deafen(&near);
        server.deafen(&far);
        client.shutdown(&near);
        server.shutdown(&far);
        // The server's FIN comes again, and knows nothing of the client's.
        client.undeafen(&near);
        wait::until("the FINs to cross", || (client.state(&near) == TCP_CLOSING).then_some(()));
        server.undeafen(&far);
        let event = life.await_life(near.cookie);
        assert_fields(&event, &[("end", "closed"), ("closed_by", "both")]);
        assert_eq!(states(&event)[2..], ["FIN-WAIT-1", "CLOSING", "TIME-WAIT"], "{event:#}");
        assert_fields(&life.await_life(far.cookie), &[("end", "closed")]);
    });
}

#[test]
fn a_connection_that_both_ends_opened_came_by_syn_recv() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let client = actor!("client");
        // Nobody listens: what answers the SYN is the SYN.
        let itself = "127.0.0.1:40405";
        let sock = client.socket(Kind::Tcp4);
        client.bind(&sock, itself);
        let sock = client.connect_on(&sock, parse(itself));
        client.close(&sock);
        let event = life.await_life(sock.cookie);
        assert_fields(&event, &[("opened", "active"), ("end", "closed"), ("closed_by", "both")]);
        let path = ["SYN-SENT", "SYN-RECV", "ESTAB", "FIN-WAIT-1", "CLOSING", "TIME-WAIT"];
        assert_eq!(states(&event), path, "{event:#}");
    });
}

#[test]
fn a_half_closed_connection_ends_when_the_other_half_does() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        client.send(&near, 10);
        let shut = client.shutdown(&near);
        server.receive(&far, 10);
        assert_eq!(server.receive_end(&far), Ok(()));
        server.send(&far, 20_000);
        client.receive(&near, 20_000);
        let ended = server.close(&far);
        client.close(&near);
        Life::of_client(&near, &client, shut.until(ended))
            .bytes(10, 20_000)
            .assert_is(&life.await_life(near.cookie));
        Life::of_server(&far, &server, &near, ended)
            .bytes(20_000, 10)
            .assert_is(&life.await_life(far.cookie));
    });
}

#[test]
fn refused() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let client = actor!("client");
        let sock = client.socket(Kind::Tcp4);
        let (span, result) = client.try_connect(&sock, parse(NOBODY));
        assert_eq!(result, Err(Errno::CONNREFUSED));
        client.close(&sock);
        let event = life.await_life(sock.cookie);
        failed(&sock, NOBODY, &event);
        assert_fields(&event, &[("end", "refused"), ("error", "ECONNREFUSED")]);
        assert_lasted(&event, Span { before_us: span.before_us, after_us: span.after_us }, span);
        assert_ne!(event["local"]["port"], 0, "{event:#}");
        // Closing the socket raises an error report of its own, which is none.
        let ended = life.stop();
        ended.assert_complete();
        assert_eq!(ended.of(sock.cookie).len(), 1);
    });
}

#[test]
fn an_mptcp_connection_ends_as_its_subflow_did() {
    require_root!();
    in_namespace(|| {
        if !has_mptcp() {
            skip!("this kernel has no MPTCP");
        }
        let mut life = Events::start("life", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let sock = client.socket(Kind::Mptcp4);
        let (_, result) = client.try_connect(&sock, parse(NOBODY));
        assert_eq!(result, Err(Errno::CONNREFUSED));
        client.close(&sock);
        let event = life.await_life(sock.cookie);
        assert_fields(&event, &[("end", "refused"), ("error", "ECONNREFUSED")]);

        let (near, far) = join_mptcp(&client, &server);
        client.linger_zero(&near);
        client.close(&near);
        assert_fields(&life.await_life(near.cookie), &[("end", "reset"), ("reset_by", "us")]);
        assert_fields(&life.await_life(far.cookie), &[("end", "reset"), ("reset_by", "peer")]);
        server.close(&far);
    });
}

#[test]
fn timed_out() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        if !firewall::drop_packets("tcp dport 77") {
            skip!("nothing drops packets");
        }
        let client = actor!("client");
        let sock = client.socket(Kind::Tcp4);
        client.set(&sock, libc::IPPROTO_TCP, libc::TCP_SYNCNT, 1);
        // If the call waited, its failure would reset the kernel's counters.
        client.unblock(&sock);
        let (began, result) = client.try_connect(&sock, parse("127.0.0.1:77"));
        assert_eq!(result, Err(Errno::INPROGRESS));
        let event = life.await_life(sock.cookie);
        let ended = client.send_fails(&sock, Errno::TIMEDOUT);
        failed(&sock, "127.0.0.1:77", &event);
        assert_fields(&event, &[("end", "timeout"), ("error", "ETIMEDOUT")]);
        assert_eq!(event["retrans"], client.total_retrans(&sock), "{event:#}");
        assert_lasted(&event, began, Span { before_us: began.after_us + 2_900_000, ..ended });
    });
}

#[test]
fn unreachable() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        if !firewall::reject_packets("tcp dport 78") {
            skip!("nothing rejects packets");
        }
        let client = actor!("client");
        let sock = client.socket(Kind::Tcp4);
        let (_, result) = client.try_connect(&sock, parse("127.0.0.1:78"));
        assert_eq!(result, Err(Errno::HOSTUNREACH));
        let event = life.await_life(sock.cookie);
        failed(&sock, "127.0.0.1:78", &event);
        assert_fields(&event, &[("end", "unreachable"), ("error", "EHOSTUNREACH")]);
    });
}

#[test]
fn given_up_by_its_own_process() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        if !firewall::drop_packets("tcp dport 77") {
            skip!("nothing drops packets");
        }
        let client = actor!("client");
        let sock = client.socket(Kind::Tcp4);
        client.unblock(&sock);
        let (began, result) = client.try_connect(&sock, parse("127.0.0.1:77"));
        assert_eq!(result, Err(Errno::INPROGRESS));
        let ended = client.close(&sock);
        let event = life.await_life(sock.cookie);
        failed(&sock, "127.0.0.1:77", &event);
        assert_fields(&event, &[("end", "aborted"), ("error", "absent")]);
        assert_lasted(&event, began, ended);
    });
}

#[test]
fn reset_by_either_side_is_told_on_the_lines_of_both() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");

        let (near, far) = join(&client, &server, &listener);
        client.linger_zero(&near);
        let reset = client.close(&near);
        assert_eq!(server.receive_end(&far), Err(Errno::CONNRESET));
        server.close(&far);
        let event = life.await_life(near.cookie);
        assert_fields(&event, &[("end", "reset"), ("reset_by", "us"), ("closed_by", "absent")]);
        assert_lasted(&event, near.made, reset);
        let event = life.await_life(far.cookie);
        assert_fields(&event, &[("end", "reset"), ("reset_by", "peer"), ("error", "ECONNRESET")]);
        assert_lasted(&event, near.made, reset);

        let (near, far) = join(&client, &server, &listener);
        server.linger_zero(&far);
        server.close(&far);
        assert_eq!(client.receive_end(&near), Err(Errno::CONNRESET));
        client.close(&near);
        let event = life.await_life(near.cookie);
        assert_fields(&event, &[("end", "reset"), ("reset_by", "peer")]);
        let event = life.await_life(far.cookie);
        assert_fields(&event, &[("end", "reset"), ("reset_by", "us")]);
    });
}

#[test]
fn a_close_with_unread_data_is_a_reset_by_us() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        client.send(&near, 100);
        server.close(&far);
        assert_eq!(client.receive_end(&near), Err(Errno::CONNRESET));
        client.close(&near);
        let event = life.await_life(far.cookie);
        assert_fields(&event, &[("end", "reset"), ("reset_by", "us")]);
        if let Some(reason) = event.get("reason") {
            assert_eq!(reason, "TCP_ABORT_ON_CLOSE", "{event:#}");
        }
        let event = life.await_life(near.cookie);
        assert_fields(&event, &[("end", "reset"), ("reset_by", "peer")]);
    });
}

#[test]
fn the_owner_ended_by_a_signal_closes_as_any_other() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        client.signal(Signal::KILL);
        assert_eq!(server.receive_end(&far), Ok(()));
        server.close(&far);
        let event = life.await_life(near.cookie);
        assert_fields(&event, &[("end", "closed"), ("closed_by", "us")]);
        assert_eq!(event["owners"][0]["pid"], client.pid);
    });
}

#[test]
fn a_connection_that_was_killed_by_an_administrator_was_aborted() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        let mut kill = socktrace();
        kill.args(["-K", "-tnH", "src", &near.local.to_string()]);
        let output = kill.output().expect("socktrace runs");
        if output.stdout.is_empty() {
            skip!("this kernel kills no sockets");
        }
        let event = life.await_life(near.cookie);
        assert_fields(&event, &[("end", "aborted"), ("error", "ECONNABORTED")]);
        // Who asked for it does not own it.
        assert_eq!(event["owners"][0]["pid"], client.pid, "{event:#}");
        // The peer hears of it by a reset.
        let event = life.await_life(far.cookie);
        assert_fields(&event, &[("end", "reset"), ("reset_by", "peer")]);
    });
}

#[test]
fn a_connection_whose_peer_fell_silent_timed_out() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        server.deafen(&far);
        client.set(&near, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 300);
        client.send(&near, 11);
        let event = life.await_life(near.cookie);
        assert_fields(&event, &[("end", "timeout"), ("error", "ETIMEDOUT")]);
        assert_ne!(event["bytes"], "exact", "nobody knows how much arrived: {event:#}");
        assert!(event["retrans"].as_u64() > Some(0), "{event:#}");
    });
}

#[test]
fn a_socket_that_was_reset_is_told_when_that_happens_and_not_when_it_is_closed() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        client.linger_zero(&near);
        let reset = client.close(&near);
        // The server has not even noticed.
        let event = life.await_life(far.cookie);
        assert_lasted(&event, near.made, reset);
        server.close(&far);
        let ended = life.stop();
        assert_eq!(ended.of(far.cookie).len(), 1);
    });
}

#[test]
fn an_orphan_in_fin_wait_2_does_not_wait_for_its_peer() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, _far) = join(&client, &server, &listener);
        let closed = client.close(&near);
        // The kernel goes on with a socket that is no full one, while the peer has not closed.
        let event = life.await_life(near.cookie);
        assert_fields(&event, &[("end", "closed"), ("closed_by", "us")]);
        assert_lasted(&event, near.made, closed);
    });
}
