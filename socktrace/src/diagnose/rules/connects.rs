//! Connections that do not come about.

use std::collections::BTreeMap;

use super::exposure::loopback_listener_for;
use crate::diagnose::evidence::{ConnectError, Evidence, FailedConnects, Tcp};
use crate::diagnose::finding::{
    Finding, Owner, Severity, Table, Value, counted, end, named, owners, owners_of_all, span,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold};
use crate::socket::{InetEnd, State};

pub(super) static CONNECT_FAILED: Rule = Rule {
    name: "connect-failed",
    finds: "connects that fail, by destination, error and process",
    needs: Needs::Tracing,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "count",
            value: 3.0,
            unit: "failures while it was watched",
            reason: "one may be a race with a restart, or somebody who tries IPv6 first",
        },
        Threshold {
            name: "many",
            value: 50.0,
            unit: "failures while it was watched",
            reason: "nobody retries so often on purpose",
        },
    ],
    why: "Each failed connect is a request that failed or was delayed.",
    advice: &[],
    judge: connect_failed,
};

fn connect_failed(case: &Case<'_>) -> Vec<Finding> {
    let Some(traced) = &case.evidence.traced else { return Vec::new() };
    let mut by_place: BTreeMap<(InetEnd, ConnectError), Vec<&FailedConnects>> = BTreeMap::new();
    for failed in traced.failed_connects.iter().filter(|failed| failed.is_here) {
        // Those are findings of their own, which say why.
        let is_explained = match failed.error {
            ConnectError::NoPort => has_destination(case.evidence, failed.peer),
            _ => loopback_listener_for(case.evidence, failed.peer).is_some(),
        };
        if !is_explained {
            by_place.entry((failed.peer, failed.error)).or_default().push(failed);
        }
    }
    by_place
        .into_iter()
        .filter_map(|((peer, error), failed)| judge_failed(case, peer, error, &failed))
        .collect()
}

/// Whether `ephemeral-ports` judges the ports towards this peer.
fn has_destination(evidence: &Evidence, peer: InetEnd) -> bool {
    evidence.destinations.iter().any(|destination| {
        destination.peer.port == peer.port && destination.peer.addr.to_canonical() == peer.addr
    })
}

fn judge_failed(
    case: &Case<'_>,
    peer: InetEnd,
    error: ConnectError,
    failed: &[&FailedConnects],
) -> Option<Finding> {
    let count: u64 = failed.iter().map(|failed| failed.count).sum();
    let severity = case.severity(count as f64, "count", "many")?;
    let who = workers(failed);
    let mut finding = case.finding(
        severity,
        format!(
            "{} cannot connect to {}: {} {} in {}",
            named(&who),
            end(peer),
            counted(count, "attempt"),
            match error {
                ConnectError::Refused => "refused",
                ConnectError::TimedOut => "timed out",
                ConnectError::Reset => "reset",
                ConnectError::Unreachable => "found no way to it",
                ConnectError::GivenUp => "given up without an answer",
                ConnectError::NoPort => "found no local port",
            },
            span(u64::try_from(case.evidence.watch.span.as_millis()).unwrap_or(u64::MAX)),
        ),
    );
    finding.weight = count;
    finding.because = "each failure was seen in the kernel, with its error".to_owned();
    let rows = failed
        .iter()
        .map(|failed| {
            let owner = failed.worker.as_ref().map(Owner::from);
            vec![
                peer.into(),
                error.name().into(),
                failed.count.into(),
                Value::Owners(owner.into_iter().collect()),
            ]
        })
        .collect();
    finding.evidence = Table::new(&["peer", "error", "count", "owners"], rows);
    finding.command = format!("socktrace life 'dst = {}'", end(peer));
    let is_local = case.evidence.is_local(peer.addr);
    finding.advice.push(match error {
        ConnectError::Refused if is_local => format!(
            "Nothing listens there on this host: socktrace -tlnp 'sport = :{}'. Is the service \
             down, or on another address?",
            peer.port
        ),
        ConnectError::Refused => "The host is there, but nothing listens on the port (or a filter \
                                  answers for it): is the service down, or on another address?"
            .to_owned(),
        ConnectError::TimedOut | ConnectError::GivenUp => "Nothing answers: the host is down, its \
                                                           accept queue is full, or a filter drops \
                                                           the SYN."
            .to_owned(),
        ConnectError::Reset => {
            "Something between, or the peer, breaks the handshake off.".to_owned()
        }
        ConnectError::Unreachable => "There is no route: `ip route get` tells.".to_owned(),
        ConnectError::NoPort => {
            "All ports of net.ipv4.ip_local_port_range were in use towards it.".to_owned()
        }
    });
    Some(finding)
}

/// Everybody whose attempts failed, each once.
pub(super) fn workers(failed: &[&FailedConnects]) -> Vec<Owner> {
    let mut who: Vec<Owner> =
        failed.iter().filter_map(|failed| failed.worker.as_ref()).map(Owner::from).collect();
    who.sort_by_key(|owner| owner.pid);
    who.dedup_by_key(|owner| owner.pid);
    who
}

pub(super) static CONNECT_UNANSWERED: Rule = Rule {
    name: "connect-unanswered",
    finds: "connects whose SYN is not answered",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "retries",
            value: 2.0,
            unit: "SYNs sent again",
            reason: "the second goes out two or three seconds after the first SYN: no path is that long",
        },
        Threshold {
            name: "count",
            value: 3.0,
            unit: "connections to one destination",
            reason: "one may be a peer that was just switched off",
        },
    ],
    why: "Until the kernel gives up (two minutes by default) the process waits, often with a \
          request of somebody else's behind it.",
    advice: &[
        "The destination is down, its accept queue is full, or a filter drops the SYN without a \
         word. A destination on this host: look at its listener first.",
        "A shorter patience in the program, or net.ipv4.tcp_syn_retries.",
    ],
    judge: connect_unanswered,
};

/// Whether somebody on this host listens there and does not accept: then that is the finding.
fn is_full_listener(evidence: &Evidence, peer: InetEnd) -> bool {
    evidence.is_local(peer.addr)
        && evidence
            .listeners()
            .any(|listener| listener.local.port == peer.port && listener.recv_q > listener.send_q)
}

fn connect_unanswered(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let mut by_peer: BTreeMap<InetEnd, Vec<&Tcp>> = BTreeMap::new();
    for socket in &evidence.tcp {
        if socket.state == State::SynSent && !is_full_listener(evidence, socket.peer) {
            by_peer.entry(socket.peer).or_default().push(socket);
        }
    }
    by_peer
        .into_iter()
        .filter_map(|(peer, all)| {
            let retries = |socket: &Tcp| f64::from(socket.timer.retransmits);
            let (sockets, growth) =
                case.pile(all, |socket| retries(socket) >= case.limit("retries"));
            if sockets.is_empty() {
                return None;
            }
            let severity = match sockets.len() as f64 >= case.limit("count") {
                true => Severity::Warning,
                false => Severity::Note,
            };
            let inodes: Vec<_> = sockets.iter().map(|socket| socket.inode).collect();
            let who = owners_of_all(evidence, &inodes);
            let mut finding = case.finding(
                severity,
                format!(
                    "{} gets no answer from {}: {} in SYN-SENT{growth}",
                    named(&who),
                    end(peer),
                    counted(sockets.len() as u64, "connection")
                ),
            );
            finding.weight = sockets.len() as u64;
            finding.because = "each SYN was sent several times, seconds apart".to_owned();
            let rows = sockets
                .iter()
                .map(|socket| {
                    vec![
                        socket.local.into(),
                        socket.peer.into(),
                        socket.state.into(),
                        u32::from(socket.timer.retransmits).into(),
                        Value::Owners(owners(evidence, socket.inode)),
                    ]
                })
                .collect();
            finding.evidence = Table::new(&["local", "peer", "state", "retrans", "owners"], rows);
            finding.command = format!("socktrace -tnpo state syn-sent 'dst = {}'", end(peer));
            Some(finding)
        })
        .collect()
}
