use super::*;

fn lossy(again: u64, spurious: u64) -> Evidence {
    let mut evidence = watched(evidence(Vec::new()));
    let local = "10.0.0.1".parse().unwrap();
    evidence.sent.push(SentFrom { local, segments: 10_000, segments_meanwhile: 10_000 });
    for (number, share) in [(2, 90), (3, 10)] {
        evidence.loss.push(PeerLoss {
            peer: format!("10.0.0.{number}").parse().unwrap(),
            local,
            sockets: 1,
            retransmitted: again * share / 100,
            segments: 10_000 * share / 100,
            retransmitted_meanwhile: again * share / 100,
            segments_meanwhile: 10_000 * share / 100,
            spurious: spurious * share / 100,
            spurious_meanwhile: spurious * share / 100,
            lacks_sack: false,
            inodes: vec![Inode(7)],
        });
    }
    evidence
}

#[test]
fn loss() {
    assert_eq!(fired(&lossy(1000, 0)), [("retransmits", CRITICAL)]);
    assert_eq!(fired(&lossy(400, 0)), [("retransmits", WARNING)]);
    assert_eq!(fired(&lossy(200, 0)), [], "two percent");
    assert_eq!(fired(&lossy(1000, 900)), [("retransmits", NOTE)], "spurious");
    let finding = &judged(&lossy(1000, 0))[0];
    assert!(finding.what.contains("to 10.0.0.2 by app[7] over eth0"), "{}", finding.what);
    let mut before = lossy(1000, 0);
    before.watch.asked = false;
    assert_eq!(fired(&before), [("retransmits", NOTE)], "nobody watched");
    let mut spread = lossy(1000, 0);
    spread.loss[0].retransmitted_meanwhile = 500;
    spread.loss[1].retransmitted_meanwhile = 500;
    assert!(judged(&spread)[0].what.contains("to 2 peers over eth0"));
}

#[test]
fn what_the_peer_had_already_is_told_of_the_peer_that_is_named() {
    let mut other = lossy(1000, 0);
    other.loss[1].spurious_meanwhile = 100;
    let what = |evidence: &Evidence| judged(evidence)[0].what.clone();
    assert!(what(&other).contains("900, 0% of them duplicates to the peer"), "{}", what(&other));
    let mut before = lossy(1000, 900);
    before.watch.asked = false;
    assert!(what(&before).contains("900, 90% of them"), "counted over the life, too");
    before.loss[0].lacks_sack = true;
    assert!(what(&before).contains("900, at least 90% of them"));
    other.loss[0].lacks_sack = true;
    assert!(what(&other).contains("900, an unknown share of them"), "{}", what(&other));
}

#[test]
fn what_the_kernel_took_back_makes_loss_less_sure() {
    let mut undone = lossy(1000, 0);
    for (name, before, now) in
        [("TcpExt.TCPDSACKUndo", 3, 8), ("TcpExt.TCPLossUndo", 0, 2), ("TcpExt.TCPFullUndo", 7, 7)]
    {
        undone.counters_before.set(name, before);
        undone.counters.set(name, now);
    }
    let finding = &judged(&undone)[0];
    assert_eq!((finding.severity, finding.sure), (CRITICAL, Sure::Likely));
    let said = "7 times (TCPDSACKUndo 5, TCPLossUndo 2)";
    assert!(finding.because.ends_with(said), "{}", finding.because);
    undone.counters = undone.counters_before.clone();
    assert_eq!(judged(&undone)[0].sure, Sure::Certain, "long ago");
}
