use super::*;

#[test]
fn services_on_loopback_that_others_ask_for() {
    let own = end("10.0.0.1", 8080);
    let local = || vec![listener("127.0.0.1", 8080)];
    assert_eq!(fired(&failing(own, 5, local())), [("loopback-only", CRITICAL)]);
    let finding = &judged(&failing(own, 5, local()))[0];
    assert!(finding.what.contains("app[7] listens on 127.0.0.1:8080 only"), "{}", finding.what);

    let other_host = end("10.0.0.5", 8080);
    assert_eq!(fired(&failing(other_host, 5, local())), [("connect-failed", WARNING)]);
    let other_port = end("10.0.0.1", 8081);
    assert_eq!(fired(&failing(other_port, 5, local())), [("connect-failed", WARNING)]);
    let both = vec![listener("127.0.0.1", 8080), listener("10.0.0.1", 8080)];
    assert_eq!(fired(&failing(own, 5, both)), [("connect-failed", WARNING)], "it restarted");

    let mut remote = watched(evidence(local()));
    let peer: IpAddr = "192.0.2.7".parse().unwrap();
    let reset = Resets { local: own, peer, is_refusal: true, is_sent: true, count: 3 };
    remote.traced = Some(Traced { resets: vec![reset], ..Traced::default() });
    assert_eq!(fired(&remote), [("loopback-only", CRITICAL)], "clients on other hosts");
    let elsewhere = failing(own, 5, vec![]).traced.unwrap().failed_connects.remove(0);
    let elsewhere = FailedConnects { is_here: false, ..elsewhere };
    remote.traced.as_mut().unwrap().failed_connects = vec![elsewhere];
    let what = &judged(&remote)[0].what;
    assert!(what.contains("; 3 connects to"), "another namespace may have the address: {what}");
}

#[test]
fn databases_on_every_address() {
    let on = |addr, port, own: &str| {
        let mut evidence = evidence(vec![listener(addr, port)]);
        evidence.addresses[1].addr = own.parse().unwrap();
        fired(&evidence)
    };
    assert_eq!(on("0.0.0.0", 6379, "10.0.0.1"), [("exposed", WARNING)]);
    assert_eq!(on("::", 5432, "10.0.0.1"), [("exposed", NOTE)], "a password, no public address");
    assert_eq!(on("::", 5432, "8.8.8.8"), [("exposed", WARNING)]);
    assert_eq!(on("127.0.0.1", 6379, "8.8.8.8"), []);
    assert_eq!(on("0.0.0.0", 443, "8.8.8.8"), []);
    assert_eq!(on("0.0.0.0", 6379, "127.0.0.1"), [], "nobody else can reach this namespace");
}
