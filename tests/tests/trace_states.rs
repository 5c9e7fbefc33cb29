//! `socktrace trace` tells each transition once, by the names of ss, with the time that the state
//! before it lasted.

use serde_json::{Value, json};
use socktrace_tests::driver::{Kind, Sock, has_mptcp, join, join_mptcp, parse};
use socktrace_tests::events::{Ended, Events, path};
use socktrace_tests::expect::{end, netns, now_us, owned, without_cgroups};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::stage::Stage;
use socktrace_tests::{actor, firewall, require_root, skip, stage};

fn states<'a>(ended: &'a Ended, sock: &Sock) -> Vec<&'a Value> {
    ended.of(sock.cookie).into_iter().filter(|event| event["event"] == "state").collect()
}

#[test]
fn every_field_of_every_line_is_that_of_the_socket() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut trace, client, server, listener } = stage!("trace");
        let (near, far) = join(&client, &server, &listener);
        client.send(&near, 5);
        server.receive(&far, 5);
        let closed = client.close(&near);
        let ended_at = server.close(&far);
        trace.await_state(near.cookie, "TIME-WAIT");
        trace.await_state(far.cookie, "UNCONN");
        let ended = trace.stop();
        ended.assert_complete();

        let near_path = path(&ended.of(near.cookie));
        assert_eq!(
            near_path,
            ["UNCONN", "SYN-SENT", "ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
        );
        let far_path = path(&ended.of(far.cookie));
        assert_eq!(far_path, ["LISTEN", "SYN-RECV", "ESTAB", "CLOSE-WAIT", "LAST-ACK", "UNCONN"]);
        for (sock, owner) in [(&near, &client), (&far, &server)] {
            let mut before: Option<u64> = None;
            for event in states(&ended, sock) {
                assert_eq!(event["netid"], "tcp", "{event:#}");
                assert_eq!(event["family"], "inet", "{event:#}");
                assert_eq!(event["netns"], netns(), "{event:#}");
                assert_eq!(event["peer"], end(sock.peer()), "{event:#}");
                if event["new_state"] != "SYN-SENT" {
                    assert_eq!(event["local"], end(sock.local), "{event:#}");
                }
                let owners = without_cgroups(event["owners"].clone());
                let learnt = ["own-event", "listener", "acceptor"]
                    .map(|learnt| json!([owned(owner, learnt)]));
                assert!(learnt.contains(&owners), "{event:#}");
                assert!(event.get("error").is_none(), "{event:#}");
                let at = event["time_unix_us"].as_u64().expect("each has a time");
                // What SYN-RECV lasts is the time of no handshake, and not told.
                if event["old_state"] == "SYN-RECV" {
                    assert!(event.get("held_us").is_none(), "{event:#}");
                } else if let Some(before) = before {
                    let held = event["held_us"].as_u64().expect("the state was seen to begin");
                    assert!(held.abs_diff(at - before) <= 1, "{before}: {event:#}");
                }
                before = Some(at);
            }
        }
        let time = |sock: &Sock, state: &str| {
            let events = states(&ended, sock);
            let event = events.iter().find(|event| event["new_state"] == state);
            event.expect("it is there")["time_unix_us"].as_u64().expect("a time")
        };
        for (at, span) in [
            (time(&near, "SYN-SENT"), near.made),
            (time(&near, "ESTAB"), near.made),
            (time(&near, "FIN-WAIT-1"), closed),
            (time(&far, "LAST-ACK"), ended_at),
            (time(&near, "TIME-WAIT"), ended_at),
        ] {
            let range = span.before_us - 1000..=now_us();
            assert!(range.contains(&at), "{at} is not in {range:?}");
        }
    });
}

#[test]
fn time_wait_is_told_where_it_begins_and_nowhere_else() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut trace, client, server, listener } = stage!("trace");
        let (near, far) = join(&client, &server, &listener);
        client.close(&near);
        server.close(&far);
        trace.await_state(near.cookie, "TIME-WAIT");
        // A reset socket has none.
        let (near, far) = join(&client, &server, &listener);
        client.shutdown(&near);
        server.linger_zero(&far);
        server.close(&far);
        trace.await_state(near.cookie, "UNCONN");
        let ended = trace.stop();
        assert_eq!(path(&ended.of(near.cookie)).last().unwrap(), "UNCONN");
    });
}

#[test]
fn nothing_goes_from_a_state_to_itself() {
    require_root!();
    if !has_mptcp() {
        skip!("this kernel has no MPTCP");
    }
    in_namespace(|| {
        let mut trace = Events::start("trace", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let (near, far) = join_mptcp(&client, &server);
        client.close(&near);
        server.close(&far);
        let plain = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &plain);
        client.close(&near);
        server.close(&far);
        trace.await_state(near.cookie, "TIME-WAIT");
        let ended = trace.stop();
        for event in ended.all.iter().filter(|event| event["event"] == "state") {
            assert_ne!(event["old_state"], event["new_state"], "{event:#}");
        }
    });
}

#[test]
fn a_listener_begins_and_ends() {
    require_root!();
    in_namespace(|| {
        let mut trace = Events::start("trace", &[]);
        let server = actor!("server");
        let listener = server.listen("127.0.0.1:0");
        server.close(&listener);
        trace.await_state(listener.cookie, "UNCONN");
        let ended = trace.stop();
        let events = ended.of(listener.cookie);
        assert_eq!(path(&events), ["UNCONN", "LISTEN", "UNCONN"]);
        for event in events {
            assert_eq!(
                without_cgroups(event["owners"].clone()),
                json!([owned(&server, "own-event")])
            );
        }
    });
}

#[test]
fn what_fails_says_why_on_the_line_where_it_does() {
    require_root!();
    in_namespace(|| {
        let mut trace = Events::start("trace", &[]);
        let client = actor!("client");
        let sock = client.socket(Kind::Tcp4);
        let _ = client.try_connect(&sock, parse("127.0.0.1:9"));
        let event = trace.await_state(sock.cookie, "UNCONN");
        assert_eq!(event["error"], "ECONNREFUSED", "{event:#}");
        assert_eq!(event["old_state"], "SYN-SENT");
        if firewall::drop_packets("tcp dport 77") {
            let sock = client.socket(Kind::Tcp4);
            client.unblock(&sock);
            let _ = client.try_connect(&sock, parse("127.0.0.1:77"));
            client.close(&sock);
            let event = trace.await_state(sock.cookie, "UNCONN");
            assert!(event.get("error").is_none(), "{event:#}");
        }
    });
}

#[test]
fn an_error_of_an_earlier_life_is_not_one_of_the_next() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut trace, client, server, listener } = stage!("trace");
        let sock = client.socket(Kind::Tcp4);
        client.bind(&sock, "127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        // A reset that nobody has read stays on the socket.
        server.linger_zero(&far);
        server.close(&far);
        let first = trace.await_state(near.cookie, "UNCONN");
        assert_eq!(first["error"], "ECONNRESET", "{first:#}");
        client.disconnect(&near);
        let again = client.connect_on(&near, listener.local);
        let _far = server.accept(&listener);
        let port = again.local.port();
        let event = trace.await_event(|event| {
            event["cookie"] == near.cookie
                && event["new_state"] == "ESTAB"
                && event["local"]["port"] == port
        });
        let ended = trace.stop();
        let second: Vec<&Value> = ended
            .of(near.cookie)
            .into_iter()
            .filter(|other| other["generation"] == event["generation"])
            .collect();
        assert_eq!(second[0]["new_state"], "SYN-SENT", "{second:#?}");
        for event in second {
            assert!(event.get("error").is_none(), "{event:#}");
            let told = event["local"]["port"].as_u64();
            assert!([None, Some(0), Some(port.into())].contains(&told), "{event:#}");
        }
    });
}

#[test]
fn a_fin_that_is_not_answered_leaves_the_path_as_it_was() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut trace, client, server, listener } = stage!("trace");
        let (near, far) = join(&client, &server, &listener);
        if !firewall::drop_packets(&format!("tcp dport {}", listener.local.port())) {
            skip!("nothing drops packets");
        }
        client.shutdown(&near);
        trace.await_state(near.cookie, "FIN-WAIT-1");
        firewall::pass_all();
        // The retransmitted FIN gets there.
        trace.await_state(far.cookie, "CLOSE-WAIT");
        server.close(&far);
        trace.await_state(near.cookie, "TIME-WAIT");
        let ended = trace.stop();
        assert_eq!(
            path(&ended.of(near.cookie)),
            ["UNCONN", "SYN-SENT", "ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
        );
    });
}
