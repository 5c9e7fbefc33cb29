//! Connections that wait to be accepted, and those that did not get so far.

use crate::diagnose::evidence::{Doing, Tcp};
use crate::diagnose::finding::{
    Finding, Severity, Sure, Table, Value, counted, end, grouped, named, owners,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold, percent};
use crate::socket::State;

pub(super) static ACCEPT_QUEUE: Rule = Rule {
    name: "accept-queue",
    finds: "a listener whose queue of connections to accept is full, or nearly so",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "full-percent",
            value: 75.0,
            unit: "% of the backlog",
            reason: "bursts fill half a queue and are taken at once; three quarters leave no room",
        },
        Threshold {
            name: "least-waiting",
            value: 4.0,
            unit: "connections",
            reason: "below it the backlog is so small that one burst fills it",
        },
        Threshold {
            name: "drops",
            value: 1.0,
            unit: "dropped attempts per second while it was watched",
            reason: "each costs a client a second at least; fewer are bursts, which make a warning",
        },
    ],
    why: "When the queue is full the kernel drops the last ACK of a handshake: the client believes \
          that it is connected, sends, and waits for seconds until it gives up.",
    advice: &[
        "Look at what the process does instead of accept() (stuck, stopped, out of threads or \
         descriptors): no backlog is long enough for a server that does not take its connections.",
        "If it accepts, but not fast enough: more workers, then a longer backlog in listen() and \
         net.core.somaxconn.",
    ],
    judge: accept_queue,
};

const LISTENER: &[&str] = &["local", "recv_q", "send_q", "drops", "owners"];

fn accept_queue(case: &Case<'_>) -> Vec<Finding> {
    case.evidence.listeners().filter_map(|listener| judge_queue(case, listener)).collect()
}

fn judge_queue(case: &Case<'_>, listener: &Tcp) -> Option<Finding> {
    let (waiting, backlog) = (listener.recv_q, listener.send_q);
    let least = listener.earlier.map_or(waiting, |earlier| earlier.least_recv_q);
    let dropped = listener.earlier.map(|earlier| listener.drops().saturating_sub(earlier.drops));
    let dropped = dropped.unwrap_or(0);
    let is_full = |queue: u32| backlog > 0 && queue > backlog;
    let is_nearly_full = percent(least, backlog) >= case.limit("full-percent")
        && f64::from(least) >= case.limit("least-waiting");
    let is_stuck = is_full(least) || (is_full(waiting) && listener.earlier.is_none());

    let is_dropping = dropped > 0 && case.evidence.watch.asked;
    let drops = case.per_second(dropped.into());
    let severity = if is_stuck || (is_dropping && drops >= case.limit("drops")) {
        Severity::Critical
    } else if is_nearly_full || is_dropping {
        Severity::Warning
    } else if listener.drops() > 0 {
        Severity::Note
    } else {
        return None;
    };
    let who = owners(case.evidence, listener.inode);
    let place = end(listener.local);
    let queue = format!("{} of {} wait", grouped(waiting), grouped(backlog));
    let what = match severity {
        Severity::Critical if is_stuck => format!(
            "{} does not accept: the queue of {place} is full ({queue}){}",
            named(&who),
            match listener.drops() {
                0 => String::new(),
                drops => format!(", {} dropped", grouped(drops)),
            }
        ),
        Severity::Critical | Severity::Warning if is_dropping => format!(
            "{} accepts too slowly: {place} dropped {} meanwhile ({queue})",
            named(&who),
            counted(dropped, "connection attempt")
        ),
        Severity::Critical | Severity::Warning => {
            format!(
                "{} accepts too slowly: the queue of {place} is nearly full ({queue})",
                named(&who)
            )
        }
        Severity::Note => format!(
            "{place} of {} has dropped {} since it listens; its queue is not full now ({queue})",
            named(&who),
            counted(listener.drops(), "connection attempt")
        ),
    };
    let mut finding = case.finding(severity, what);
    finding.weight = u64::from(waiting.max(dropped));
    (finding.sure, finding.because) = match (severity, listener.earlier) {
        (Severity::Note, _) => (
            Sure::Certain,
            "the drops are counted by the kernel for this listener, over its whole life: they say \
             nothing about now"
                .to_owned(),
        ),
        (_, Some(earlier)) => (
            Sure::Certain,
            format!(
                "seen {} times within {:.1} s, never fewer than {} waiting; the drops are counted \
                 by the kernel for this very listener",
                case.evidence.watch.looks,
                earlier.ago.as_secs_f64(),
                grouped(least)
            ),
        ),
        (_, None) => (Sure::Likely, "seen once: it may have been a burst".to_owned()),
    };
    let row = vec![
        listener.local.into(),
        waiting.into(),
        backlog.into(),
        listener.drops().into(),
        Value::Owners(who),
    ];
    finding.evidence = Table::new(LISTENER, vec![row]);
    finding.command = format!("socktrace -tlnpm 'sport = :{}'", listener.local.port);
    finding.advice.splice(0..0, instead_of_accept(case, listener));
    Some(finding)
}

/// What keeps the owner from accepting, as far as its threads show it.
fn instead_of_accept(case: &Case<'_>, listener: &Tcp) -> Vec<String> {
    let mut seen = Vec::new();
    for process in case.evidence.processes.of(listener.inode) {
        if process.doing.contains(&Doing::Stopped) {
            seen.push(format!("Process {} is stopped: kill -CONT {0} lets it go on.", process.pid));
            continue;
        }
        if let (Some(used), Some(limit)) = (process.descriptors, process.descriptor_limit)
            && used >= limit
        {
            seen.push(format!(
                "Process {} has all of its {} descriptors in use: accept() fails with EMFILE.",
                process.pid,
                grouped(limit)
            ));
        }
        let mut calls: Vec<&str> = process
            .doing
            .iter()
            .map(|doing| match doing {
                Doing::InCall(call) => call.as_str(),
                Doing::Running | Doing::Stopped => "running in user space",
            })
            .collect();
        calls.sort_unstable();
        calls.dedup();
        if !calls.is_empty() && !calls.iter().any(|call| call.starts_with("accept")) {
            calls.truncate(4);
            seen.push(format!(
                "Nobody is in accept(): the threads of process {} are in {}.",
                process.pid,
                calls.join(", ")
            ));
        }
    }
    seen.truncate(3);
    seen
}

pub(super) static SYN_BACKLOG: Rule = Rule {
    name: "syn-backlog",
    finds: "handshakes that pile up at a listener, SYN cookies, dropped SYNs",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "full-percent",
            value: 75.0,
            unit: "% of the backlog",
            reason: "a handshake takes one round trip; a queue of them this long means that ACKs do \
                     not come back",
        },
        Threshold {
            name: "least-pending",
            value: 16.0,
            unit: "handshakes",
            reason: "a burst of clients that are far away looks the same in small numbers",
        },
        Threshold {
            name: "cookies",
            value: 1.0,
            unit: "SYN cookies or dropped SYNs per second",
            reason: "the kernel sends cookies only when a queue is full",
        },
    ],
    why: "With the queue of handshakes full, new clients get SYN cookies (without window scaling \
          and SACK where timestamps are missing) or no answer at all.",
    advice: &[
        "Many peers with few handshakes each that never finish: a SYN flood. Keep \
         net.ipv4.tcp_syncookies at 1, filter before this host.",
        "Peers that you know: their ACKs get lost on the way; look at the path and at stateful \
         filters in between.",
        "A real rush: a longer backlog in listen(), net.core.somaxconn, net.ipv4.tcp_max_syn_backlog.",
    ],
    judge: syn_backlog,
};

fn syn_backlog(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let mut findings = Vec::new();
    for listener in evidence.listeners() {
        let pending: Vec<&Tcp> = evidence
            .tcp
            .iter()
            .filter(|socket| socket.state == State::SynRecv && is_of(socket, listener))
            .collect();
        // Without cookies, tcp_max_syn_backlog is a bound of its own.
        let bound = match (evidence.settings.tcp_syncookies, evidence.settings.tcp_max_syn_backlog)
        {
            (Some(0), Some(most)) => u64::from(listener.send_q).min(most),
            _ => listener.send_q.into(),
        };
        let count = pending.len() as u64;
        if percent(count, bound) < case.limit("full-percent")
            || (count as f64) < case.limit("least-pending")
        {
            continue;
        }
        let peers: std::collections::BTreeSet<_> =
            pending.iter().map(|socket| socket.peer.addr).collect();
        let who = owners(evidence, listener.inode);
        let mut finding = case.finding(
            Severity::Warning,
            format!(
                "{} at {} of {} wait for their last ACK, from {} (backlog {})",
                counted(count, "handshake"),
                end(listener.local),
                named(&who),
                counted(peers.len() as u64, "address"),
                grouped(bound)
            ),
        );
        finding.weight = count;
        finding.because = "the kernel lists each pending handshake".to_owned();
        let rows = pending.iter().map(|socket| {
            let sent = u32::from(socket.timer.retransmits);
            vec![socket.local.into(), socket.peer.into(), socket.state.into(), sent.into()]
        });
        finding.evidence = Table::new(&["local", "peer", "state", "retrans"], rows.collect());
        finding.command =
            format!("socktrace -tno state syn-recv 'sport = :{}'", listener.local.port);
        findings.push(finding);
    }
    findings.extend(syn_counters(case));
    findings
}

fn is_of(socket: &Tcp, listener: &Tcp) -> bool {
    socket.local.port == listener.local.port
        && (listener.local.addr.is_unspecified()
            || listener.local.addr.to_canonical() == socket.local.addr.to_canonical())
}

/// What the counters say of SYNs that found no room.
fn syn_counters(case: &Case<'_>) -> Option<Finding> {
    const COUNTERS: [(&str, &str); 3] = [
        ("TcpExt.SyncookiesSent", "SYN cookies sent"),
        ("TcpExt.TCPReqQFullDoCookies", "SYNs that found the queue full, answered with cookies"),
        ("TcpExt.TCPReqQFullDrop", "SYNs that found the queue full, dropped"),
    ];
    let evidence = case.evidence;
    let risen: u64 = COUNTERS.iter().filter_map(|(name, _)| evidence.rise(name)).max()?;
    if case.per_second(risen) < case.limit("cookies") {
        return None;
    }
    let rows = COUNTERS
        .iter()
        .map(|(name, meaning)| vec![(*name).into(), evidence.rise(name).into(), (*meaning).into()]);
    let mut finding = case.finding(
        Severity::Warning,
        format!(
            "the queue of handshakes overflowed {:.0} times a second while it was watched",
            case.per_second(risen)
        ),
    );
    finding.weight = risen;
    finding.because = "the kernel counted them while it was watched".to_owned();
    finding.evidence = Table::new(&["counter", "count", "meaning"], rows.collect());
    finding.command = "socktrace -tn state syn-recv".to_owned();
    Some(finding)
}
