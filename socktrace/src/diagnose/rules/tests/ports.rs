use super::*;

#[test]
fn ports_towards_one_destination() {
    assert_eq!(fired(&destination("10.0.0.9", 950, 0, 0)), [("ephemeral-ports", CRITICAL)]);
    assert_eq!(fired(&destination("10.0.0.9", 800, 0, 0)), [("ephemeral-ports", WARNING)]);
    assert_eq!(fired(&destination("10.0.0.9", 700, 0, 0)), []);
    assert_eq!(fired(&destination("10.0.0.9", 0, 50, 900)), [("ephemeral-ports", CRITICAL)]);

    let mut reused = destination("10.0.0.9", 0, 50, 900);
    reused.settings.tcp_tw_reuse = TwReuse::Everywhere;
    assert_eq!(fired(&reused), [], "the kernel takes them again");
    assert_eq!(fired(&destination("127.0.0.1", 0, 50, 900)), [], "on loopback it always does");
    let mut reserved = destination("10.0.0.9", 700, 0, 0);
    reserved.settings.reserved_ports = vec![40000..=40199];
    assert_eq!(fired(&reserved), [("ephemeral-ports", WARNING)]);
}

#[test]
fn ports_in_time_wait_are_those_of_who_was_seen_to_connect() {
    let mut past = destination("10.0.0.9", 0, 50, 900);
    past.destinations[0].inodes.clear();
    past.destinations[0].uid = None;
    assert!(judged(&past)[0].what.starts_with("somebody"), "{:?}", judged(&past)[0]);
    let peer = end("10.0.0.9", 5432);
    past.callers.insert(peer, vec![worker().unwrap()]);
    assert!(judged(&past)[0].what.starts_with("client[9] uses 950 of 1,000"));

    let failed = FailedConnects {
        peer,
        error: ConnectError::NoPort,
        worker: worker(),
        is_here: true,
        count: 40,
    };
    let mut few = destination("10.0.0.9", 20, 0, 0);
    few.traced = Some(Traced { failed_connects: vec![failed], ..Traced::default() });
    assert_eq!(fired(&few), [("ephemeral-ports", CRITICAL)], "whatever the share");
    few.destinations.clear();
    assert_eq!(fired(&few), [("connect-failed", WARNING)]);
}

#[test]
fn time_wait_is_harmless_until_its_limit() {
    let mut many = Evidence {
        states: [(State::TimeWait, 12_000)].into_iter().collect(),
        ..Evidence::default()
    };
    assert_eq!(fired(&many), [("time-wait", NOTE)]);
    many.settings.tcp_max_tw_buckets = Some(12_000);
    assert_eq!(fired(&many), [("time-wait", WARNING)]);
    many.settings.tcp_max_tw_buckets = Some(100_000);
    many.states = [(State::TimeWait, 4000)].into_iter().collect();
    assert_eq!(fired(&many), []);
}
