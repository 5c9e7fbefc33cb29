//! Limits of the host and of processes: descriptors, memory.

use crate::diagnose::evidence::{Process, Tcp};
use crate::diagnose::finding::{
    Finding, Owner, Severity, Sure, Table, Value, bytes, counted, grouped, named, span,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold, percent};
use crate::socket::State;

pub(super) static PROCESS_DESCRIPTORS: Rule = Rule {
    name: "process-descriptors",
    finds: "a process with sockets that has nearly all of its descriptors in use",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "warning-percent",
            value: 80.0,
            unit: "% of RLIMIT_NOFILE",
            reason: "what a process needs for its work is rarely so near to its limit",
        },
        Threshold {
            name: "critical-percent",
            value: 98.0,
            unit: "% of RLIMIT_NOFILE",
            reason: "the next accept() or connect() fails with EMFILE",
        },
    ],
    why: "At the limit accept(), socket() and open() fail with EMFILE; many servers then spin, or \
          stop to accept without a word.",
    advice: &[
        "Look at what the descriptors are: socktrace states --by process,state, and \
         /proc/PID/fd. CLOSE-WAIT among them is a leak; a higher limit only postpones it.",
        "If they are needed: LimitNOFILE= in the unit, ulimit -n, or prlimit for the running process.",
    ],
    judge: process_descriptors,
};

fn process_descriptors(case: &Case<'_>) -> Vec<Finding> {
    let known = case.evidence.processes.known.values();
    known.filter_map(|process| judge_process(case, process)).collect()
}

fn judge_process(case: &Case<'_>, process: &Process) -> Option<Finding> {
    let (used, limit) = (process.descriptors?, process.descriptor_limit?);
    let share = percent(used, limit);
    let severity = case.severity(share, "warning-percent", "critical-percent")?;
    let who = vec![Owner::from(process)];
    let mut finding = case.finding(
        severity,
        format!("{} uses {} of its {} descriptors", named(&who), grouped(used), grouped(limit)),
    );
    finding.weight = share as u64;
    finding.because = "counted in /proc/PID/fd, against the soft limit".to_owned();
    let row = vec![used.into(), limit.into(), Value::Percent(share), Value::Owners(who)];
    finding.evidence = Table::new(&["descriptors", "limit", "percent", "owners"], vec![row]);
    finding.command = format!("ls -l /proc/{}/fd", process.pid);
    Some(finding)
}

pub(super) static DESCRIPTOR_GROWTH: Rule = Rule {
    name: "descriptor-growth",
    finds: "a process with sockets that opens descriptors and closes none",
    needs: Needs::Watch,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "count",
            value: 20.0,
            unit: "descriptors more while it was watched, and at no look fewer than before",
            reason: "of a process that closes what it opens, there are fewer now and then",
        },
        Threshold {
            name: "looks",
            value: 3.0,
            unit: "looks that saw more than the one before, and half of all looks",
            reason: "what happened once is no trend",
        },
        Threshold {
            name: "left",
            value: 3600.0,
            unit: "seconds until the limit, for a warning",
            reason: "at this pace somebody has to look at it today",
        },
    ],
    why: "A leak ends at the limit, where accept(), socket() and open() fail with EMFILE. Connections \
          that both sides keep open show in no state: only their number grows.",
    advice: &[
        "A program that has just started, or that gets more clients, grows too: watch it longer. A \
         leak never stops.",
        "If what grows are sockets, the command above tells towards whom: there the program opens \
         connections, or accepts them, and keeps them.",
    ],
    judge: descriptor_growth,
};

fn descriptor_growth(case: &Case<'_>) -> Vec<Finding> {
    let known = case.evidence.processes.known.values();
    known.filter_map(|process| judge_growth(case, process)).collect()
}

fn judge_growth(case: &Case<'_>, process: &Process) -> Option<Finding> {
    let growth = process.growth?;
    let more = growth.last.saturating_sub(growth.first);
    let is_steady = growth.falls == 0
        && growth.rises * 2 >= case.evidence.watch.looks
        && f64::from(growth.rises) >= case.limit("looks");
    if !is_steady || (more as f64) < case.limit("count") || is_close_wait(case, process, more) {
        return None;
    }
    let left = process.descriptor_limit.map(|limit| {
        limit.saturating_sub(growth.last) as f64 / case.per_second(more).max(f64::MIN_POSITIVE)
    });
    let severity = match left {
        Some(left) if left <= case.limit("left") => Severity::Warning,
        _ => Severity::Note,
    };
    let who = vec![Owner::from(process)];
    let until = match (left, process.descriptor_limit) {
        (Some(left), Some(limit)) if severity > Severity::Note => {
            format!(
                ": at this pace it has all of its {} in {}",
                grouped(limit),
                span((left * 1e3) as u64)
            )
        }
        _ => String::new(),
    };
    let mut finding = case.finding(
        severity,
        format!(
            "{} opened {} in {} and closed none{until}",
            named(&who),
            counted(more, "descriptor"),
            span(u64::try_from(case.evidence.watch.span.as_millis()).unwrap_or(u64::MAX)),
        ),
    );
    finding.weight = more;
    (finding.sure, finding.because) = (
        Sure::Likely,
        format!(
            "there were more at {} of {} looks than before, and at none fewer",
            growth.rises,
            case.evidence.watch.looks.saturating_sub(1)
        ),
    );
    let row = vec![
        growth.first.into(),
        growth.last.into(),
        process.sockets.into(),
        process.descriptor_limit.into(),
        Value::Owners(who),
    ];
    let columns = &["descriptors_before", "descriptors", "sockets", "limit", "owners"];
    finding.evidence = Table::new(columns, vec![row]);
    finding.command = format!("socktrace states -a --by state,peer,port 'pid = {}'", process.pid);
    Some(finding)
}

/// Whether it is CLOSE-WAIT that grows: then that is the finding.
fn is_close_wait(case: &Case<'_>, process: &Process, more: u64) -> bool {
    let processes = &case.evidence.processes;
    let is_own = |socket: &&Tcp| {
        socket.state == State::CloseWait
            && processes.first_of(socket.inode).is_some_and(|first| first.pid == process.pid)
    };
    case.evidence.tcp.iter().filter(is_own).count() as u64 * 2 >= more
}

pub(super) static HOST_DESCRIPTORS: Rule = Rule {
    name: "host-descriptors",
    finds: "a host that has nearly all of its file handles in use",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "warning-percent",
            value: 80.0,
            unit: "% of fs.file-max",
            reason: "the kernel sets the limit by memory: few hosts come near it in health",
        },
        Threshold {
            name: "critical-percent",
            value: 95.0,
            unit: "% of fs.file-max",
            reason: "the next open fails with ENFILE, in any process",
        },
    ],
    why: "At the limit every process but root's fails to open anything.",
    advice: &["Find who has them: socktrace states --by process. Then fs.file-max."],
    judge: host_descriptors,
};

fn host_descriptors(case: &Case<'_>) -> Vec<Finding> {
    let Some((used, limit)) = case.evidence.host.files else { return Vec::new() };
    let share = percent(used, limit);
    let Some(severity) = case.severity(share, "warning-percent", "critical-percent") else {
        return Vec::new();
    };
    let mut finding = case.finding(
        severity,
        format!("the host uses {} of {} file handles ({share:.0}%)", grouped(used), grouped(limit)),
    );
    finding.because = "the kernel counts them (fs.file-nr)".to_owned();
    let row = vec![used.into(), limit.into(), Value::Percent(share)];
    finding.evidence = Table::new(&["descriptors", "limit", "percent"], vec![row]);
    finding.command = "socktrace states -a --by process".to_owned();
    vec![finding]
}

pub(super) static TCP_MEMORY: Rule = Rule {
    name: "tcp-memory",
    finds: "buffers of TCP that come near net.ipv4.tcp_mem",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "pressure-percent",
            value: 100.0,
            unit: "% of the second number of tcp_mem",
            reason: "there the kernel begins to shrink buffers",
        },
        Threshold {
            name: "limit-percent",
            value: 95.0,
            unit: "% of the third number of tcp_mem",
            reason: "there it begins to drop and to abort connections",
        },
    ],
    why: "Under pressure all connections of the host get slower, whoever caused it; at the limit \
          they are aborted.",
    advice: &[
        "Find whose buffers they are: socktrace -tnpm, the largest Recv-Q and Send-Q; slow-reader \
         and zero-window name them.",
        "Then net.ipv4.tcp_mem, in pages.",
    ],
    judge: tcp_memory,
};

fn tcp_memory(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let used = evidence.total("TCP.mem");
    let Some([_, pressure, limit]) = evidence.host.tcp_mem else { return Vec::new() };
    let aborted = evidence.rise("TcpExt.TCPAbortOnMemory").unwrap_or(0);
    let entered = evidence.rise("TcpExt.TCPMemoryPressures").unwrap_or(0);
    let severity = if percent(used, limit) >= case.limit("limit-percent") || aborted > 0 {
        Severity::Critical
    } else if percent(used, pressure) >= case.limit("pressure-percent") || entered > 0 {
        Severity::Warning
    } else {
        return Vec::new();
    };
    let page = rustix::param::page_size() as u64;
    let mut finding = case.finding(
        severity,
        format!(
            "TCP uses {} of {} that tcp_mem allows; pressure begins at {}",
            bytes(used * page),
            bytes(limit * page),
            bytes(pressure * page)
        ),
    );
    finding.because = "the kernel counts the pages (/proc/net/sockstat)".to_owned();
    let row = vec![used.into(), pressure.into(), limit.into(), aborted.into()];
    let columns = &["pages", "pressure_pages", "limit_pages", "aborted"];
    finding.evidence = Table::new(columns, vec![row]);
    finding.sure = Sure::Certain;
    finding.command = "socktrace -tnpm".to_owned();
    vec![finding]
}
