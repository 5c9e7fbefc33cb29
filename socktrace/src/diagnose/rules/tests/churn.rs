use super::*;

#[test]
fn churn() {
    let churning = |peer: &str, count, lived| {
        let mut evidence = watched(evidence(Vec::new()));
        let churn = Churn {
            peer: end(peer, 443),
            worker: worker(),
            count,
            lived: Duration::from_millis(lived * count),
        };
        evidence.traced = Some(Traced { churn: vec![churn], ..Traced::default() });
        fired(&evidence)
    };
    assert_eq!(churning("10.0.0.9", 5000, 20), [("churn", WARNING)]);
    assert_eq!(churning("127.0.0.1", 5000, 20), [("churn", NOTE)], "ports come back on loopback");
    assert_eq!(churning("10.0.0.9", 500, 20), [("churn", NOTE)]);
    assert_eq!(churning("10.0.0.9", 100, 20), []);
    assert_eq!(churning("10.0.0.9", 5000, 3000), [], "sessions");

    let mut untraced = destination("10.0.0.9", 0, 0, 500);
    untraced.destinations[0].time_wait_recent = 300;
    assert_eq!(fired(&untraced), [("churn", NOTE)]);
}
