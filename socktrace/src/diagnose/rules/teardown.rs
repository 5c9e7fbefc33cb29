//! Connections that do not come to their end.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::diagnose::evidence::Tcp;
use crate::diagnose::finding::{
    Finding, Severity, Table, counted, filter_host, grouped, named, owners, span,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold, percent};
use crate::socket::State;

pub(super) static ORPHANS: Rule = Rule {
    name: "orphans",
    finds: "connections that no process has any more and that the kernel still has to end",
    needs: Needs::Snapshot,
    of: Of::Host,
    thresholds: &[
        Threshold {
            name: "count",
            value: 200.0,
            unit: "sockets",
            reason: "a busy server has some at any time, each for a round trip",
        },
        Threshold {
            name: "warning-percent",
            value: 25.0,
            unit: "% of net.ipv4.tcp_max_orphans",
            reason: "the kernel counts some of them twice or four times against the limit",
        },
        Threshold {
            name: "critical-percent",
            value: 50.0,
            unit: "% of net.ipv4.tcp_max_orphans",
            reason: "with those that count twice, the limit is reached: the kernel resets them",
        },
    ],
    why: "An orphan keeps its buffers until the peer has answered. Beyond the limit the kernel \
          resets connections, and data that was written is lost.",
    advice: &[
        "Peers that vanish or do not read: the rows name them. net.ipv4.tcp_orphan_retries and \
         tcp_fin_timeout shorten the wait.",
    ],
    judge: orphans,
};

fn orphans(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let count = evidence.total("TCP.orphan");
    let share = evidence.host.tcp_max_orphans.map(|most| percent(count, most));
    let severity = match case.severity(share.unwrap_or(0.0), "warning-percent", "critical-percent")
    {
        Some(severity) => severity,
        None if count as f64 >= case.limit("count") => Severity::Note,
        None => return Vec::new(),
    };
    let orphaned = |socket: &&Tcp| {
        socket.inode.0 == 0
            && matches!(
                socket.state,
                State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing
            )
    };
    let sockets: Vec<&Tcp> = evidence.tcp.iter().filter(orphaned).collect();
    let mut finding = case.finding(
        severity,
        format!(
            "{} have no process any more{}",
            counted(count, "connection"),
            share.map_or_else(String::new, |share| format!(" ({share:.0}% of tcp_max_orphans)"))
        ),
    );
    finding.weight = count;
    finding.because = "the kernel counts them (/proc/net/sockstat)".to_owned();
    finding.evidence = by_peer(&sockets);
    finding.command = "socktrace states --by peer,state state fin-wait-1 state fin-wait-2 \
                       state last-ack state closing"
        .to_owned();
    vec![finding]
}

fn by_peer(sockets: &[&Tcp]) -> Table {
    let mut counts: BTreeMap<(IpAddr, State), u64> = BTreeMap::new();
    for socket in sockets {
        *counts.entry((socket.peer.addr, socket.state)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rows = counts
        .into_iter()
        .map(|((peer, state), count)| vec![filter_host(peer).into(), state.into(), count.into()])
        .collect();
    Table::new(&["peer_addr", "state", "count"], rows)
}

pub(super) static FIN_WAIT_2: Rule = Rule {
    name: "fin-wait-2",
    finds: "connections shut down here and kept open, which the peers do not close",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "age",
            value: 60.0,
            unit: "seconds since the peer was heard of",
            reason: "the kernel's own patience for sockets without a process (tcp_fin_timeout)",
        },
        Threshold {
            name: "count",
            value: 50.0,
            unit: "sockets of one process",
            reason: "some peers take long to answer a half-closed connection",
        },
    ],
    why: "shutdown() without close(): the kernel sets no limit, so each keeps its descriptor until \
          the peer closes, which a peer in CLOSE-WAIT never does.",
    advice: &[
        "After shutdown() the process has to close() in the end, whatever the peer does. At the \
         peer this is close-wait.",
    ],
    judge: |case| piles(case, State::FinWait2),
};

pub(super) static LAST_ACK: Rule = Rule {
    name: "last-ack",
    finds: "connections that wait for the ACK of their last FIN",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "age",
            value: 3.0,
            unit: "seconds since the peer was heard of",
            reason: "the ACK takes a round trip",
        },
        Threshold {
            name: "count",
            value: 50.0,
            unit: "sockets",
            reason: "some peers are switched off between FIN and ACK at any time",
        },
    ],
    why: "The peers have vanished after their FIN, or a filter between has forgotten the \
          connections too early. They cost memory until the kernel gives up.",
    advice: &["One peer: that host. Many: a filter or a NAT with too short a memory for closing \
               connections."],
    judge: |case| piles(case, State::LastAck),
};

fn piles(case: &Case<'_>, state: State) -> Vec<Finding> {
    let evidence = case.evidence;
    let age = (case.limit("age") * 1000.0) as u32;
    let mut by_owner: BTreeMap<Option<u32>, Vec<&Tcp>> = BTreeMap::new();
    for socket in &evidence.tcp {
        // What has no process ends by the kernel's clock; LAST-ACK always does.
        let counts = socket.inode.0 != 0 || state == State::LastAck;
        if socket.state == state && counts {
            let owner = evidence.processes.first_of(socket.inode).map(|process| process.pid);
            by_owner.entry(owner).or_default().push(socket);
        }
    }
    by_owner
        .into_values()
        .filter_map(|all| {
            let (sockets, growth) = case.pile(all, |socket| socket.info.last_ack_recv_ms >= age);
            let who = owners(evidence, sockets.first()?.inode);
            if (sockets.len() as f64) < case.limit("count") {
                return None;
            }
            let whose = match who.is_empty() {
                true => String::new(),
                false => format!(" of {}", named(&who)),
            };
            let mut finding = case.finding(
                Severity::Warning,
                format!(
                    "{} connections{whose} are stuck in {}{growth}",
                    grouped(sockets.len() as u64),
                    state.name()
                ),
            );
            finding.weight = sockets.len() as u64;
            finding.because =
                format!("nothing was heard of these peers for {} and more", span(age.into()));
            finding.evidence = by_peer(&sockets);
            finding.command =
                format!("socktrace -tnpo state {}", state.name().to_ascii_lowercase());
            Some(finding)
        })
        .collect()
}
