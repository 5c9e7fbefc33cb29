use super::*;

#[test]
fn owners_of_listeners() {
    let running = |executable| {
        let mut evidence = evidence(vec![listener("10.0.0.1", 80)]);
        evidence.processes.known.get_mut(&7).unwrap().executable = executable;
        fired(&evidence)
    };
    let path = || "/usr/bin/app".to_owned();
    assert_eq!(running(Executable::Removed(path())), [("deleted-executable", WARNING)]);
    assert_eq!(running(Executable::InMemory(path())), [("deleted-executable", WARNING)]);
    assert_eq!(running(Executable::Replaced(path())), [("deleted-executable", NOTE)]);
    assert_eq!(running(Executable::Present), []);

    let unowned = Tcp { inode: Inode(8), ..listener("10.0.0.1", 2049) };
    let mut evidence_of_all = evidence(vec![unowned]);
    assert_eq!(fired(&evidence_of_all), [("unowned-listener", NOTE)]);
    evidence_of_all.processes.refused = 1;
    assert_eq!(judged(&evidence_of_all)[0].sure, Sure::Possible, "it may be of that one");
    evidence_of_all.processes.refused = 40;
    assert_eq!(fired(&evidence_of_all), [], "not root");

    let user = |port, uid| fired(&evidence(vec![Tcp { uid, ..listener("10.0.0.1", port) }]));
    assert_eq!(user(80, 1000), [("listener-uid", NOTE)]);
    assert_eq!(user(80, 33), []);
    assert_eq!(user(8080, 1000), []);
}
