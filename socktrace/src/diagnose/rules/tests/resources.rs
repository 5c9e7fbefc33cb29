use super::*;

#[test]
fn limits_of_processes_and_host() {
    let process = |used| {
        let mut evidence = evidence(Vec::new());
        let process = evidence.processes.known.get_mut(&7).unwrap();
        (process.descriptors, process.descriptor_limit) = (Some(used), Some(1000));
        fired(&evidence)
    };
    assert_eq!(process(990), [("process-descriptors", CRITICAL)]);
    assert_eq!(process(850), [("process-descriptors", WARNING)]);
    assert_eq!(process(700), []);

    let growing = |more: u64, falls, limit| {
        let mut evidence = watched(evidence(Vec::new()));
        let process = evidence.processes.known.get_mut(&7).unwrap();
        process.growth = Some(Growth { first: 50, last: 50 + more, rises: 10 - falls, falls });
        process.descriptor_limit = Some(limit);
        evidence
    };
    assert_eq!(fired(&growing(100, 0, 1024)), [("descriptor-growth", WARNING)]);
    assert_eq!(fired(&growing(100, 0, 1 << 20)), [("descriptor-growth", NOTE)], "in a day");
    assert_eq!(fired(&growing(100, 1, 1024)), [], "it closes some");
    assert_eq!(fired(&growing(15, 0, 1024)), []);
    let mut at_once = growing(100, 0, 1024);
    let process = at_once.processes.known.get_mut(&7).unwrap();
    process.growth.as_mut().unwrap().rises = 1;
    assert_eq!(fired(&at_once), [], "a pool that was filled");
    at_once.watch.looks = 2;
    assert_eq!(fired(&at_once), [], "two looks show no trend");

    let host = |used| {
        let mut evidence = evidence(Vec::new());
        evidence.host.files = Some((used, 1000));
        fired(&evidence)
    };
    assert_eq!(host(960), [("host-descriptors", CRITICAL)]);
    assert_eq!(host(700), []);

    let memory = |pages| {
        let mut evidence = evidence(Vec::new());
        evidence.host.tcp_mem = Some([700, 850, 1000]);
        evidence.counters.set("TCP.mem", pages);
        fired(&evidence)
    };
    assert_eq!(memory(960), [("tcp-memory", CRITICAL)]);
    assert_eq!(memory(860), [("tcp-memory", WARNING)]);
    assert_eq!(memory(800), []);
}
