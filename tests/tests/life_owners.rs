//! `socktrace life` names the process that owns a socket, whatever ran when something happened to
//! it, and says how it knows.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;
use serde_json::{Value, json};
use socktrace_tests::cgroup;
use socktrace_tests::driver::{Actor, Kind, join};
use socktrace_tests::events::Events;
use socktrace_tests::expect::{Life, is_here, learnt_of_acceptors, owned, without_cgroups};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::stage::Stage;
use socktrace_tests::{actor, require_root, stage};

fn owners(life: &Value) -> Value {
    without_cgroups(life["owners"].clone())
}

#[test]
fn each_end_has_its_own_process_although_one_runs_the_events_of_both() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let (client, server) = (actor!("the client"), actor!("the server"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        client.send(&near, 5);
        server.receive(&far, 5);
        let closed = client.close(&near);
        let ended = server.close(&far);
        Life::of_client(&near, &client, closed.until(ended))
            .bytes(5, 0)
            .assert_is(&life.await_life(near.cookie));
        Life::of_server(&far, &server, &near, ended)
            .bytes(0, 5)
            .assert_is(&life.await_life(far.cookie));
        life.stop().assert_complete();
    });
}

#[test]
fn a_worker_owns_what_it_accepted_from_the_listener_of_its_parent() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let (client, server) = (actor!("client"), actor!("master"));
        let listener = server.listen("127.0.0.1:0");
        let worker = server.fork("worker");
        let (near, far) = join(&client, &worker, &listener);
        worker.send(&far, 9);
        client.receive(&near, 9);
        worker.close(&far);
        client.close(&near);
        let event = life.await_life(far.cookie);
        assert_eq!(owners(&event), json!([owned(&worker, learnt_of_acceptors())]), "{event:#}");
    });
}

#[test]
fn what_nobody_accepted_belongs_to_the_owner_of_the_listener() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let near = client.connect(listener.local);
        client.close(&near);
        server.close(&listener);
        let event =
            life.await_event(|event| is_here(event) && event["peer"]["port"] == near.local.port());
        assert_eq!(event["opened"], "passive");
        assert_eq!(owners(&event), json!([owned(&server, "listener")]));
    });
}

#[test]
fn a_socket_that_is_passed_on_stays_with_who_opened_it() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let (client, server, heir) = (actor!("client"), actor!("server"), actor!("heir"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        let passed = client.pass(&near, &heir);
        assert_eq!(passed.cookie, near.cookie);
        heir.send(&passed, 7);
        heir.close(&passed);
        server.receive(&far, 7);
        server.close(&far);
        let event = life.await_life(near.cookie);
        assert_eq!(owners(&event), json!([owned(&client, "own-event")]));
        assert_eq!(event["bytes_sent"], 7);
    });
}

#[test]
fn an_accepted_socket_that_is_passed_on_belongs_to_who_used_it() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let (client, server, heir) = (actor!("client"), actor!("dispatcher"), actor!("handler"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        let passed = server.pass(&far, &heir);
        heir.close(&passed);
        client.close(&near);
        let event = life.await_life(far.cookie);
        // Where the kernel tells who accepts, that is the dispatcher.
        let wanted = match learnt_of_acceptors() {
            "acceptor" => owned(&server, "acceptor"),
            learnt => owned(&heir, learnt),
        };
        assert_eq!(owners(&event), json!([wanted]), "{event:#}");
    });
}

#[test]
fn a_socket_that_is_inherited_by_a_fork_stays_with_who_opened_it() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        let child = client.fork("child");
        client.close(&near);
        child.close(&near);
        server.close(&far);
        let event = life.await_life(near.cookie);
        assert_eq!(owners(&event), json!([owned(&client, "own-event")]));
    });
}

#[test]
fn a_process_is_named_by_its_leader_whichever_thread_connects() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let (client, server) = (actor!("leader"), actor!("server"));
        let listener = server.listen("127.0.0.1:0");
        let sock = client.socket(Kind::Tcp4);
        let near = client.connect_in_thread("a-thread", &sock, listener.local);
        let far = server.accept(&listener);
        client.close(&near);
        server.close(&far);
        let event = life.await_life(near.cookie);
        assert_eq!(owners(&event), json!([owned(&client, "own-event")]));
    });
}

#[test]
fn the_user_is_that_of_the_process() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let (mut client, mut server) = (actor!("client"), actor!("server"));
        let listener = server.listen("127.0.0.1:0");
        client.become_user(1234);
        server.become_user(4321);
        let (near, far) = join(&client, &server, &listener);
        client.close(&near);
        server.close(&far);
        let event = life.await_life(near.cookie);
        assert_eq!(owners(&event), json!([owned(&client, "own-event")]));
        let event = life.await_life(far.cookie);
        assert_eq!(event["owners"][0]["uid"], 4321, "{event:#}");
    });
}

#[test]
fn a_process_that_was_gone_before_anybody_looked_has_its_name() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let server = actor!("server");
        let listener = server.listen("127.0.0.1:0");
        // While it is stopped, the tool cannot look into /proc.
        life.running().signal(Signal::STOP);
        let client = actor!("gone at once");
        let (near, far) = join(&client, &server, &listener);
        client.exit();
        server.close(&far);
        life.running().signal(Signal::CONT);
        let event = life.await_life(near.cookie);
        assert_eq!(owners(&event), json!([owned(&client, "own-event")]));
    });
}

#[test]
fn the_cgroup_is_that_of_the_process() {
    require_root!();
    in_namespace(|| {
        let mut life = Events::start("life", &[]);
        let (client, server) = (actor!("client"), actor!("server"));
        let Some(cgroup_id) = cgroup_id(&client) else {
            socktrace_tests::skip!("there is no cgroup2");
        };
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = join(&client, &server, &listener);
        client.close(&near);
        server.close(&far);
        let event = life.await_life(near.cookie);
        assert_eq!(event["owners"][0]["cgroup_id"], cgroup_id, "{event:#}");
    });
}

/// The inode of the folder that the process is in.
fn cgroup_id(actor: &Actor) -> Option<u64> {
    Some(fs::metadata(cgroup::of_process(actor.pid)?).ok()?.ino())
}

#[test]
fn whoever_runs_when_a_timer_ends_a_connection_does_not_own_it() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        server.deafen(&far);
        client.set(&near, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 300);
        client.send(&near, 3);
        let event = life.await_life(near.cookie);
        assert_eq!(event["end"], "timeout", "{event:#}");
        assert_eq!(owners(&event), json!([owned(&client, "own-event")]));
    });
}
