//! `socktrace retrans` tells what was sent again, of which kind and in which phase, and counts as
//! the kernel does.

use std::fs;
use std::process::Command;

use rustix::io::Errno;
use serde_json::Value;
use socktrace_tests::driver::{Kind, Sock, join, parse};
use socktrace_tests::events::Events;
use socktrace_tests::expect::{end, is_here, owned, without_cgroups};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::stage::Stage;
use socktrace_tests::{actor, firewall, require_linux, require_root, skip, stage, wait};

/// An address that nothing else has.
const ELSEWHERE: &str = "10.77.0.1";

fn of<'a>(events: &'a [Value], sock: &Sock) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["event"] == "retransmit" && event["cookie"] == sock.cookie)
        .collect()
}

#[test]
fn data_that_was_not_acknowledged_is_told_as_often_as_the_kernel_counts() {
    require_root!();
    in_namespace(|| {
        let Stage { events: retrans, client, server, listener } = stage!("retrans");
        let (near, far) = join(&client, &server, &listener);
        if !firewall::drop_packets(&format!("tcp dport {}", listener.local.port())) {
            skip!("nothing drops packets");
        }
        client.send(&near, 700);
        wait::until("three retransmissions", || (client.total_retrans(&near) >= 3).then_some(()));
        firewall::pass_all();
        server.receive(&far, 700);
        let counted = client.total_retrans(&near);
        let ended = retrans.stop();
        ended.assert_complete();
        let told = of(&ended.all, &near);
        assert_eq!(told.len(), counted as usize, "{told:#?}");
        for (i, event) in told.iter().enumerate() {
            assert_eq!(event["kind"], "data", "{event:#}");
            assert_eq!(event["state"], "ESTAB", "{event:#}");
            assert_eq!(event["length"], 700, "{event:#}");
            assert_eq!(event["seq"], told[0]["seq"], "it is the same segment");
            assert_eq!(event["retrans"], i as u64 + 1, "{event:#}");
            assert!(event["rto_us"].as_u64() >= Some(200_000), "{event:#}");
            assert_eq!((&event["local"], &event["peer"]), (&end(near.local), &end(near.peer())));
            // The timer ran in whatever task.
            let owners = without_cgroups(event["owners"].clone());
            assert_eq!(owners[0], owned(&client, "own-event"), "{event:#}");
        }
        // After the probe for a lost tail, it is the timer each time, which is doubled each time.
        let timers: Vec<u64> =
            told.iter().skip(1).map(|event| event["rto_us"].as_u64().unwrap()).collect();
        assert!(timers.windows(2).all(|pair| pair[1] == 2 * pair[0]), "{timers:?}");
    });
}

#[test]
fn a_syn_is_told_with_its_owner_at_steps_of_a_second() {
    require_root!();
    in_namespace(|| {
        let retrans = Events::start("retrans", &[]);
        if !firewall::drop_packets("tcp dport 77") {
            skip!("nothing drops packets");
        }
        let client = actor!("client");
        let sock = client.socket(Kind::Tcp4);
        client.set(&sock, libc::IPPROTO_TCP, libc::TCP_SYNCNT, 1);
        let (span, result) = client.try_connect(&sock, parse("127.0.0.1:77"));
        assert_eq!(result, Err(Errno::TIMEDOUT));
        let ended = retrans.stop();
        // One, or the kernel begins with some more that do not count
        // (net.ipv4.tcp_syn_linear_timeouts).
        let told = of(&ended.all, &sock);
        assert!(!told.is_empty());
        for (i, event) in told.iter().enumerate() {
            assert_eq!((&event["kind"], &event["state"]), (&"syn".into(), &"SYN-SENT".into()));
            assert_eq!(event["peer"], end(parse("127.0.0.1:77")));
            assert_ne!(event["local"]["port"], 0);
            assert_eq!(without_cgroups(event["owners"].clone())[0], owned(&client, "own-event"));
            assert_eq!(event["retrans"], i as u64 + 1, "{event:#}");
            assert_eq!(event["phase"], "timeout", "{event:#}");
        }
        let after = told[0]["time_unix_us"].as_u64().unwrap() - span.before_us;
        assert!(after >= 900_000, "after {after} us");
        for pair in told.windows(2) {
            let [before, then] = [0, 1].map(|i| pair[i]["time_unix_us"].as_u64().unwrap());
            assert!(then - before >= 900_000, "{told:#?}");
        }
    });
}

#[test]
fn a_syn_ack_is_told_with_the_owner_of_the_listener() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut retrans, client, server, listener } = stage!("retrans");
        let port = listener.local.port();
        // The SYN arrives, what answers it does not.
        if !firewall::drop_packets(&format!("tcp sport {port}")) {
            skip!("nothing drops packets");
        }
        let sock = client.socket(Kind::Tcp4);
        client.unblock(&sock);
        let (_, result) = client.try_connect(&sock, listener.local);
        assert_eq!(result, Err(Errno::INPROGRESS));
        let event = retrans.await_event(|event| {
            is_here(event)
                && event["event"] == "retransmit"
                && event["kind"] == "synack"
                && event["local"]["port"] == port
        });
        assert_eq!(event["owners"][0]["pid"], server.pid, "{event:#}");
        assert_eq!(event["state"], "SYN-RECV", "{event:#}");
        assert!(event["retrans"].as_u64() > Some(0), "{event:#}");
    });
}

#[test]
fn a_full_accept_queue_shows_as_syns_that_are_sent_again() {
    require_root!();
    in_namespace(|| {
        let mut retrans = Events::start("retrans", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let sock = server.socket(Kind::Tcp4);
        server.bind(&sock, "127.0.0.1:0");
        let listener = server.listen_on(&sock, 0);
        let _queued = client.connect(listener.local);
        let late = client.socket(Kind::Tcp4);
        client.unblock(&late);
        let (_, result) = client.try_connect(&late, listener.local);
        assert_eq!(result, Err(Errno::INPROGRESS));
        let event = retrans.await_event(|event| event["cookie"] == late.cookie);
        assert_eq!(event["kind"], "syn", "{event:#}");
        assert_eq!(event["peer"], end(listener.local));
    });
}

/// Ends `retrans --count`, which is to have one line of the socket, with this count.
fn assert_counted(retrans: Events, sock: &Sock, counted: u32) {
    let ended = retrans.stop();
    ended.assert_complete();
    let lines = ended.of(sock.cookie);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["retransmits"], counted, "{lines:#?}");
}

#[test]
fn a_count_by_connection_is_that_of_the_kernel() {
    require_root!();
    in_namespace(|| {
        let Stage { events: retrans, client, server, listener } = stage!("retrans", "--count");
        let (near, far) = join(&client, &server, &listener);
        server.deafen(&far);
        client.send(&near, 70);
        wait::until("a retransmission", || (client.total_retrans(&near) >= 2).then_some(()));
        server.undeafen(&far);
        server.receive(&far, 70);
        assert_counted(retrans, &near, client.total_retrans(&near));
    });
}

#[test]
fn a_piece_of_several_segments_counts_as_many() {
    require_root!();
    in_namespace(|| {
        let Stage { events: retrans, client, server, listener } = stage!("retrans", "--count");
        let sock = client.socket(Kind::Tcp4);
        client.set(&sock, libc::IPPROTO_TCP, libc::TCP_MAXSEG, 1000);
        let near = client.connect_on(&sock, listener.local);
        let far = server.accept(&listener);
        server.deafen(&far);
        client.send(&near, 20_000);
        wait::until("a retransmission", || (client.total_retrans(&near) >= 2).then_some(()));
        // What was lost is sent again in pieces that grow.
        server.undeafen(&far);
        server.receive(&far, 20_000);
        // The answer acknowledges all of it.
        server.send(&far, 1);
        client.receive(&near, 1);
        assert_counted(retrans, &near, client.total_retrans(&near));
    });
}

#[test]
fn what_a_firewall_stops_was_sent_again_as_the_kernel_counts() {
    require_root!();
    require_linux!(6, 17, "a tracepoint for what a firewall stops");
    in_namespace(|| {
        let mut retrans = Events::start("retrans", &[]);
        if !firewall::drop_on_the_way_out("tcp dport 77") {
            skip!("nothing drops packets");
        }
        let client = actor!("client");
        let sock = client.socket(Kind::Tcp4);
        client.unblock(&sock);
        let (_, result) = client.try_connect(&sock, parse("127.0.0.1:77"));
        assert_eq!(result, Err(Errno::INPROGRESS));
        let event = retrans.await_event(|event| event["cookie"] == sock.cookie);
        assert_eq!((&event["kind"], &event["retrans"]), (&"syn".into(), &1.into()), "{event:#}");
    });
}

#[test]
fn what_could_not_be_sent_again_is_not_told() {
    require_root!();
    in_namespace(|| {
        if !ip("add") {
            skip!("there is no ip, or it adds no address");
        }
        let mut retrans = Events::start("retrans", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let listener = server.listen(&format!("{ELSEWHERE}:0"));
        let (near, far) = join(&client, &server, &listener);
        server.deafen(&far);
        client.send(&near, 70);
        retrans.await_event(|event| event["cookie"] == near.cookie);
        assert!(ip("del"), "the address is there");
        let counted = client.total_retrans(&near);
        // It tries all the same.
        let tried = tries(near.local.port());
        wait::until("two tries", || (tries(near.local.port()) >= tried + 2).then_some(()));
        assert_eq!(client.total_retrans(&near), counted);
        let ended = retrans.stop();
        ended.assert_complete();
        assert_eq!(ended.of(near.cookie).len(), counted as usize);
    });
}

/// Gives the address to this namespace, or takes it away.
fn ip(what: &str) -> bool {
    let ip =
        Command::new("ip").args(["addr", what, &format!("{ELSEWHERE}/32"), "dev", "lo"]).status();
    ip.is_ok_and(|status| status.success())
}

/// How often the timer of the connection from a port has run out.
fn tries(port: u16) -> u32 {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").expect("/proc is mounted");
    let from = format!(":{port:04X}");
    let row = table
        .lines()
        .find(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&from)));
    let field = row.expect("the connection").split_whitespace().nth(6).expect("a count");
    u32::from_str_radix(field, 16).expect("hexadecimal")
}
