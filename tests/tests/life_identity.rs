//! `socktrace life` keeps connections apart that share addresses, a socket, or the memory of one.

use std::collections::HashSet;

use rustix::io::Errno;
use socktrace_tests::driver::{Kind, has_mptcp, join, join_mptcp, parse};
use socktrace_tests::events::Events;
use socktrace_tests::expect::is_here;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::stage::Stage;
use socktrace_tests::{actor, require_root, skip, stage};

#[test]
fn a_socket_that_connects_again_lives_again() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let other = server.listen("127.0.0.1:0");
        let sock = client.socket(Kind::Tcp4);
        // Refused, and then twice with success.
        let (_, result) = client.try_connect(&sock, parse("127.0.0.1:9"));
        assert_eq!(result, Err(Errno::CONNREFUSED));
        let first = client.connect_on(&sock, listener.local);
        let far = server.accept(&listener);
        client.send(&first, 100);
        server.receive(&far, 100);
        client.disconnect(&sock);
        server.close(&far);
        let second = client.connect_on(&sock, other.local);
        let far = server.accept(&other);
        client.send(&second, 7);
        server.receive(&far, 7);
        client.close(&second);
        server.close(&far);
        assert_eq!(first.cookie, second.cookie);

        let lives: Vec<_> = ["refused", "", "closed"]
            .into_iter()
            .zip([9, listener.local.port(), other.local.port()])
            .map(|(end, port)| {
                let life = life.await_event(|event| {
                    event["cookie"] == sock.cookie && event["peer"]["port"] == port
                });
                assert!(end.is_empty() || life["end"] == end, "{life:#}");
                life
            })
            .collect();
        // What was true of one is not of the next.
        assert_eq!(lives[0]["error"], "ECONNREFUSED");
        for (life, sock, sent) in [(&lives[1], &first, 100), (&lives[2], &second, 7)] {
            assert!(life.get("error").is_none(), "{life:#}");
            assert_eq!(life["local"]["port"], sock.local.port(), "{life:#}");
            assert_eq!(life["bytes_sent"], sent, "{life:#}");
            let opened = life["opened_unix_us"].as_u64().unwrap();
            assert!((sock.made.before_us - 1000..sock.made.after_us + 1000).contains(&opened));
        }
        let generations: HashSet<u64> =
            lives.iter().map(|life| life["generation"].as_u64().expect("one")).collect();
        assert_eq!(generations.len(), 3, "{lives:#?}");
        let ended = life.stop();
        assert_eq!(ended.of(sock.cookie).len(), 3);
    });
}

#[test]
fn the_same_addresses_again_are_another_connection() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let mut cookies = HashSet::new();
        for i in 0..20 {
            let sock = client.socket(Kind::Tcp4);
            client.bind(&sock, "127.0.0.1:40404");
            let near = client.connect_on(&sock, listener.local);
            let far = server.accept(&listener);
            client.send(&near, i);
            server.receive(&far, i);
            // A reset leaves no TIME-WAIT: the addresses are free at once.
            client.linger_zero(&near);
            client.close(&near);
            server.close(&far);
            let event = life.await_life(near.cookie);
            assert_eq!((&event["bytes_sent"], &event["local"]["port"]), (&i.into(), &40404.into()));
            assert!(cookies.insert(near.cookie));
        }
    });
}

#[test]
fn the_port_that_was_chosen_late_is_there() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        for _ in 0..10 {
            let (near, far) = join(&client, &server, &listener);
            client.close(&near);
            server.close(&far);
            let event = life.await_life(near.cookie);
            assert_eq!(event["local"]["port"], near.local.port(), "{event:#}");
        }
    });
}

#[test]
fn addresses_are_written_as_ss_writes_them() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let listener = server.listen("[::]:0");
        let port = listener.local.port();
        let near = client.connect(parse(&format!("127.0.0.1:{port}")));
        let far = server.accept(&listener);
        client.close(&near);
        server.close(&far);
        let event = life.await_life(far.cookie);
        assert_eq!(event["local"]["addr"], "::ffff:127.0.0.1", "{event:#}");
        assert_eq!(event["peer"]["addr"], "::ffff:127.0.0.1", "{event:#}");
        assert_eq!(event["family"], "inet6");
        let event = life.await_life(near.cookie);
        assert_eq!(
            (&event["local"]["addr"], &event["family"]),
            (&"127.0.0.1".into(), &"inet".into())
        );

        let near = client.connect(parse(&format!("[::1]:{port}")));
        let far = server.accept(&listener);
        client.close(&near);
        server.close(&far);
        for cookie in [near.cookie, far.cookie] {
            let event = life.await_life(cookie);
            assert_eq!(
                (&event["local"]["addr"], &event["family"]),
                (&"::1".into(), &"inet6".into())
            );
        }
    });
}

#[test]
fn an_mptcp_connection_is_one_with_its_subflows() {
    require_root!();
    in_namespace(|| {
        if !has_mptcp() {
            skip!("this kernel has no MPTCP");
        }
        let mut life = Events::start("life", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let (near, far) = join_mptcp(&client, &server);
        client.send(&near, 1234);
        server.receive(&far, 1234);
        client.close(&near);
        server.close(&far);
        for (sock, owner) in [(&near, &client), (&far, &server)] {
            let event = life.await_life(sock.cookie);
            assert_eq!(event["netid"], "mptcp", "{event:#}");
            assert_eq!(event["local"]["port"], sock.local.port(), "{event:#}");
            assert_eq!(event["owners"][0]["pid"], owner.pid, "{event:#}");
        }
        let ended = life.stop();
        ended.assert_complete();
        // Nothing of the connection is told as one of plain TCP, late subflows neither.
        let plain: Vec<_> = ended
            .all
            .iter()
            .filter(|event| is_here(event) && event["netid"] == "tcp")
            .filter(|event| event.get("subflow").is_none())
            .collect();
        assert!(plain.is_empty(), "{plain:#?}");
    });
}

#[test]
fn a_kernel_thread_owns_nothing() {
    require_root!();
    in_namespace(|| {
        if !has_mptcp() {
            skip!("this kernel has no MPTCP");
        }
        let mut life = Events::start("life", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let sock = server.socket(Kind::Mptcp4);
        server.bind(&sock, "127.0.0.1:0");
        let listener = server.listen_on(&sock, 8);
        for _ in 0..5 {
            let sock = client.socket(Kind::Mptcp4);
            let near = client.connect_on(&sock, listener.local);
            let far = server.accept(&listener);
            client.close(&near);
            server.close(&far);
            life.await_life(near.cookie);
        }
        let ended = life.stop();
        for event in &ended.all {
            for owner in event["owners"].as_array().into_iter().flatten() {
                let comm = owner["comm"].as_str().unwrap_or_default();
                let is_kernel = ["kworker", "ksoftirqd", "swapper", "migration"]
                    .iter()
                    .any(|name| comm.starts_with(name));
                assert!(!is_kernel, "{event:#}");
            }
        }
    });
}
