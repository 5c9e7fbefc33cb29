//! `socktrace life` reports each connection once, whether it is older than the trace, ends while
//! that starts, or begins then: no gap, no ghost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use socktrace_tests::driver::{Actor, Sock, join};
use socktrace_tests::events::Events;
use socktrace_tests::expect::{now_us, owned, without_cgroups};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::{actor, require_linux, require_root};

#[test]
fn what_existed_at_the_start_has_its_owner_and_no_birthday() {
    require_root!();
    require_linux!(5, 11, "the walk over older sockets");
    in_namespace(|| {
        let (client, server) = (actor!("old client"), actor!("old server"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        client.send(&near, 300);
        server.receive(&far, 300);

        let mut life = Events::start("life", &[]);
        client.send(&near, 40);
        server.receive(&far, 40);
        client.close(&near);
        server.close(&far);
        for (sock, owner) in [(&near, &client), (&far, &server)] {
            let event = life.await_life(sock.cookie);
            assert!(event.get("opened_unix_us").is_none(), "{event:#}");
            assert!(event.get("duration_us").is_none(), "{event:#}");
            assert!(event.get("connect_us").is_none(), "{event:#}");
            let owners = without_cgroups(event["owners"].clone());
            let learnt = ["older", "own-event"].map(|learnt| json!([owned(owner, learnt)]));
            assert!(learnt.contains(&owners), "{event:#}");
            assert_eq!(event["end"], "closed");
        }
        // The kernel's counters begin with the connection, not with the trace.
        let event = life.await_life(near.cookie);
        assert_eq!((&event["bytes_sent"], &event["bytes"]), (&340.into(), &"exact".into()));
        let ended = life.stop();
        ended.assert_complete();
        assert_eq!(ended.of(near.cookie).len(), 1);
        assert_eq!(ended.of(far.cookie).len(), 1);
    });
}

#[test]
fn an_old_socket_that_is_reset_by_its_peer_has_its_owner_too() {
    require_root!();
    require_linux!(5, 11, "the walk over older sockets");
    in_namespace(|| {
        let (client, server) = (actor!("old client"), actor!("old server"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        let mut life = Events::start("life", &[]);
        life.await_walk();
        client.linger_zero(&near);
        client.close(&near);
        // The reset arrives while the client runs; only the walk can tell whose socket it met.
        let event = life.await_life(far.cookie);
        assert_eq!(without_cgroups(event["owners"].clone()), json!([owned(&server, "older")]));
        drop(server);
    });
}

#[test]
fn a_socket_that_was_accepted_from_an_old_listener_belongs_to_its_owner() {
    require_root!();
    require_linux!(5, 11, "the walk over older sockets");
    in_namespace(|| {
        let (client, server) = (actor!("client"), actor!("old server"));
        let listener = server.listen("127.0.0.1:0");
        let mut life = Events::start("life", &[]);
        life.await_walk();
        let (near, far) = join(&client, &server, &listener);
        client.linger_zero(&near);
        client.close(&near);
        let event = life.await_life(far.cookie);
        let owner = &event["owners"][0];
        assert_eq!((&owner["pid"], &owner["comm"]), (&server.pid.into(), &"old server".into()));
        assert_eq!(event["opened"], "passive", "{event:#}");
        drop(server);
    });
}

#[test]
fn each_is_told_once_whenever_it_began_and_ended() {
    require_root!();
    in_namespace(|| {
        let (client, server) = (actor!("client"), actor!("server"));
        let listener = server.listen("127.0.0.1:0");
        let open = |ends: &mut Vec<Ends>| ends.push(Ends::open(&client, &server, &listener));
        let mut ends = Vec::new();
        // A supply of older ones, of which one ends whenever one begins.
        (0..100).for_each(|_| open(&mut ends));
        let (mut first_open, mut count_at_start) = (0, 0);
        let stderr_said_so = AtomicBool::new(false);
        let mut life = Events::starting("life", &[]);
        let live_us = std::thread::scope(|scope| {
            let running = life.running_mut();
            let said_so = &stderr_said_so;
            let waiter = scope.spawn(move || {
                running.await_message(|line| line.contains("tracing TCP").then_some(()));
                let live_us = now_us();
                said_so.store(true, Ordering::Release);
                live_us
            });
            while !said_so.load(Ordering::Acquire) {
                open(&mut ends);
                ends[first_open].close(&client, &server);
                first_open += 1;
            }
            count_at_start = ends.len();
            waiter.join().expect("the waiter does not panic")
        });
        assert!(count_at_start > 100);
        for _ in 0..50 {
            open(&mut ends);
        }
        for pair in &mut ends[first_open..] {
            pair.close(&client, &server);
        }
        // The kernel may deal with the end of one after that of another that was closed later.
        for pair in ends.iter().filter(|pair| pair.ended_after(live_us)) {
            life.await_life(pair.near.cookie);
            life.await_life(pair.far.cookie);
        }
        let stopped = life.stop();
        stopped.assert_complete();

        let mut told: HashMap<u64, u32> = HashMap::new();
        for event in &stopped.all {
            *told.entry(event["cookie"].as_u64().expect("a cookie")).or_default() += 1;
        }
        for (i, pair) in ends.iter().enumerate() {
            for cookie in [pair.near.cookie, pair.far.cookie] {
                let times = told.get(&cookie).copied().unwrap_or(0);
                // What ended before it said that it was live may have been before it was.
                let least = u32::from(pair.ended_after(live_us));
                assert!((least..=1).contains(&times), "connection {i}, told {times} times");
            }
        }
    });
}

/// Both ends of a connection.
struct Ends {
    near: Sock,
    far: Sock,
    /// When its end began.
    closed_us: Option<u64>,
}

impl Ends {
    fn open(client: &Actor, server: &Actor, listener: &Sock) -> Ends {
        let (near, far) = join(client, server, listener);
        Ends { near, far, closed_us: None }
    }

    fn close(&mut self, client: &Actor, server: &Actor) {
        self.closed_us = Some(client.close(&self.near).before_us);
        server.close(&self.far);
    }

    fn ended_after(&self, time_us: u64) -> bool {
        self.closed_us.expect("all were closed") > time_us
    }
}

#[test]
fn sockets_of_another_namespace_are_seeded_too() {
    require_root!();
    require_linux!(5, 11, "the walk over older sockets");
    // The tool runs in one namespace, the sockets are in another.
    in_namespace(|| {
        let (client, server) = (actor!("old client"), actor!("old server"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        in_namespace(move || {
            let mut life = Events::start("life", &[]);
            life.await_walk();
            client.linger_zero(&near);
            client.close(&near);
            for (sock, owner) in [(&near, &client), (&far, &server)] {
                let event = life.await_life(sock.cookie);
                assert_eq!(event["owners"][0]["pid"], owner.pid, "{event:#}");
            }
        });
    });
}

#[test]
fn an_old_socket_that_is_passed_on_belongs_to_who_was_seen_at_work_on_it() {
    require_root!();
    require_linux!(5, 11, "the walk over older sockets");
    in_namespace(|| {
        let (client, server, heir) = (actor!("client"), actor!("old server"), actor!("heir"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        let mut life = Events::start("life", &[]);
        life.await_walk();
        let passed = server.pass(&far, &heir);
        heir.close(&passed);
        client.close(&near);
        let event = life.await_life(far.cookie);
        assert_eq!(without_cgroups(event["owners"].clone()), json!([owned(&heir, "own-event")]));
    });
}

#[test]
fn an_old_socket_that_several_hold_belongs_to_one_of_them() {
    require_root!();
    require_linux!(5, 11, "the walk over older sockets");
    in_namespace(|| {
        let (client, server) = (actor!("client"), actor!("old server"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        let child = server.fork("old child");
        let mut life = Events::start("life", &[]);
        life.await_walk();
        client.linger_zero(&near);
        client.close(&near);
        // The walk comes by them in the order of their pids, which are used again.
        let event = life.await_life(far.cookie);
        let owners = without_cgroups(event["owners"].clone());
        let wanted = [&server, &child].map(|holder| json!([owned(holder, "older")]));
        assert!(wanted.contains(&owners), "{event:#}");
    });
}
