//! Messages that were dropped because nobody took them: UDP, UNIX, NETLINK.

use crate::diagnose::evidence::{Datagram, NetlinkReceiver, UnixListener};
use crate::diagnose::finding::{
    Finding, Severity, Sure, Table, Value, bytes, counted, end, grouped, named, owners,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold, percent};
use crate::render::escape;

pub(super) static UDP_DROPS: Rule = Rule {
    name: "udp-drops",
    finds: "a UDP socket whose receive buffer overflows",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "drops",
            value: 1.0,
            unit: "datagrams dropped while it was watched",
            reason: "a dropped datagram is lost for good",
        },
        Threshold {
            name: "full-percent",
            value: 80.0,
            unit: "% of the receive buffer",
            reason: "the next burst does not fit",
        },
    ],
    why: "The network has delivered these datagrams; they were lost here, because the process did \
          not take them in time.",
    advice: &[
        "If the process is stuck, that is the cause. If it is only bursts: a larger SO_RCVBUF, up \
         to net.core.rmem_max.",
        "More sockets on the port (SO_REUSEPORT), recvmmsg() in place of recvmsg().",
    ],
    judge: |case| case.evidence.datagrams.iter().filter_map(|s| udp_drops(case, s)).collect(),
};

fn udp_drops(case: &Case<'_>, socket: &Datagram) -> Option<Finding> {
    let evidence = case.evidence;
    let meanwhile = socket.drops_before.map_or(0, |before| socket.drops.saturating_sub(before));
    let filled = percent(socket.recv_q, socket.rcvbuf);
    let is_full = filled >= case.limit("full-percent");
    let is_dropping = f64::from(meanwhile) >= case.limit("drops").max(1.0);
    let who = owners(evidence, socket.inode);
    let place = end(socket.local);
    let (severity, what) = if is_dropping || (is_full && socket.drops > 0) {
        let how_many = match is_dropping {
            true => format!("{} dropped meanwhile", counted(meanwhile, "datagram")),
            false => format!("{} dropped so far", counted(socket.drops, "datagram")),
        };
        let filled = format!("Recv-Q {}, {filled:.0}% of its buffer", bytes(socket.recv_q));
        (
            Severity::Warning,
            format!("{} does not keep up with UDP {place}: {how_many}, {filled}", named(&who)),
        )
    } else if socket.drops > 0 {
        let dropped = counted(socket.drops, "datagram");
        (
            Severity::Note,
            format!("UDP {place} of {} has dropped {dropped} since it was opened", named(&who)),
        )
    } else {
        return None;
    };
    let mut finding = case.finding(severity, what);
    finding.weight = meanwhile.max(socket.drops).into();
    finding.because = match severity {
        Severity::Note => {
            "the kernel counts drops per socket, over its whole life: this says \
                           nothing about now"
        }
        _ => "the kernel counts drops for this very socket",
    }
    .to_owned();
    let row = vec![
        socket.local.into(),
        socket.recv_q.into(),
        socket.rcvbuf.into(),
        socket.drops.into(),
        Value::Owners(who),
    ];
    finding.evidence = Table::new(&["local", "recv_q", "rcvbuf", "drops", "owners"], vec![row]);
    finding.command = format!("socktrace -uanpm 'sport = :{}'", socket.local.port);
    Some(finding)
}

pub(super) static UNIX_ACCEPT_QUEUE: Rule = Rule {
    name: "unix-accept-queue",
    finds: "a UNIX listener whose queue of connections to accept is full",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[Threshold {
        name: "full-percent",
        value: 90.0,
        unit: "% of the backlog",
        reason: "at the full, connect() blocks, or fails with EAGAIN where it must not block",
    }],
    why: "Whoever connects to a full UNIX listener hangs in connect() for as long as it lasts.",
    advice: &[
        "Look at what the process does instead of accept(). A longer backlog in listen() helps \
         against bursts only.",
    ],
    judge: |case| case.evidence.unix_listeners.iter().filter_map(|l| unix_queue(case, l)).collect(),
};

fn unix_queue(case: &Case<'_>, listener: &UnixListener) -> Option<Finding> {
    let is_full = listener.backlog > 0 && listener.least_waiting > listener.backlog;
    let filled = percent(listener.least_waiting, listener.backlog);
    // A backlog of one or two is nearly full with one connection.
    if !is_full && (filled < case.limit("full-percent") || listener.least_waiting < 4) {
        return None;
    }
    let severity = if is_full { Severity::Critical } else { Severity::Warning };
    let who = owners(case.evidence, listener.inode);
    let mut name = Vec::new();
    escape::path(&mut name, &listener.name);
    let name = String::from_utf8_lossy(&name).into_owned();
    let mut finding = case.finding(
        severity,
        format!(
            "{} does not accept: {} connections wait at {name}, its backlog is {}",
            named(&who),
            grouped(listener.waiting),
            grouped(listener.backlog)
        ),
    );
    finding.weight = listener.waiting.into();
    finding.because = match case.evidence.watch.looks {
        0 | 1 => "seen once",
        _ => "seen at every look",
    }
    .to_owned();
    if case.evidence.watch.looks < 2 {
        finding.sure = Sure::Likely;
    }
    let row =
        vec![name.into(), listener.waiting.into(), listener.backlog.into(), Value::Owners(who)];
    finding.evidence = Table::new(&["path", "recv_q", "send_q", "owners"], vec![row]);
    finding.command = "socktrace -xlp".to_owned();
    Some(finding)
}

pub(super) static NETLINK_DROPS: Rule = Rule {
    name: "netlink-drops",
    finds: "a NETLINK socket that missed messages of the kernel",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[Threshold {
        name: "drops",
        value: 1.0,
        unit: "messages dropped while it was watched",
        reason: "each is a change (of routes, links, connections) that the process has not heard of",
    }],
    why: "A program that follows the kernel by NETLINK and misses messages goes on with a picture \
          that is wrong, unless it notices ENOBUFS and starts anew.",
    advice: &["A larger SO_RCVBUF(FORCE) in the program; restart it if it does not resynchronise."],
    judge: |case| case.evidence.netlink.iter().filter_map(|s| netlink_drops(case, s)).collect(),
};

fn netlink_drops(case: &Case<'_>, socket: &NetlinkReceiver) -> Option<Finding> {
    let meanwhile = socket.drops_before.map_or(0, |before| socket.drops.saturating_sub(before));
    let is_dropping = f64::from(meanwhile) >= case.limit("drops").max(1.0);
    if socket.drops == 0 {
        return None;
    }
    let who = owners(case.evidence, socket.inode);
    let severity = if is_dropping { Severity::Warning } else { Severity::Note };
    let mut finding = case.finding(
        severity,
        match is_dropping {
            true => format!(
                "{} missed {} meanwhile",
                named(&who),
                counted(meanwhile, "NETLINK message")
            ),
            false => format!(
                "{} has missed {} since it opened its socket",
                named(&who),
                counted(socket.drops, "NETLINK message")
            ),
        },
    );
    finding.weight = meanwhile.max(socket.drops).into();
    finding.because = match is_dropping {
        true => "the kernel counts drops for this very socket",
        false => {
            "the kernel counts drops per socket, over its whole life: this says nothing about now"
        }
    }
    .to_owned();
    let row = vec![
        u32::from(socket.protocol).into(),
        socket.port_id.into(),
        socket.recv_q.into(),
        socket.drops.into(),
        Value::Owners(who),
    ];
    let columns = &["protocol", "port_id", "recv_q", "drops", "owners"];
    finding.evidence = Table::new(columns, vec![row]);
    finding.command = "socktrace -f netlink -npm".to_owned();
    Some(finding)
}
