//! Each rule on evidence that is made up: what fires it, and what comes close and must not.

use std::net::IpAddr;
use std::time::Duration;

use super::RULES;
use crate::diagnose::evidence::*;
use crate::diagnose::finding::{Finding, Severity, Sure};
use crate::diagnose::judge;
use crate::diagnose::rule::{Overrides, Threshold};
use crate::socket::{Cookie, InetEnd, Inode, SkMem, State, TcpInfo, Timer, TimerKind};

fn end(addr: &str, port: u16) -> InetEnd {
    InetEnd { addr: addr.parse().unwrap(), port }
}

/// A socket of process 7.
fn tcp(state: State) -> Tcp {
    Tcp {
        state,
        local: end("10.0.0.1", 80),
        peer: end("10.0.0.2", 40000),
        cookie: Cookie(1),
        inode: Inode(7),
        uid: 0,
        recv_q: 0,
        send_q: 0,
        timer: Timer::default(),
        skmem: SkMem { rcvbuf: 131_072, ..SkMem::default() },
        info: TcpInfo::default(),
        earlier: None,
    }
}

fn listener(addr: &str, port: u16) -> Tcp {
    let local = end(addr, port);
    Tcp { local, peer: end("0.0.0.0", 0), send_q: 128, ..tcp(State::Listen) }
}

/// Seen before, a moment ago, just the same.
fn lasting(mut socket: Tcp) -> Tcp {
    socket.earlier = Some(Earlier { ago: Duration::from_secs(2), ..socket.remember() });
    socket
}

fn evidence(tcp: Vec<Tcp>) -> Evidence {
    let mut evidence = Evidence { tcp, ..Evidence::default() };
    let process = Process { pid: 7, comm: b"app".to_vec(), ..Process::default() };
    evidence.processes.known.insert(7, process);
    evidence.processes.holders.insert(Inode(7), vec![7]);
    evidence.addresses = ["127.0.0.1", "10.0.0.1"]
        .map(|addr| LocalAddress { interface: "eth0".into(), addr: addr.parse().unwrap() })
        .to_vec();
    evidence
}

fn watched(mut evidence: Evidence) -> Evidence {
    evidence.watch = Watch { span: Duration::from_secs(10), looks: 11, asked: true };
    evidence
}

fn judged(evidence: &Evidence) -> Vec<Finding> {
    judge(RULES, &Overrides::default(), evidence)
}

/// The rules that fired, with their severity.
fn fired(evidence: &Evidence) -> Vec<(&'static str, Severity)> {
    judged(evidence).iter().map(|finding| (finding.rule, finding.severity)).collect()
}

const NOTE: Severity = Severity::Note;
const WARNING: Severity = Severity::Warning;
const CRITICAL: Severity = Severity::Critical;

#[test]
fn names_of_rules_and_thresholds_are_unique_and_words() {
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
    let is_word = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b"-2".contains(&b));
    assert!(names.iter().all(|name| is_word(name)), "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
    for rule in RULES {
        assert!(!rule.finds.is_empty() && rule.why.ends_with('.'), "{}", rule.name);
        for threshold in rule.thresholds {
            assert!(is_word(threshold.name) && !threshold.reason.is_empty(), "{}", rule.name);
        }
    }
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let quiet = (0..100).map(|_| tcp(State::Established)).chain([listener("10.0.0.1", 80)]);
    let evidence = watched(evidence(quiet.collect()));
    assert_eq!(fired(&evidence), []);
    assert_eq!(fired(&Evidence::default()), []);
}

#[test]
fn accept_queues() {
    let with = |recv_q, drops| {
        let mut socket = listener("10.0.0.1", 80);
        (socket.recv_q, socket.skmem.drops) = (recv_q, Some(drops));
        socket
    };
    let once = |socket: Tcp| fired(&evidence(vec![socket]));
    assert_eq!(once(with(129, 0)), [("accept-queue", CRITICAL)], "full");
    assert_eq!(once(with(128, 0)), [("accept-queue", WARNING)], "one more fits");
    assert_eq!(once(with(64, 0)), [], "half full");
    assert_eq!(once(with(0, 5)), [("accept-queue", NOTE)], "overflowed some time ago");

    let burst = Tcp { recv_q: 129, ..lasting(with(0, 0)) };
    assert_eq!(once(burst), [], "full at one of two looks is a burst");
    let stuck = judged(&evidence(vec![lasting(with(129, 9))]));
    assert_eq!((stuck[0].severity, stuck[0].sure), (CRITICAL, Sure::Certain));
    assert!(stuck[0].what.contains("app[7]") && stuck[0].what.contains("9 dropped"));

    let mut dropping = lasting(with(3, 9));
    dropping.earlier.as_mut().unwrap().drops = 4;
    let dropping =
        |drops| Tcp { skmem: SkMem { drops: Some(drops), ..dropping.skmem }, ..dropping.clone() };
    let meanwhile = |drops| fired(&watched(evidence(vec![dropping(drops)])));
    assert_eq!(meanwhile(400), [("accept-queue", CRITICAL)]);
    assert_eq!(meanwhile(9), [("accept-queue", WARNING)], "a burst");
}

#[test]
fn the_reason_for_not_accepting_is_told() {
    let mut full = evidence(vec![Tcp { recv_q: 129, ..listener("10.0.0.1", 80) }]);
    full.processes.known.get_mut(&7).unwrap().doing = vec![Doing::Stopped];
    assert!(judged(&full)[0].advice[0].contains("is stopped"));
    let process = full.processes.known.get_mut(&7).unwrap();
    process.doing = vec![Doing::InCall("futex()".into())];
    assert!(judged(&full)[0].advice[0].contains("futex()"));
}

#[test]
fn handshakes_that_pile_up() {
    let pending = |count| {
        let pending = Tcp { inode: Inode(0), ..tcp(State::SynRecv) };
        let others = std::iter::repeat_n(pending, count);
        fired(&evidence(others.chain([listener("0.0.0.0", 80)]).collect()))
    };
    assert_eq!(pending(100), [("syn-backlog", WARNING)]);
    assert_eq!(pending(60), []);

    let counted = |cookies: u64| {
        let mut evidence = watched(evidence(Vec::new()));
        evidence.counters_before.set("TcpExt.SyncookiesSent", 1000);
        evidence.counters.set("TcpExt.SyncookiesSent", 1000 + cookies);
        fired(&evidence)
    };
    assert_eq!(counted(500), [("syn-backlog", WARNING)]);
    assert_eq!(counted(5), [], "half a cookie a second");
}

#[test]
fn connections_that_are_not_closed() {
    let left = |age, sent, count| {
        let mut socket = tcp(State::CloseWait);
        (socket.info.last_ack_recv_ms, socket.info.last_data_sent_ms) = (age, sent);
        fired(&evidence(vec![socket; count]))
    };
    assert_eq!(left(5000, 9000, 200), [("close-wait", CRITICAL)]);
    assert_eq!(left(5000, 9000, 20), [("close-wait", WARNING)]);
    assert_eq!(left(5000, 9000, 9), [("close-wait", NOTE)]);
    assert_eq!(left(500, 9000, 200), [], "just closed by the peers");
    assert_eq!(left(5000, 10, 200), [], "half-closed and in use");

    let waiting = Tcp { inode: Inode(0), ..tcp(State::CloseWait) };
    assert_eq!(fired(&evidence(vec![waiting; 200])), [], "not accepted yet");
}

#[test]
fn few_close_waits_are_many_for_a_small_limit() {
    let mut socket = tcp(State::CloseWait);
    (socket.info.last_ack_recv_ms, socket.info.last_data_sent_ms) = (5000, 9000);
    let mut evidence = evidence(vec![socket; 20]);
    evidence.processes.known.get_mut(&7).unwrap().descriptor_limit = Some(64);
    assert_eq!(fired(&evidence), [("close-wait", CRITICAL)]);
}

fn destination(peer: &str, open: u32, young: u32, old: u32) -> Evidence {
    let mut evidence = evidence(Vec::new());
    evidence.settings.local_ports = 40000..=40999;
    evidence.destinations.push(Destination {
        local: "10.0.0.1".parse().unwrap(),
        peer: end(peer, 5432),
        open,
        time_wait_young: young,
        time_wait_old: old,
        time_wait_recent: 0,
        inodes: vec![Inode(7)],
        uid: Some(0),
    });
    evidence
}

#[test]
fn ports_towards_one_destination() {
    assert_eq!(fired(&destination("10.0.0.9", 950, 0, 0)), [("ephemeral-ports", CRITICAL)]);
    assert_eq!(fired(&destination("10.0.0.9", 800, 0, 0)), [("ephemeral-ports", WARNING)]);
    assert_eq!(fired(&destination("10.0.0.9", 700, 0, 0)), []);
    assert_eq!(fired(&destination("10.0.0.9", 0, 50, 900)), [("ephemeral-ports", CRITICAL)]);

    let mut reused = destination("10.0.0.9", 0, 50, 900);
    reused.settings.tcp_tw_reuse = TwReuse::Everywhere;
    assert_eq!(fired(&reused), [], "the kernel takes them again");
    assert_eq!(fired(&destination("127.0.0.1", 0, 50, 900)), [], "on loopback it always does");
    let mut reserved = destination("10.0.0.9", 700, 0, 0);
    reserved.settings.reserved_ports = vec![40000..=40199];
    assert_eq!(fired(&reserved), [("ephemeral-ports", WARNING)]);
}

#[test]
fn ports_in_time_wait_are_those_of_who_was_seen_to_connect() {
    let mut past = destination("10.0.0.9", 0, 50, 900);
    past.destinations[0].inodes.clear();
    past.destinations[0].uid = None;
    assert!(judged(&past)[0].what.starts_with("somebody"), "{:?}", judged(&past)[0]);
    let peer = end("10.0.0.9", 5432);
    past.callers.insert(peer, vec![worker().unwrap()]);
    assert!(judged(&past)[0].what.starts_with("client[9] uses 950 of 1,000"));

    let failed = FailedConnects {
        peer,
        error: ConnectError::NoPort,
        worker: worker(),
        is_here: true,
        count: 40,
    };
    let mut few = destination("10.0.0.9", 20, 0, 0);
    few.traced = Some(Traced { failed_connects: vec![failed], ..Traced::default() });
    assert_eq!(fired(&few), [("ephemeral-ports", CRITICAL)], "whatever the share");
    few.destinations.clear();
    assert_eq!(fired(&few), [("connect-failed", WARNING)]);
}

#[test]
fn time_wait_is_harmless_until_its_limit() {
    let mut many = Evidence {
        states: [(State::TimeWait, 12_000)].into_iter().collect(),
        ..Evidence::default()
    };
    assert_eq!(fired(&many), [("time-wait", NOTE)]);
    many.settings.tcp_max_tw_buckets = Some(12_000);
    assert_eq!(fired(&many), [("time-wait", WARNING)]);
    many.settings.tcp_max_tw_buckets = Some(100_000);
    many.states = [(State::TimeWait, 4000)].into_iter().collect();
    assert_eq!(fired(&many), []);
}

#[test]
fn readers() {
    let unread = |recv_q, last_data_recv_ms| {
        let mut socket = tcp(State::Established);
        (socket.recv_q, socket.info.last_data_recv_ms) = (recv_q, last_data_recv_ms);
        socket
    };
    let once = |socket: Tcp| fired(&evidence(vec![socket]));
    assert_eq!(once(unread(100_000, 20_000)), [("slow-reader", CRITICAL)]);
    assert_eq!(once(unread(100_000, 2_000)), [("slow-reader", WARNING)]);
    assert_eq!(once(unread(100_000, 3)), [], "just came");
    assert_eq!(once(unread(500, 20_000)), [], "next to nothing");
    assert_eq!(once(Tcp { inode: Inode(0), ..unread(100_000, 20_000) }), [], "not accepted yet");

    let reading = |bytes| {
        let mut socket = lasting(unread(100_000, 3));
        socket.info.bytes_received += bytes;
        once(socket)
    };
    assert_eq!(reading(10_000), [("slow-reader", CRITICAL)], "5 kB a second of 100 kB");
    assert_eq!(reading(50_000_000), [], "busy, and keeps up");
    let mut emptied = lasting(unread(100_000, 20_000));
    emptied.earlier.as_mut().unwrap().least_recv_q = 0;
    assert_eq!(once(emptied), [], "was empty in between");
}

#[test]
fn closed_windows() {
    let closed = |probes| {
        let mut socket = Tcp { send_q: 50_000, ..tcp(State::Established) };
        socket.info.backoff = probes;
        socket.timer = Timer { kind: TimerKind::Persist, retransmits: 0, expires_ms: 400 };
        socket
    };
    assert_eq!(fired(&evidence(vec![closed(4)])), [("zero-window", WARNING)]);
    assert_eq!(fired(&evidence(vec![closed(1)])), [("zero-window", NOTE)]);
    assert_eq!(fired(&evidence(vec![closed(0)])), [], "closed a moment ago");

    let mut reader = tcp(State::Established);
    (reader.local, reader.peer) = (reader.peer, reader.local);
    (reader.recv_q, reader.info.last_data_recv_ms) = (100_000, 9000);
    let both = fired(&evidence(vec![closed(4), reader]));
    assert_eq!(both, [("slow-reader", CRITICAL)], "its reader is here, and is the cause");
}

#[test]
fn senders_without_an_answer() {
    let silent = |retransmits, last_ack_recv_ms| {
        let mut socket = Tcp { send_q: 1000, ..tcp(State::Established) };
        socket.timer = Timer { kind: TimerKind::On, retransmits, expires_ms: 400 };
        socket.info.last_ack_recv_ms = last_ack_recv_ms;
        fired(&evidence(vec![socket]))
    };
    assert_eq!(silent(4, 5000), [("stuck-sender", WARNING)]);
    assert_eq!(silent(1, 5000), []);
    assert_eq!(silent(4, 100), []);
}

#[test]
fn a_few_of_many_clients_may_pause_or_vanish() {
    let mut silent = Tcp { send_q: 1000, ..tcp(State::Established) };
    silent.timer = Timer { kind: TimerKind::On, retransmits: 4, expires_ms: 400 };
    silent.info.last_ack_recv_ms = 5000;
    let mut paused = Tcp { send_q: 1000, ..tcp(State::Established) };
    paused.timer.kind = TimerKind::Persist;
    paused.info.backoff = 6;
    let mut busy = evidence(vec![silent, paused]);
    busy.states = [(State::Established, 5000)].into_iter().collect();
    assert_eq!(fired(&busy), [("zero-window", NOTE), ("stuck-sender", NOTE)]);
}

#[test]
fn what_limits_a_sender_is_a_note() {
    let mut socket = Tcp { send_q: 1000, ..tcp(State::Established) };
    (socket.info.busy_time, socket.info.rwnd_limited) = (10_000_000, 8_000_000);
    assert_eq!(fired(&evidence(vec![socket.clone()])), [("receiver-limited", NOTE)]);
    assert_eq!(fired(&watched(evidence(vec![lasting(socket.clone())]))), [], "not meanwhile");
    socket.info.rwnd_limited = 0;
    socket.info.sndbuf_limited = 6_000_000;
    assert_eq!(fired(&evidence(vec![socket.clone()])), [("send-buffer-limited", NOTE)]);
    socket.info.sndbuf_limited = 4_000_000;
    assert_eq!(fired(&evidence(vec![socket])), []);
}

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

fn worker() -> Option<Worker> {
    Some(Worker { pid: 9, comm: b"client".to_vec(), uid: 0 })
}

fn failing(peer: InetEnd, count: u64, tcp: Vec<Tcp>) -> Evidence {
    let mut evidence = watched(evidence(tcp));
    let failed = FailedConnects {
        peer,
        error: ConnectError::Refused,
        worker: worker(),
        is_here: true,
        count,
    };
    evidence.traced = Some(Traced { failed_connects: vec![failed], ..Traced::default() });
    evidence
}

#[test]
fn connects_that_fail() {
    let away = end("192.0.2.1", 443);
    assert_eq!(fired(&failing(away, 100, vec![])), [("connect-failed", CRITICAL)]);
    assert_eq!(fired(&failing(away, 5, vec![])), [("connect-failed", WARNING)]);
    assert_eq!(fired(&failing(away, 2, vec![])), []);
    assert!(judged(&failing(away, 5, vec![]))[0].what.contains("client[9] cannot connect"));
    let mut elsewhere = failing(away, 100, vec![]);
    elsewhere.traced.as_mut().unwrap().failed_connects[0].is_here = false;
    assert_eq!(fired(&elsewhere), [], "from another namespace");
}

#[test]
fn services_on_loopback_that_others_ask_for() {
    let own = end("10.0.0.1", 8080);
    let local = || vec![listener("127.0.0.1", 8080)];
    assert_eq!(fired(&failing(own, 5, local())), [("loopback-only", CRITICAL)]);
    let finding = &judged(&failing(own, 5, local()))[0];
    assert!(finding.what.contains("app[7] listens on 127.0.0.1:8080 only"), "{}", finding.what);

    let other_host = end("10.0.0.5", 8080);
    assert_eq!(fired(&failing(other_host, 5, local())), [("connect-failed", WARNING)]);
    let other_port = end("10.0.0.1", 8081);
    assert_eq!(fired(&failing(other_port, 5, local())), [("connect-failed", WARNING)]);
    let both = vec![listener("127.0.0.1", 8080), listener("10.0.0.1", 8080)];
    assert_eq!(fired(&failing(own, 5, both)), [("connect-failed", WARNING)], "it restarted");

    let mut remote = watched(evidence(local()));
    let peer: IpAddr = "192.0.2.7".parse().unwrap();
    let reset = Resets { local: own, peer, is_refusal: true, is_sent: true, count: 3 };
    remote.traced = Some(Traced { resets: vec![reset], ..Traced::default() });
    assert_eq!(fired(&remote), [("loopback-only", CRITICAL)], "clients on other hosts");
}

#[test]
fn connects_without_an_answer() {
    let unanswered = |retransmits, count, peer| {
        let mut socket = Tcp { peer, ..tcp(State::SynSent) };
        socket.timer = Timer { kind: TimerKind::On, retransmits, expires_ms: 400 };
        vec![socket; count]
    };
    let away = end("192.0.2.1", 443);
    assert_eq!(fired(&evidence(unanswered(3, 5, away))), [("connect-unanswered", WARNING)]);
    assert_eq!(fired(&evidence(unanswered(3, 1, away))), [("connect-unanswered", NOTE)]);
    assert_eq!(fired(&evidence(unanswered(1, 5, away))), [], "one lost SYN");
    let mut here = unanswered(3, 5, end("10.0.0.1", 80));
    here.push(Tcp { recv_q: 129, ..listener("0.0.0.0", 80) });
    assert_eq!(fired(&evidence(here)), [("accept-queue", CRITICAL)], "the listener is the cause");
}

#[test]
fn churn() {
    let churning = |peer: &str, count, lived| {
        let mut evidence = watched(evidence(Vec::new()));
        let churn = Churn {
            peer: end(peer, 443),
            worker: worker(),
            count,
            lived: Duration::from_millis(lived * count),
        };
        evidence.traced = Some(Traced { churn: vec![churn], ..Traced::default() });
        fired(&evidence)
    };
    assert_eq!(churning("10.0.0.9", 5000, 20), [("churn", WARNING)]);
    assert_eq!(churning("127.0.0.1", 5000, 20), [("churn", NOTE)], "ports come back on loopback");
    assert_eq!(churning("10.0.0.9", 500, 20), [("churn", NOTE)]);
    assert_eq!(churning("10.0.0.9", 100, 20), []);
    assert_eq!(churning("10.0.0.9", 5000, 3000), [], "sessions");

    let mut untraced = destination("10.0.0.9", 0, 0, 500);
    untraced.destinations[0].time_wait_recent = 300;
    assert_eq!(fired(&untraced), [("churn", NOTE)]);
}

#[test]
fn datagrams_that_are_dropped() {
    let dropping = |recv_q, drops, before| {
        let mut evidence = evidence(Vec::new());
        evidence.datagrams.push(Datagram {
            local: end("0.0.0.0", 53),
            cookie: Cookie(1),
            inode: Inode(7),
            recv_q,
            rcvbuf: 200_000,
            drops,
            drops_before: before,
        });
        fired(&evidence)
    };
    assert_eq!(dropping(0, 50, Some(10)), [("udp-drops", WARNING)]);
    assert_eq!(dropping(190_000, 50, None), [("udp-drops", WARNING)], "full, and has dropped");
    assert_eq!(dropping(0, 50, Some(50)), [("udp-drops", NOTE)], "long ago");
    assert_eq!(dropping(190_000, 0, None), [], "full, and has dropped nothing");
}

#[test]
fn unix_listeners() {
    let queue = |waiting, backlog| {
        let mut evidence = evidence(Vec::new());
        evidence.unix_listeners.push(UnixListener {
            name: b"/run/app".to_vec(),
            inode: Inode(7),
            waiting,
            backlog,
            least_waiting: waiting,
        });
        fired(&evidence)
    };
    assert_eq!(queue(129, 128), [("unix-accept-queue", CRITICAL)]);
    assert_eq!(queue(120, 128), [("unix-accept-queue", WARNING)]);
    assert_eq!(queue(100, 128), []);
    assert_eq!(queue(1, 1), [], "one waits, one more may");
}

#[test]
fn netlink_messages_that_are_missed() {
    let missing = |drops, before| {
        let mut evidence = evidence(Vec::new());
        evidence.netlink.push(NetlinkReceiver {
            protocol: 0,
            port_id: 7,
            inode: Inode(7),
            recv_q: 0,
            drops,
            drops_before: before,
        });
        fired(&evidence)
    };
    assert_eq!(missing(5, Some(2)), [("netlink-drops", WARNING)]);
    assert_eq!(missing(5, Some(5)), [("netlink-drops", NOTE)]);
    assert_eq!(missing(0, Some(0)), []);
}

#[test]
fn connections_that_do_not_end() {
    let stuck = |state, age, count, inode| {
        let mut socket = Tcp { inode: Inode(inode), ..tcp(state) };
        socket.info.last_ack_recv_ms = age;
        fired(&evidence(vec![socket; count]))
    };
    assert_eq!(stuck(State::FinWait2, 90_000, 60, 7), [("fin-wait-2", WARNING)]);
    assert_eq!(stuck(State::FinWait2, 30_000, 60, 7), []);
    assert_eq!(stuck(State::FinWait2, 90_000, 60, 0), [], "the kernel ends those");
    assert_eq!(stuck(State::LastAck, 9_000, 60, 0), [("last-ack", WARNING)]);
    assert_eq!(stuck(State::LastAck, 9_000, 40, 0), []);

    let orphans = |count| {
        let mut evidence = evidence(Vec::new());
        evidence.counters.set("TCP.orphan", count);
        evidence.settings.tcp_max_orphans = Some(1000);
        fired(&evidence)
    };
    assert_eq!(orphans(600), [("orphans", CRITICAL)]);
    assert_eq!(orphans(300), [("orphans", WARNING)]);
    assert_eq!(orphans(220), [("orphans", NOTE)]);
    assert_eq!(orphans(150), []);
}

#[test]
fn limits_of_processes_and_host() {
    let process = |used| {
        let mut evidence = evidence(Vec::new());
        let process = evidence.processes.known.get_mut(&7).unwrap();
        (process.descriptors, process.descriptor_limit) = (Some(used), Some(1000));
        fired(&evidence)
    };
    assert_eq!(process(990), [("process-descriptors", CRITICAL)]);
    assert_eq!(process(850), [("process-descriptors", WARNING)]);
    assert_eq!(process(700), []);

    let host = |used| {
        let mut evidence = evidence(Vec::new());
        evidence.settings.files = Some((used, 1000));
        fired(&evidence)
    };
    assert_eq!(host(960), [("host-descriptors", CRITICAL)]);
    assert_eq!(host(700), []);

    let memory = |pages| {
        let mut evidence = evidence(Vec::new());
        evidence.settings.tcp_mem = Some([700, 850, 1000]);
        evidence.counters.set("TCP.mem", pages);
        fired(&evidence)
    };
    assert_eq!(memory(960), [("tcp-memory", CRITICAL)]);
    assert_eq!(memory(860), [("tcp-memory", WARNING)]);
    assert_eq!(memory(800), []);
}

#[test]
fn databases_on_every_address() {
    let on = |addr, port, own: &str| {
        let mut evidence = evidence(vec![listener(addr, port)]);
        evidence.addresses[1].addr = own.parse().unwrap();
        fired(&evidence)
    };
    assert_eq!(on("0.0.0.0", 6379, "10.0.0.1"), [("exposed", WARNING)]);
    assert_eq!(on("::", 5432, "10.0.0.1"), [("exposed", NOTE)], "a password, no public address");
    assert_eq!(on("::", 5432, "8.8.8.8"), [("exposed", WARNING)]);
    assert_eq!(on("127.0.0.1", 6379, "8.8.8.8"), []);
    assert_eq!(on("0.0.0.0", 443, "8.8.8.8"), []);
    assert_eq!(on("0.0.0.0", 6379, "127.0.0.1"), [], "nobody else can reach this namespace");
}

#[test]
fn owners_of_listeners() {
    let running = |executable| {
        let mut evidence = evidence(vec![listener("10.0.0.1", 80)]);
        evidence.processes.known.get_mut(&7).unwrap().executable = executable;
        fired(&evidence)
    };
    let path = || "/usr/bin/app".to_owned();
    assert_eq!(running(Executable::Removed(path())), [("deleted-executable", WARNING)]);
    assert_eq!(running(Executable::InMemory(path())), [("deleted-executable", WARNING)]);
    assert_eq!(running(Executable::Replaced(path())), [("deleted-executable", NOTE)]);
    assert_eq!(running(Executable::Present), []);

    let unowned = Tcp { inode: Inode(8), ..listener("10.0.0.1", 2049) };
    let mut evidence_of_all = evidence(vec![unowned]);
    assert_eq!(fired(&evidence_of_all), [("unowned-listener", NOTE)]);
    evidence_of_all.processes.refused = 1;
    assert_eq!(fired(&evidence_of_all), [], "it may be of one that was not looked into");

    let user = |port, uid| fired(&evidence(vec![Tcp { uid, ..listener("10.0.0.1", port) }]));
    assert_eq!(user(80, 1000), [("listener-uid", NOTE)]);
    assert_eq!(user(80, 33), []);
    assert_eq!(user(8080, 1000), []);
}

#[test]
fn the_worst_is_first_and_causes_come_before_what_follows() {
    let mut full = listener("10.0.0.1", 80);
    full.recv_q = 129;
    let mut left = tcp(State::CloseWait);
    (left.info.last_ack_recv_ms, left.info.last_data_sent_ms) = (5000, 9000);
    let mut all = vec![left; 200];
    all.push(listener("0.0.0.0", 6379));
    all.push(full);
    let rules: Vec<_> = fired(&evidence(all)).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["accept-queue", "close-wait", "exposed"]);
}

#[test]
fn thresholds_can_be_set() {
    let evidence = evidence(vec![Tcp { recv_q: 64, ..listener("10.0.0.1", 80) }]);
    let mut overrides = Overrides::default();
    overrides.add(RULES, "accept-queue.full-percent=40").unwrap();
    assert_eq!(judge(RULES, &overrides, &evidence)[0].severity, WARNING);
    assert_eq!(judged(&evidence), []);
}

/// The rules, as docs/audit.md has them after its own words.
fn documented() -> String {
    let mut text = String::new();
    for rule in RULES {
        text += &format!(
            "\n### {}\n\nFinds {}. Needs {}.\n{}\n",
            rule.name,
            rule.finds,
            rule.needs.name(),
            rule.why
        );
        if !rule.thresholds.is_empty() {
            text += "\n| threshold | | unit | reason |\n|---|---|---|---|\n";
        }
        for threshold in rule.thresholds {
            let Threshold { name, value, unit, reason } = threshold;
            text += &format!("| {name} | {value} | {unit} | {reason} |\n");
        }
    }
    text
}

#[test]
fn the_documentation_has_the_rules_as_they_are() {
    const HEADING: &str = "## Rules\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/audit.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (own, rules) = text.split_once(HEADING).expect("docs/audit.md has a heading for the rules");
    if std::env::var_os("SOCKTRACE_BLESS").is_some() {
        std::fs::write(path, format!("{own}{HEADING}{}", documented())).unwrap();
    } else {
        assert!(rules == documented(), "SOCKTRACE_BLESS=1 cargo test writes docs/audit.md anew");
    }
}
