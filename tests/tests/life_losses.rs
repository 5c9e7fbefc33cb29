//! `socktrace life` loses nothing silently: what is not in the output is counted, said, and in the
//! exit code.

use rustix::process::Signal;
use serde_json::Value;
use socktrace_tests::driver::join;
use socktrace_tests::events::Events;
use socktrace_tests::expect::netns;
use socktrace_tests::memory::fill_memory;
use socktrace_tests::namespace::{await_closed, in_namespace};
use socktrace_tests::stage::Stage;
use socktrace_tests::{require_root, stage};

const CONNECTIONS: usize = 200;

/// Opens and closes connections of this namespace, of which alone is told, while nobody reads the
/// ring. Tells the cookies of both ends.
fn burst(ring_size: &str) -> (Events, Vec<u64>) {
    let here = format!("netns = {}", netns());
    let stage = stage!("life", "--ring-size", ring_size, &here);
    stage.events.running().signal(Signal::STOP);
    let mut cookies = Vec::new();
    for _ in 0..CONNECTIONS {
        let (near, far) = stage.join();
        stage.client.close(&near);
        stage.server.close(&far);
        cookies.extend([near.cookie, far.cookie]);
    }
    await_closed();
    stage.events.running().signal(Signal::CONT);
    let Stage { events, .. } = stage;
    (events, cookies)
}

/// How many events it says that it lost.
fn lost(events: &[Value]) -> u64 {
    let counts = events.iter().filter(|event| event["event"] == "lost");
    counts.map(|event| event["count"].as_u64().expect("a count")).sum()
}

#[test]
fn a_socket_that_there_is_no_memory_for_is_told_and_counted() {
    require_root!();
    in_namespace(|| {
        let here = format!("netns = {}", netns());
        let Stage { mut events, client, server, listener } = stage!("life", &here);
        events.await_walk();
        fill_memory(events.running());
        let (near, far) = join(&client, &server, &listener);
        client.close(&near);
        server.close(&far);
        for sock in [near, far] {
            let life = events.await_life(sock.cookie);
            assert!(life.get("opened_unix_us").is_none(), "{life:#}");
            assert!(life.get("duration_us").is_none(), "{life:#}");
        }
        let message = "without owner or beginning";
        events.running().await_message(|line| line.contains(message).then_some(()));
        let ended = events.stop();
        assert_eq!(ended.finished.status.code(), Some(3), "{:#?}", ended.finished);
        let last = ended.finished.stderr.last().expect("it says how it ended");
        assert!(last.contains(message), "{last}");
        let is_one = |event: &&Value| event["event"] == "lost" && event["cause"] == "no_memory";
        let counts = ended.all.iter().filter(is_one).map(|event| event["count"].as_u64().unwrap());
        assert!(counts.sum::<u64>() >= 2, "{:#?}", ended.all);
    });
}

#[test]
fn what_the_ring_had_no_room_for_is_counted() {
    require_root!();
    in_namespace(|| {
        let (life, cookies) = burst("4K");
        life.running().await_message(|line| line.contains("lost").then_some(()));
        let ended = life.stop();
        assert_eq!(ended.finished.status.code(), Some(3), "{:#?}", ended.finished);
        let told = cookies.iter().filter(|cookie| !ended.of(**cookie).is_empty()).count();
        assert!(told > 0 && told < cookies.len(), "{told} were told");
        assert_eq!(told as u64 + lost(&ended.all), cookies.len() as u64, "{told} were told");
        for event in ended.all.iter().filter(|event| event["event"] == "lost") {
            assert!(event["cause"].is_string() && event["cpu"].is_u64(), "{event:#}");
        }
    });
}

#[test]
fn the_usual_ring_holds_a_burst() {
    require_root!();
    in_namespace(|| {
        let (mut life, cookies) = burst("8M");
        for cookie in &cookies {
            life.await_life(*cookie);
        }
        let ended = life.stop();
        ended.assert_complete();
        for cookie in cookies {
            assert_eq!(ended.of(cookie).len(), 1);
        }
    });
}
