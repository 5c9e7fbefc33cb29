//! Local ports towards one destination, and TIME-WAIT.

use crate::diagnose::evidence::{ConnectError, Destination, Evidence, TwReuse};
use crate::diagnose::finding::{
    Finding, Owner, Severity, Sure, Table, Value, counted, end, filter_host, grouped, named,
    owners_of_all,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold, percent};
use crate::socket::{InetEnd, State};

pub(super) static EPHEMERAL_PORTS: Rule = Rule {
    name: "ephemeral-ports",
    finds: "a destination towards which the local ports run out",
    needs: Needs::SnapshotOrEvents,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "warning-percent",
            value: 75.0,
            unit: "% of the ports of ip_local_port_range",
            reason: "connect() has to search longer and longer; a burst takes the rest",
        },
        Threshold {
            name: "critical-percent",
            value: 90.0,
            unit: "% of the ports of ip_local_port_range",
            reason: "the next burst fails with EADDRNOTAVAIL",
        },
    ],
    why: "A connection needs a local port that no other connection to the same address and port \
          has. Without one, connect() fails with EADDRNOTAVAIL, for this destination only, which \
          looks like an outage of the destination.",
    advice: &[
        "Reuse connections: keep-alive, a pool. That is the cure; the rest buys time.",
        "Widen net.ipv4.ip_local_port_range, or use more local or destination addresses: ports are \
         counted for each pair.",
    ],
    judge: ephemeral_ports,
};

fn ephemeral_ports(case: &Case<'_>) -> Vec<Finding> {
    let destinations = &case.evidence.destinations;
    destinations.iter().filter_map(|destination| judge_destination(case, destination)).collect()
}

fn judge_destination(case: &Case<'_>, destination: &Destination) -> Option<Finding> {
    let evidence = case.evidence;
    let settings = &evidence.settings;
    let available = settings.ephemeral_ports();
    let reuses = settings.reuses_time_wait(destination.local, destination.peer.addr);
    // A port in TIME-WAIT that may be taken again is as good as free.
    let taken =
        if reuses { destination.open + destination.time_wait_young } else { destination.ports() };
    let share = percent(taken, available);
    let failures = failures(evidence, destination);
    let severity = match failures {
        0 => case.severity(share, "warning-percent", "critical-percent")?,
        _ => Severity::Critical,
    };
    let who = owners_towards(evidence, destination);
    let whose = match (who.is_empty(), destination.uid) {
        (true, Some(uid)) => format!("a process of user {uid}"),
        (true, None) => "somebody (TIME-WAIT has no process)".to_owned(),
        (false, _) => named(&who),
    };
    let failed = match failures {
        0 => String::new(),
        _ => format!(", and {} failed for want of one", counted(failures, "connect")),
    };
    let mut finding = case.finding(
        severity,
        format!(
            "{whose} uses {} of {} local ports towards {} ({share:.0}%){failed}",
            grouped(taken),
            grouped(available),
            end(destination.peer)
        ),
    );
    finding.weight = taken.into();
    finding.because = format!(
        "each port was listed by the kernel; {}",
        match (settings.tcp_tw_reuse, reuses) {
            (_, true) => "those whose TIME-WAIT is old enough for tcp_tw_reuse do not count",
            (TwReuse::Loopback, false) => "tcp_tw_reuse is 2: it reuses TIME-WAIT on loopback only",
            (_, false) => "tcp_tw_reuse is 0: TIME-WAIT holds its port for 60 s",
        }
    );
    let row = vec![
        filter_host(destination.local).into(),
        destination.peer.into(),
        destination.open.into(),
        (destination.time_wait_young + destination.time_wait_old).into(),
        available.into(),
        Value::Owners(who),
    ];
    let columns = &["local_addr", "peer", "open", "time_wait", "ports", "owners"];
    finding.evidence = Table::new(columns, vec![row]);
    finding.command = format!(
        "socktrace states -a --by process,state 'dst = {}:{}'",
        filter_host(destination.peer.addr),
        destination.peer.port
    );
    if !reuses && destination.time_wait_old > destination.open {
        finding.advice.push(
            "Most of them are TIME-WAIT: net.ipv4.tcp_tw_reuse=1 lets connect() take their ports \
             again after a second (it is safe where both sides have timestamps)."
                .to_owned(),
        );
    }
    Some(finding)
}

/// Who uses ports towards a destination: who holds the sockets, or else who was seen to connect
/// (sockets in TIME-WAIT have no process any more).
pub(super) fn owners_towards(evidence: &Evidence, destination: &Destination) -> Vec<Owner> {
    let holders = owners_of_all(evidence, &destination.inodes);
    if !holders.is_empty() {
        return holders;
    }
    let callers = evidence.callers.get(&canonical(destination.peer));
    callers.into_iter().flatten().map(Owner::from).collect()
}

/// How many connects failed because there was no port left.
fn failures(evidence: &Evidence, destination: &Destination) -> u64 {
    let peer = canonical(destination.peer);
    let failed = evidence.traced.iter().flat_map(|traced| &traced.failed_connects);
    let failed =
        failed.filter(|failed| failed.error == ConnectError::NoPort && failed.peer == peer);
    failed.map(|failed| failed.count).sum()
}

fn canonical(end: InetEnd) -> InetEnd {
    InetEnd { addr: end.addr.to_canonical(), ..end }
}

pub(super) static TIME_WAIT: Rule = Rule {
    name: "time-wait",
    finds: "a pile of TIME-WAIT, and whether it does any harm",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "count",
            value: 5000.0,
            unit: "sockets",
            reason: "so many worry people; each costs the kernel 256 bytes and nothing else",
        },
        Threshold {
            name: "buckets-percent",
            value: 90.0,
            unit: "% of net.ipv4.tcp_max_tw_buckets",
            reason: "beyond the limit the kernel ends TIME-WAIT at once, and old segments may reach \
                     a new connection",
        },
    ],
    why: "TIME-WAIT keeps late segments out of the next connection with the same addresses. It has \
          no process and no descriptor. It does harm only if ports run out (ephemeral-ports) or if \
          the limit is reached.",
    advice: &[
        "Nothing, unless ephemeral-ports says otherwise. Whoever closes first has it: connections \
         that are reused are not closed at all.",
    ],
    judge: time_wait,
};

fn time_wait(case: &Case<'_>) -> Vec<Finding> {
    judge_pile(case).into_iter().collect()
}

fn judge_pile(case: &Case<'_>) -> Option<Finding> {
    let evidence = case.evidence;
    let count = evidence.states.get(State::TimeWait);
    let share = evidence.settings.tcp_max_tw_buckets.map_or(0.0, |most| percent(count, most));
    let is_at_limit = share >= case.limit("buckets-percent");
    if f64::from(count) < case.limit("count") && !is_at_limit {
        return None;
    }
    let (severity, harm) = match is_at_limit {
        true => (Severity::Warning, format!("{share:.0}% of tcp_max_tw_buckets")),
        false => (Severity::Note, "harmless".to_owned()),
    };
    let mut finding =
        case.finding(severity, format!("{} in TIME-WAIT: {harm}", counted(count, "connection")));
    finding.weight = count.into();
    finding.because = "the kernel lists each of them".to_owned();
    let mut rows: Vec<&Destination> = evidence.destinations.iter().collect();
    rows.sort_by_key(|destination| std::cmp::Reverse(destination.ports()));
    let rows = rows.into_iter().map(|destination| {
        vec![
            filter_host(destination.local).into(),
            destination.peer.into(),
            (destination.time_wait_young + destination.time_wait_old).into(),
        ]
    });
    finding.evidence = Table::new(&["local_addr", "peer", "time_wait"], rows.collect());
    finding.sure = Sure::Certain;
    finding.command = "socktrace states --by peer,port state time-wait".to_owned();
    Some(finding)
}
