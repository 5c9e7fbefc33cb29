//! `socktrace life` loses nothing silently: what is not in the output is counted, said, and in the
//! exit code.

use rustix::process::Signal;
use socktrace_tests::driver::join;
use socktrace_tests::events::Events;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::{actor, require_root};

const CONNECTIONS: usize = 200;

fn burst(options: &[&str]) -> (Events, Vec<u64>) {
    let life = Events::start("life", options);
    let (client, server) = (actor!("client"), actor!("server"));
    let listener = server.listen("127.0.0.1:0");
    // While it cannot read, the ring fills.
    life.running().signal(Signal::STOP);
    let mut cookies = Vec::new();
    for _ in 0..CONNECTIONS {
        let (near, far) = join(&client, &server, &listener);
        client.close(&near);
        server.close(&far);
        cookies.extend([near.cookie, far.cookie]);
    }
    life.running().signal(Signal::CONT);
    (life, cookies)
}

#[test]
fn what_the_ring_had_no_room_for_is_counted() {
    require_root!();
    in_namespace(|| {
        let (life, cookies) = burst(&["--ring-size", "4K"]);
        life.running().await_message(|line| line.contains("lost").then_some(()));
        let ended = life.stop();
        assert_eq!(ended.finished.status.code(), Some(3), "{:#?}", ended.finished);
        let told = cookies.iter().filter(|cookie| !ended.of(**cookie).is_empty()).count();
        let lost: u64 = ended
            .all
            .iter()
            .filter(|event| event["event"] == "lost")
            .map(|event| event["count"].as_u64().expect("a count"))
            .sum();
        assert!(told > 0 && told < cookies.len(), "{told} were told");
        // Others may run beside this test, and are lost as well.
        assert!(told as u64 + lost >= cookies.len() as u64, "{told} were told, {lost} lost");
        for event in ended.all.iter().filter(|event| event["event"] == "lost") {
            assert!(event["cause"].is_string() && event["cpu"].is_u64(), "{event:#}");
        }
    });
}

#[test]
fn the_usual_ring_holds_a_burst() {
    require_root!();
    in_namespace(|| {
        let (life, cookies) = burst(&[]);
        let ended = life.stop();
        ended.assert_complete();
        for cookie in cookies {
            assert_eq!(ended.of(cookie).len(), 1);
        }
    });
}
