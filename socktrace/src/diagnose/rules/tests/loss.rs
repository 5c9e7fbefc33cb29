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
            spurious_meanwhile: spurious * share / 100,
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
