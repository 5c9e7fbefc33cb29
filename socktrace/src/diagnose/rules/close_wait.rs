//! Connections that the peer has closed and this side has not.

use std::collections::BTreeMap;

use crate::diagnose::evidence::Tcp;
use crate::diagnose::finding::{
    Finding, Severity, Sure, Table, Value, counted, end, grouped, named, owners, span,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold, percent};
use crate::socket::State;

pub(super) static CLOSE_WAIT: Rule = Rule {
    name: "close-wait",
    finds: "a process that does not close connections which its peers have closed",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "age",
            value: 2.0,
            unit: "seconds",
            reason: "a program that reads its sockets closes within milliseconds of the peer's FIN",
        },
        Threshold {
            name: "count",
            value: 10.0,
            unit: "sockets of one process",
            reason: "a few may be half-closed on purpose, or lie in a pool that has not looked yet",
        },
        Threshold {
            name: "many",
            value: 100.0,
            unit: "sockets of one process",
            reason: "nobody half-closes so many; the default limit of descriptors is 1024",
        },
        Threshold {
            name: "descriptors-percent",
            value: 25.0,
            unit: "% of the process's descriptor limit",
            reason: "a quarter of the way to EMFILE",
        },
    ],
    why: "CLOSE-WAIT ends only when the process calls close(): no timer and no setting helps. Each \
          one keeps a descriptor, until the process can open nothing any more.",
    advice: &[
        "It is a bug in the process: a path (an error, a timeout, a pool that is not told) on which \
         the socket is dropped without close(). The peers in the rows above tell which connections they are.",
        "Until it is mended: restart the process. `ss -K` frees the connection, not the descriptor.",
    ],
    judge: close_wait,
};

/// At least so long ago: the peer has sent nothing after its FIN, so the last ACK that came is not
/// older than it.
fn age_ms(socket: &Tcp) -> u32 {
    socket.info.last_ack_recv_ms
}

/// Half-closed connections on which this side still sends are in use.
fn is_left_behind(socket: &Tcp, age: u32) -> bool {
    age_ms(socket) >= age && socket.info.last_data_sent_ms >= age
}

fn close_wait(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let mut by_owner: BTreeMap<Option<u32>, Vec<&Tcp>> = BTreeMap::new();
    let is_held = |socket: &&Tcp| socket.state == State::CloseWait && socket.inode.0 != 0;
    for socket in evidence.tcp.iter().filter(is_held) {
        let owner = evidence.processes.first_of(socket.inode).map(|process| process.pid);
        by_owner.entry(owner).or_default().push(socket);
    }
    by_owner.into_iter().filter_map(|(pid, sockets)| judge_process(case, pid, sockets)).collect()
}

fn judge_process(case: &Case<'_>, pid: Option<u32>, all: Vec<&Tcp>) -> Option<Finding> {
    let evidence = case.evidence;
    let age = (case.limit("age") * 1000.0) as u32;
    let (mut sockets, growth) = case.pile(all, |socket| is_left_behind(socket, age));
    let count = sockets.len() as u64;
    sockets.sort_by_key(|socket| std::cmp::Reverse(age_ms(socket)));
    let oldest = sockets.first().map_or(0, |socket| age_ms(socket));
    let process = pid.and_then(|pid| evidence.processes.known.get(&pid));
    let of_limit = process
        .and_then(|process| process.descriptor_limit)
        .map_or(0.0, |limit| percent(count, limit));

    let severity = if count as f64 >= case.limit("many")
        || (of_limit >= case.limit("descriptors-percent") && count as f64 >= case.limit("count"))
    {
        Severity::Critical
    } else if count as f64 >= case.limit("count") {
        Severity::Warning
    } else {
        Severity::Note
    };
    let who = owners(evidence, sockets.first()?.inode);
    let mut finding = case.finding(
        severity,
        format!(
            "{} holds {} that the peer has closed (CLOSE-WAIT), the oldest for at least {}{growth}",
            named(&who),
            counted(count, "connection"),
            span(oldest.into())
        ),
    );
    finding.weight = count;
    (finding.sure, finding.because) = match severity {
        Severity::Note => (
            Sure::Possible,
            "so few may be half-closed on purpose, with an answer still to come".to_owned(),
        ),
        _ => (
            Sure::Certain,
            "the peers have sent FIN, and nothing was sent on these connections since".to_owned(),
        ),
    };
    let rows = sockets
        .iter()
        .map(|socket| {
            let who = owners(evidence, socket.inode);
            vec![
                socket.local.into(),
                socket.peer.into(),
                socket.state.into(),
                age_ms(socket).into(),
                socket.recv_q.into(),
                Value::Owners(who),
            ]
        })
        .collect();
    let columns = &["local", "peer", "state", "age_ms", "recv_q", "owners"];
    finding.evidence = Table::new(columns, rows);
    finding.command = match most_common_place(&sockets) {
        Some(place) => format!("socktrace -tnpi state close-wait '{place}'"),
        None => "socktrace -tnpi state close-wait".to_owned(),
    };
    if let Some(limit) = process.and_then(|process| process.descriptor_limit)
        && of_limit >= 1.0
    {
        finding.advice.push(format!(
            "They are {of_limit:.0}% of the {} descriptors that the process may have.",
            grouped(limit)
        ));
    }
    Some(finding)
}

/// The one port that all of them have in common, as a filter.
fn most_common_place(sockets: &[&Tcp]) -> Option<String> {
    let first = sockets.first()?;
    let same = |end: fn(&Tcp) -> u16| sockets.iter().all(|socket| end(socket) == end(first));
    if same(|socket| socket.local.port) {
        Some(format!("sport = :{}", first.local.port))
    } else if sockets.iter().all(|socket| socket.peer == first.peer) {
        Some(format!("dst = {}", end(first.peer)))
    } else if same(|socket| socket.peer.port) {
        Some(format!("dport = :{}", first.peer.port))
    } else {
        None
    }
}
