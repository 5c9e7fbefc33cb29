//! `socktrace trace` tells an MPTCP connection as one, and its subflows as parts of it.

use serde_json::Value;
use socktrace_tests::driver::{Actor, Sock, has_mptcp, join_mptcp};
use socktrace_tests::events::{Ended, Events, path};
use socktrace_tests::expect::{end, is_here};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::{actor, require_root, skip};

/// An accepted connection has the cookie of its listener, so that it takes the peer to tell it.
fn is_of(event: &Value, sock: &Sock, netid: &str) -> bool {
    is_here(event)
        && event["event"] == "state"
        && event["netid"] == netid
        && event["local"]["port"] == sock.local.port()
        && event["peer"]["port"] == sock.peer().port()
}

fn await_end(trace: &mut Events, sock: &Sock) {
    for netid in ["mptcp", "tcp"] {
        trace.await_event(|event| {
            let state = event["new_state"].as_str();
            is_of(event, sock, netid) && matches!(state, Some("UNCONN" | "TIME-WAIT"))
        });
    }
}

/// Compares what was told of one end; the states that it began with, as connection and as subflow.
fn check(ended: &Ended, sock: &Sock, owner: &Actor, whole: &[&str], part: &[&str]) {
    let of = |netid| -> Vec<&Value> {
        ended.all.iter().filter(|event| is_of(event, sock, netid)).collect()
    };
    for (events, states) in [(of("mptcp"), whole), (of("tcp"), part)] {
        assert_eq!(path(&events)[..states.len()], *states, "{events:#?}");
        for event in events {
            assert_eq!(event["owners"][0]["pid"], owner.pid, "{event:#}");
            assert_eq!((&event["local"], &event["peer"]), (&end(sock.local), &end(sock.peer())));
        }
    }
    for event in of("mptcp") {
        assert_eq!(event["cookie"], sock.cookie, "{event:#}");
        assert!(event.get("subflow").is_none(), "{event:#}");
    }
    for event in of("tcp") {
        assert_ne!(event["cookie"], sock.cookie, "{event:#}");
        assert_eq!(
            (&event["subflow"], &event["mptcp_cookie"]),
            (&true.into(), &sock.cookie.into())
        );
    }
}

#[test]
fn a_connection_goes_its_own_path_and_its_subflows_name_it() {
    require_root!();
    if !has_mptcp() {
        skip!("this kernel has no MPTCP");
    }
    in_namespace(|| {
        let mut trace = Events::start("trace", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let (near, far) = join_mptcp(&client, &server);
        client.send(&near, 1234);
        server.receive(&far, 1234);
        client.close(&near);
        server.receive_end(&far).expect("it hears of it");
        server.close(&far);
        await_end(&mut trace, &near);
        await_end(&mut trace, &far);
        let ended = trace.stop();
        ended.assert_complete();
        let active = ["UNCONN", "SYN-SENT", "ESTAB", "FIN-WAIT-1"];
        check(&ended, &near, &client, &active, &active[..3]);
        // The handshake is the subflow's.
        let passive = ["LISTEN", "ESTAB", "CLOSE-WAIT", "LAST-ACK", "UNCONN"];
        check(&ended, &far, &server, &passive, &["LISTEN", "SYN-RECV", "ESTAB"]);
    });
}
