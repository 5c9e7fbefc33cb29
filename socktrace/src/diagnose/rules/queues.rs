//! Data that waits: for its reader, for the peer, for the path.

use crate::diagnose::evidence::{Evidence, Tcp};
use crate::diagnose::finding::{
    Finding, Severity, Sure, Table, Value, bytes, end, grouped, named, owners, span,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold, percent};
use crate::socket::{State, TimerKind};

pub(super) static SLOW_READER: Rule = Rule {
    name: "slow-reader",
    finds: "a process that reads its sockets more slowly than the peers send",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "bytes",
            value: 16384.0,
            unit: "bytes in Recv-Q",
            reason: "less is a request or two that have just come",
        },
        Threshold {
            name: "buffer-percent",
            value: 25.0,
            unit: "% of the receive buffer",
            reason: "where the buffer is small, so is what makes it full",
        },
        Threshold {
            name: "wait",
            value: 1.0,
            unit: "seconds that the data waits to be read",
            reason: "a reader that keeps up takes what has come within milliseconds, however much",
        },
        Threshold {
            name: "long-wait",
            value: 5.0,
            unit: "seconds that the data waits to be read",
            reason: "no pause of a healthy process is so long",
        },
    ],
    why: "What is not read fills the receive buffer; then the window closes and the sender has to \
          wait, whatever the network could carry. The time is lost in this process.",
    advice: &[
        "Look at what the process does instead of reading: a full disk or slow database behind it, \
         a lock, one thread for all connections, a deliberate limit.",
        "A larger buffer (net.ipv4.tcp_rmem) only delays it.",
    ],
    judge: slow_reader,
};

/// For how long the data in Recv-Q has to wait, in milliseconds, and why that is known.
fn wait(socket: &Tcp) -> Option<(u64, Sure, String)> {
    // The newest byte is as old as the last data that came; all others are older.
    let idle = u64::from(socket.info.last_data_recv_ms);
    let Some(earlier) = socket.earlier else {
        return Some((idle, Sure::Certain, "nothing was read since the last data came".to_owned()));
    };
    let span_ms = u64::try_from(earlier.ago.as_millis()).unwrap_or(u64::MAX);
    let arrived = socket.info.bytes_received.saturating_sub(earlier.bytes_received);
    let read = (arrived + u64::from(earlier.recv_q)).saturating_sub(socket.recv_q.into());
    if earlier.least_recv_q == 0 {
        return None;
    }
    if read == 0 {
        let waited = idle.max(span_ms);
        return Some((waited, Sure::Certain, format!("nothing was read for {}", span(waited))));
    }
    let rate = read as f64 / earlier.ago.as_secs_f64().max(0.001);
    let drain = (f64::from(socket.recv_q) / rate * 1000.0) as u64;
    let because =
        format!("{} a second were read, which is too slow for the queue", bytes(rate as u64));
    Some((drain.max(idle.min(span_ms)), Sure::Certain, because))
}

fn slow_reader(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let mut slow: Vec<(&Tcp, u64, Sure, String)> = evidence
        .tcp
        .iter()
        .filter(|socket| is_data(socket) && socket.inode.0 != 0)
        .filter(|socket| {
            let buffer = f64::from(socket.skmem.rcvbuf) * case.limit("buffer-percent") / 100.0;
            let least =
                if buffer > 0.0 { case.limit("bytes").min(buffer) } else { case.limit("bytes") };
            f64::from(socket.recv_q) >= least
        })
        .filter_map(|socket| wait(socket).map(|(ms, sure, why)| (socket, ms, sure, why)))
        .filter(|(_, ms, ..)| *ms as f64 >= case.limit("wait") * 1000.0)
        .collect();
    slow.sort_by_key(|(socket, ..)| std::cmp::Reverse(socket.recv_q));
    by_process(evidence, slow, |(socket, ..)| socket)
        .into_iter()
        .filter_map(|sockets| {
            let (worst, wait_ms, sure, because) =
                sockets.iter().max_by_key(|(_, ms, ..)| *ms)?.clone();
            let unread: u64 = sockets.iter().map(|(socket, ..)| u64::from(socket.recv_q)).sum();
            let severity = if wait_ms as f64 >= case.limit("long-wait") * 1000.0 {
                Severity::Critical
            } else {
                Severity::Warning
            };
            let who = owners(evidence, worst.inode);
            let mut finding = case.finding(
                severity,
                format!(
                    "{} reads too slowly: {} wait unread on {}, for {}",
                    named(&who),
                    bytes(unread),
                    match sockets.len() {
                        1 => format!("the connection with {}", end(worst.peer)),
                        many => format!("{many} connections"),
                    },
                    span(wait_ms)
                ),
            );
            finding.weight = unread;
            (finding.sure, finding.because) = (sure, because);
            let rows = sockets
                .iter()
                .map(|(socket, ms, ..)| {
                    vec![
                        socket.local.into(),
                        socket.peer.into(),
                        socket.state.into(),
                        socket.recv_q.into(),
                        (*ms).into(),
                        socket.info.rcv_wnd.into(),
                        Value::Owners(owners(evidence, socket.inode)),
                    ]
                })
                .collect();
            let columns = &["local", "peer", "state", "recv_q", "wait_ms", "rcv_wnd", "owners"];
            finding.evidence = Table::new(columns, rows);
            finding.command = command(&worst.local, &worst.peer, sockets.len());
            Some(finding)
        })
        .collect()
}

fn is_data(socket: &Tcp) -> bool {
    !matches!(socket.state, State::Listen | State::SynRecv | State::SynSent | State::TimeWait)
}

/// The sockets of each process together, in the order of the first of each.
fn by_process<T>(evidence: &Evidence, all: Vec<T>, socket: fn(&T) -> &Tcp) -> Vec<Vec<T>> {
    let mut groups: Vec<(Option<u32>, Vec<T>)> = Vec::new();
    for one in all {
        let pid = evidence.processes.first_of(socket(&one).inode).map(|process| process.pid);
        match groups.iter_mut().find(|(other, _)| *other == pid) {
            Some((_, group)) => group.push(one),
            None => groups.push((pid, vec![one])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn command(local: &crate::socket::InetEnd, peer: &crate::socket::InetEnd, count: usize) -> String {
    match count {
        1 => format!("socktrace -tnpim 'src = {} and dst = {}'", end(*local), end(*peer)),
        _ => format!("socktrace -tnpim '( sport = :{} or dport = :{} )'", local.port, peer.port),
    }
}

/// Whether the other end of a connection is on this host, with data that its process has not read:
/// then that process is the finding, not this one.
fn has_local_slow_reader(evidence: &Evidence, socket: &Tcp) -> bool {
    evidence.tcp.iter().any(|other| {
        let is_other_end = other.local == socket.peer && other.peer == socket.local;
        // What was not accepted yet has no reader.
        is_other_end && other.recv_q > 0 && other.inode.0 != 0
    })
}

pub(super) static ZERO_WINDOW: Rule = Rule {
    name: "zero-window",
    finds: "a peer whose window is closed: it does not read",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "probes",
            value: 1.0,
            unit: "window probes without effect, for a note",
            reason: "a window that closes for a moment opens before the first probe",
        },
        Threshold {
            name: "many-probes",
            value: 4.0,
            unit: "window probes without effect, for a warning",
            reason: "probes double their distance: four take some three seconds",
        },
        Threshold {
            name: "percent",
            value: 1.0,
            unit: "% of the established connections, for a warning",
            reason: "among many clients some pause at any time, as a player does whose buffer is full",
        },
    ],
    why: "The peer's kernel has said that there is no room: its process does not read. Neither this \
          host nor the network can do anything about it.",
    advice: &[
        "Look at the process at the other end: on its host this is `slow-reader`.",
        "Here: a timeout for sending (TCP_USER_TIMEOUT, or in the program), so that one peer does \
         not hold a worker for ever.",
    ],
    judge: zero_window,
};

/// How often the window was probed, or data sent again, in vain. A probe that is answered with a
/// closed window does not count in the timer, but it doubles the distance to the next.
fn probes(socket: &Tcp) -> u8 {
    socket.timer.retransmits.max(socket.info.backoff)
}

fn zero_window(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let closed: Vec<&Tcp> = evidence
        .tcp
        .iter()
        .filter(|socket| {
            socket.timer.kind == TimerKind::Persist
                && socket.send_q > 0
                && f64::from(probes(socket)) >= case.limit("probes")
                && !has_local_slow_reader(evidence, socket)
        })
        .collect();
    by_process(evidence, closed, |socket| socket)
        .into_iter()
        .filter_map(|sockets| {
            let worst = *sockets.iter().max_by_key(|socket| probes(socket))?;
            let is_long = f64::from(probes(worst)) >= case.limit("many-probes");
            let severity = match is_long && is_widespread(case, sockets.len()) {
                true => Severity::Warning,
                false => Severity::Note,
            };
            let who = owners(evidence, worst.inode);
            let what = format!(
                "{} does not read what {} sends: its window is closed, {} wait",
                match sockets.len() {
                    1 => end(worst.peer),
                    many => format!("{} (and {} more)", end(worst.peer), many - 1),
                },
                named(&who),
                bytes(sockets.iter().map(|socket| u64::from(socket.send_q)).sum::<u64>())
            );
            let because = "the persist timer runs: the peer has announced a window of 0";
            Some(sending(case, severity, what, because, &sockets, worst))
        })
        .collect()
}

/// Whether so many are more than the few that there are at any time.
fn is_widespread(case: &Case<'_>, count: usize) -> bool {
    let count = count as u64;
    let all = u64::from(case.evidence.states.get(State::Established)).max(count);
    percent(count, all) >= case.limit("percent")
}

fn sending(
    case: &Case<'_>,
    severity: Severity,
    what: String,
    because: &str,
    sockets: &[&Tcp],
    worst: &Tcp,
) -> Finding {
    let mut finding = case.finding(severity, what);
    finding.weight = sockets.iter().map(|socket| u64::from(socket.send_q)).sum();
    finding.because = because.to_owned();
    let rows = sockets
        .iter()
        .map(|socket| {
            vec![
                socket.local.into(),
                socket.peer.into(),
                socket.state.into(),
                socket.send_q.into(),
                socket.info.unacked.into(),
                u32::from(probes(socket)).into(),
                socket.info.last_ack_recv_ms.into(),
                Value::Owners(owners(case.evidence, socket.inode)),
            ]
        })
        .collect();
    let columns =
        &["local", "peer", "state", "send_q", "unacked", "retrans", "last_ack_ms", "owners"];
    finding.evidence = Table::new(columns, rows);
    finding.command = command(&worst.local, &worst.peer, sockets.len());
    finding
}

pub(super) static STUCK_SENDER: Rule = Rule {
    name: "stuck-sender",
    finds: "data that is sent again and again and never acknowledged",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "silence",
            value: 2.0,
            unit: "seconds without any ACK",
            reason: "ten times the smallest retransmission timeout",
        },
        Threshold {
            name: "retries",
            value: 3.0,
            unit: "timeouts in a row",
            reason: "one or two are loss; three in a row are a path or a peer that is gone",
        },
        Threshold {
            name: "percent",
            value: 1.0,
            unit: "% of the established connections, for a warning",
            reason: "among many clients some vanish at any time",
        },
    ],
    why: "The peer, or the path to it, is gone, and the connection does not know it yet: by default \
          the kernel tries for a quarter of an hour.",
    advice: &[
        "Several peers behind one network: the path. One peer: that host, or a filter that has \
         forgotten the connection.",
        "A shorter patience: TCP_USER_TIMEOUT, or net.ipv4.tcp_retries2.",
    ],
    judge: stuck_sender,
};

fn stuck_sender(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let silence = (case.limit("silence") * 1000.0) as u32;
    let stuck: Vec<&Tcp> = evidence
        .tcp
        .iter()
        .filter(|socket| {
            matches!(socket.state, State::Established | State::CloseWait)
                && socket.timer.kind == TimerKind::On
                && f64::from(socket.timer.retransmits) >= case.limit("retries")
                && socket.info.last_ack_recv_ms >= silence
                && socket.send_q > 0
        })
        .collect();
    by_process(evidence, stuck, |socket| socket)
        .into_iter()
        .filter_map(|sockets| {
            let worst = *sockets.iter().max_by_key(|socket| socket.info.last_ack_recv_ms)?;
            let peers: std::collections::BTreeSet<_> =
                sockets.iter().map(|socket| socket.peer.addr).collect();
            let what = format!(
                "{} sends to {} and gets no answer, for {}",
                named(&owners(evidence, worst.inode)),
                match peers.len() {
                    1 => end(worst.peer),
                    many => format!("{} peers", grouped(many as u64)),
                },
                span(worst.info.last_ack_recv_ms.into())
            );
            let because = "the retransmission timer expired several times in a row";
            let severity = match is_widespread(case, sockets.len()) {
                true => Severity::Warning,
                false => Severity::Note,
            };
            Some(sending(case, severity, what, because, &sockets, worst))
        })
        .collect()
}

pub(super) static RECEIVER_LIMITED: Rule = Rule {
    name: "receiver-limited",
    finds: "connections that are slow because the peer's window is small",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: LIMITED,
    why: "The sender had data and the network had room, but the peer's window did not: the peer \
          reads slowly, or its buffer is smaller than what the path can hold.",
    advice: &[
        "At the peer: what reads, and net.ipv4.tcp_rmem (or SO_RCVBUF, which switches off the \
               kernel's own sizing).",
    ],
    judge: |case| limited(case, Limit::Receiver),
};

pub(super) static SEND_BUFFER_LIMITED: Rule = Rule {
    name: "send-buffer-limited",
    finds: "connections that are slow because the send buffer is small",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: LIMITED,
    why: "The network and the peer had room, but the send buffer did not hold enough data for the \
          time until it is acknowledged.",
    advice: &[
        "net.ipv4.tcp_wmem, or SO_SNDBUF in the program, which switches off the kernel's own \
               sizing: leave it alone if you can.",
    ],
    judge: |case| limited(case, Limit::SendBuffer),
};

const LIMITED: &[Threshold] = &[
    Threshold {
        name: "percent",
        value: 50.0,
        unit: "% of the time that it had data to send",
        reason: "below it, other things limit the connection more",
    },
    Threshold {
        name: "busy",
        value: 1.0,
        unit: "seconds with data to send",
        reason: "shorter transfers are over before a window has grown",
    },
];

#[derive(Clone, Copy)]
enum Limit {
    Receiver,
    SendBuffer,
}

/// How long a connection had data to send, and for how much of it it was limited, in us: while it
/// was watched, or over its life.
fn limited_us(socket: &Tcp, limit: Limit, is_watched: bool) -> (u64, u64) {
    let of = |rwnd: u64, sndbuf: u64| match limit {
        Limit::Receiver => rwnd,
        Limit::SendBuffer => sndbuf,
    };
    let now = of(socket.info.rwnd_limited, socket.info.sndbuf_limited);
    match socket.earlier.filter(|_| is_watched) {
        Some(earlier) => (
            socket.info.busy_time.saturating_sub(earlier.busy_us),
            now.saturating_sub(of(earlier.rwnd_limited_us, earlier.sndbuf_limited_us)),
        ),
        // Of what began meanwhile, the first part was not seen.
        None if is_watched => (0, 0),
        None => (socket.info.busy_time, now),
    }
}

fn limited(case: &Case<'_>, limit: Limit) -> Vec<Finding> {
    let evidence = case.evidence;
    let is_watched = evidence.watch.asked;
    let mut slow: Vec<(&Tcp, u64, f64)> = evidence
        .tcp
        .iter()
        .filter(|socket| is_data(socket) && socket.send_q > 0)
        .filter_map(|socket| {
            let (busy, limited) = limited_us(socket, limit, is_watched);
            let share = limited as f64 * 100.0 / busy.max(1) as f64;
            (busy as f64 >= case.limit("busy") * 1e6 && share >= case.limit("percent"))
                .then_some((socket, busy, share))
        })
        .filter(|(socket, ..)| !has_local_slow_reader(evidence, socket))
        .collect();
    slow.sort_by_key(|(socket, ..)| std::cmp::Reverse(socket.send_q));
    by_process(evidence, slow, |(socket, ..)| socket)
        .into_iter()
        .filter_map(|sockets| {
            let (worst, busy, share) = sockets.first()?;
            let by = match limit {
                Limit::Receiver => "the peer's window",
                Limit::SendBuffer => "its send buffer",
            };
            let mut finding = case.finding(
                Severity::Note,
                format!(
                    "{} could send faster to {} but for {by}: {share:.0}% of {} with data to send",
                    named(&owners(evidence, worst.inode)),
                    end(worst.peer),
                    span(busy / 1000)
                ),
            );
            finding.weight = *busy;
            (finding.sure, finding.because) = match is_watched {
                true => (Sure::Certain, "the kernel measured it while it was watched".to_owned()),
                false => (
                    Sure::Likely,
                    "the kernel measured it over the life of the connection, which says little \
                     about now"
                        .to_owned(),
                ),
            };
            let rows = sockets
                .iter()
                .map(|(socket, busy, share)| {
                    vec![
                        socket.local.into(),
                        socket.peer.into(),
                        socket.send_q.into(),
                        (*busy / 1000).into(),
                        Value::Percent(*share),
                        Value::Owners(owners(evidence, socket.inode)),
                    ]
                })
                .collect();
            let columns = &["local", "peer", "send_q", "busy_ms", "limited_percent", "owners"];
            finding.evidence = Table::new(columns, rows);
            finding.command = command(&worst.local, &worst.peer, sockets.len());
            Some(finding)
        })
        .collect()
}
