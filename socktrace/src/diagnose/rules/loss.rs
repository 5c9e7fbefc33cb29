//! Segments that have to be sent again.

use std::collections::BTreeMap;

use crate::diagnose::evidence::{Evidence, PeerLoss};
use crate::diagnose::finding::{
    Finding, Owner, Severity, Sure, Table, Value, counted, filter_host, grouped, named,
    owners_of_all,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold, percent};

pub(super) static RETRANSMITS: Rule = Rule {
    name: "retransmits",
    finds: "segments lost and sent again, by peer and interface, spurious ones told apart",
    needs: Needs::SnapshotOrEvents,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "percent",
            value: 3.0,
            unit: "% of the segments with data",
            reason: "clients all over the Internet lose one or two percent at any time",
        },
        Threshold {
            name: "critical-percent",
            value: 10.0,
            unit: "% of the segments with data",
            reason: "timeouts set in, and delays of seconds",
        },
        Threshold {
            name: "count",
            value: 20.0,
            unit: "segments sent again",
            reason: "a share of few segments says nothing",
        },
        Threshold {
            name: "one-peer-percent",
            value: 80.0,
            unit: "% of them to one peer",
            reason: "then it is that peer or the way to it, not this host's interface",
        },
        Threshold {
            name: "spurious-percent",
            value: 50.0,
            unit: "% of them reported as duplicates by the peer (DSACK)",
            reason: "then most were not lost, only late or out of order",
        },
    ],
    why: "Each lost segment delays all that was sent after it by a round trip, or by 200 ms and \
          more if a timeout is needed.",
    advice: &[],
    judge: retransmits,
};

/// Segments with data, over the lives of the connections or while it was watched.
#[derive(Clone, Copy, Default)]
struct Sent {
    segments: u64,
    again: u64,
    /// Those of `again` that the peers had already.
    spurious: u64,
}

impl Sent {
    fn to(peer: &PeerLoss, is_watched: bool) -> Sent {
        match is_watched {
            true => Sent {
                segments: peer.segments_meanwhile,
                again: peer.retransmitted_meanwhile,
                spurious: peer.spurious_meanwhile,
            },
            false => {
                Sent { segments: peer.segments, again: peer.retransmitted, spurious: peer.spurious }
            }
        }
    }
}

/// The loss over one interface.
#[derive(Default)]
struct Over<'a> {
    peers: Vec<&'a PeerLoss>,
    all: Sent,
}

fn retransmits(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let is_watched = evidence.watch.asked;
    let mut by_interface: BTreeMap<&str, Over<'_>> = BTreeMap::new();
    for peer in &evidence.loss {
        let interface = evidence.interface_of(peer.local).unwrap_or("an unknown interface");
        let over = by_interface.entry(interface).or_default();
        let sent = Sent::to(peer, is_watched);
        over.all.again += sent.again;
        over.all.spurious += sent.spurious;
        over.peers.push(peer);
    }
    for from in &evidence.sent {
        let interface = evidence.interface_of(from.local).unwrap_or("an unknown interface");
        if let Some(over) = by_interface.get_mut(interface) {
            over.all.segments += if is_watched { from.segments_meanwhile } else { from.segments };
        }
    }
    by_interface
        .into_iter()
        .filter_map(|(interface, over)| judge_interface(case, interface, over))
        .collect()
}

fn judge_interface(case: &Case<'_>, interface: &str, mut over: Over<'_>) -> Option<Finding> {
    let is_watched = case.evidence.watch.asked;
    over.peers.sort_by_key(|peer| std::cmp::Reverse(Sent::to(peer, is_watched).again));
    let worst = *over.peers.first()?;
    let of_worst = Sent::to(worst, is_watched);
    let is_one = percent(of_worst.again, over.all.again) >= case.limit("one-peer-percent");
    // One bad peer does not show in the sum over all.
    let (sent, lacks_sack) = match is_one {
        true => (of_worst, worst.lacks_sack),
        false => (over.all, over.peers.iter().any(|peer| peer.lacks_sack)),
    };
    let share = percent(sent.again, sent.segments);
    if (sent.again as f64) < case.limit("count") {
        return None;
    }
    let severity = case.severity(share, "percent", "critical-percent")?;
    let spurious = percent(sent.spurious, sent.again);
    let is_spurious = spurious >= case.limit("spurious-percent");
    // Over a life says nothing about now; what was not lost is not loss.
    let severity = match is_watched && !is_spurious {
        true => severity,
        false => Severity::Note,
    };
    let who = owners_of_all(case.evidence, &worst.inodes);
    let mut finding = case.finding(
        severity,
        format!(
            "{share:.1}% of the segments {} over {interface} were sent again ({}, {} of them \
             duplicates to the {}){}",
            match is_one {
                true => format!("to {} by {}", worst.peer, named(&who)),
                false => format!("to {}", counted(over.peers.len() as u64, "peer")),
            },
            grouped(sent.again),
            match (sent.spurious, lacks_sack) {
                (0, true) => "an unknown share".to_owned(),
                (_, true) => format!("at least {spurious:.0}%"),
                (_, false) => format!("{spurious:.0}%"),
            },
            if is_one { "peer" } else { "peers" },
            if is_watched { " while it was watched" } else { " over the life of the connections" }
        ),
    );
    finding.weight = sent.again;
    let undone = undone(case.evidence);
    (finding.sure, finding.because) = match (is_watched, is_spurious, undone) {
        (true, true, _) => (
            Sure::Certain,
            "the peers report them as duplicates (DSACK): delayed or reordered on the way, not lost"
                .to_owned(),
        ),
        (true, false, None) => {
            (Sure::Certain, "the kernel counted them per connection".to_owned())
        }
        (true, false, Some(undone)) => (
            Sure::Likely,
            format!(
                "the kernel counted them per connection, but some may have been late, not lost: \
                 in this namespace it took back what it had done about loss {undone}"
            ),
        ),
        (false, _, _) => (
            Sure::Possible,
            "these counters say nothing about now: --for 30s measures it".to_owned(),
        ),
    };
    let rows = over
        .peers
        .iter()
        .map(|peer| {
            let sent = Sent::to(peer, is_watched);
            let owners = owners_of_all(case.evidence, &peer.inodes);
            vec![
                filter_host(peer.peer).into(),
                interface.to_owned().into(),
                peer.sockets.into(),
                sent.again.into(),
                Value::Percent(percent(sent.again, sent.segments)),
                Value::from((!peer.lacks_sack || sent.spurious > 0).then_some(sent.spurious)),
                Value::Owners(owners),
            ]
        })
        .collect();
    let columns =
        &["peer_addr", "interface", "sockets", "retrans", "retrans_percent", "spurious", "owners"];
    finding.evidence = Table::new(columns, rows);
    finding.command = match is_one {
        true => format!("socktrace -tnpi 'dst = {}'", filter_host(worst.peer)),
        false => "socktrace -tnpi".to_owned(),
    };
    finding.advice.push(match (is_one, is_spurious) {
        (_, true) => "Look for reordering (several paths, bonding) and for delays that jump: the \
                      kernel takes what is late for lost."
            .to_owned(),
        (true, _) => {
            "One peer: its host, its link, or the way to it. Compare from another host.".to_owned()
        }
        (false, _) => format!(
            "Many peers over one interface: look at this end first: `ip -s link show {interface}`, \
             the link, the queue discipline."
        ),
    });
    if let Some(traced) = &case.evidence.traced {
        let seen: Vec<Owner> = traced
            .retransmits
            .iter()
            .filter(|seen| seen.peer == worst.peer)
            .filter_map(|seen| seen.worker.as_ref())
            .map(Owner::from)
            .collect();
        if !seen.is_empty() && who.is_empty() {
            finding.advice.push(format!("They were sent by {}.", named(&seen)));
        }
    }
    Some(finding)
}

/// How often the kernel concluded while it was watched that what it had taken for loss was none,
/// as "N times (COUNTER n, ...)". It counts so by namespace, and whole recoveries, not segments: no
/// peer's share can be computed from it. TCPSpuriousRTOs are some of TCPLossUndo.
fn undone(evidence: &Evidence) -> Option<String> {
    const COUNTERS: [&str; 4] = ["TCPFullUndo", "TCPPartialUndo", "TCPDSACKUndo", "TCPLossUndo"];
    let rise = |name: &&'static str| {
        let count = evidence.rise(&format!("TcpExt.{name}"))?;
        (count > 0).then_some((*name, count))
    };
    let risen: Vec<_> = COUNTERS.iter().filter_map(rise).collect();
    let all: u64 = risen.iter().map(|(_, count)| count).sum();
    let each: Vec<_> =
        risen.iter().map(|(name, count)| format!("{name} {}", grouped(*count))).collect();
    (all > 0).then(|| format!("{} ({})", counted(all, "time"), each.join(", ")))
}
