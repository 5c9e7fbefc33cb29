//! What an audit says of limits and piles: each condition made for real, and one that comes
//! close.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::set_tcp_congestion;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use socktrace_tests::audit::{
    Audit, Report, drop_received, fill, listener, own_pid, pairs, set_option,
};
use socktrace_tests::namespace::{add_address, in_namespace, lower_loopback};
use socktrace_tests::path::Path;
use socktrace_tests::process::socktrace;
use socktrace_tests::{require_root, skip, wait};

/// Leaves so many connections in TIME-WAIT.
fn leave(server: &TcpListener, count: usize) {
    for begun in (0..count).step_by(100) {
        // The client, which is the first of the two, closes first.
        pairs(server, (count - begun).min(100)).into_iter().for_each(drop);
    }
}

#[test]
fn a_pile_of_time_wait_is_a_note_that_says_it_is_harmless() {
    require_root!();
    in_namespace(|| {
        // On loopback, the kernel would take ports in TIME-WAIT again.
        fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "0").unwrap();
        let (server, _) = listener(64);
        leave(&server, 4900);
        Audit::only("time-wait").finds_nothing();
        leave(&server, 150);
        let report = Audit::only("time-wait").finds(&[("time-wait", "note")]);
        assert!(report.what("time-wait").contains("harmless"), "{report:?}");
    });
}

#[test]
fn time_wait_that_comes_near_its_limit_is_a_warning() {
    require_root!();
    in_namespace(|| {
        fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "200").unwrap();
        let (server, _) = listener(64);
        leave(&server, 170);
        Audit::only("time-wait").finds_nothing();
        leave(&server, 20);
        Audit::only("time-wait").finds(&[("time-wait", "warning")]);
    });
}

/// A process with a socket and some files.
struct Limited(Child);

impl Limited {
    fn start() -> Limited {
        let socket = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
        let files = (3..10).map(|fd| format!("{fd}</dev/null")).collect::<Vec<_>>().join(" ");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {files}; echo ready; read line")]).stderr(socket);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).expect("it says that it runs");
        Limited(child)
    }

    /// Has its descriptors be so much of what it may have.
    fn limit(&self, percent: u64) {
        let open = fs::read_dir(format!("/proc/{}/fd", self.0.id())).unwrap().count() as u64;
        let limit = Some(open * 100 / percent);
        let limit = Rlimit { current: limit, maximum: limit };
        prlimit(Some(Pid::from_child(&self.0)), Resource::Nofile, limit).unwrap();
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_near_its_limit_of_descriptors_is_named() {
    require_root!();
    in_namespace(|| {
        let process = Limited::start();
        // The limit is a whole number, so the share is a little more.
        for (percent, severity) in [(70, None), (85, Some("warning")), (100, Some("critical"))] {
            process.limit(percent);
            let report = Audit::only("process-descriptors").report();
            assert_eq!(report.severity("process-descriptors"), severity, "{percent}: {report:?}");
            if severity.is_some() {
                assert_eq!(report.pids("process-descriptors"), [u64::from(process.0.id())]);
            }
        }
    });
}

/// Hears of addresses, and never listens.
fn deaf(buffer: i32) -> OwnedFd {
    // Without a protocol it is NETLINK_ROUTE.
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).unwrap();
    set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, buffer);
    let addresses = SocketAddrNetlink::new(0, libc::RTMGRP_IPV4_IFADDR as u32);
    rustix::net::bind(&socket, &addresses).unwrap();
    socket
}

/// Changes an address so often.
fn change_addresses(times: u8) {
    (0..times).for_each(|number| add_address(Ipv4Addr::new(192, 0, 2, number)));
}

#[test]
fn netlink_messages_that_a_process_misses_are_counted() {
    require_root!();
    in_namespace(|| {
        let audit = Audit::only("netlink-drops");
        let large = deaf(1 << 20);
        change_addresses(50);
        audit.finds_nothing();
        drop(large);
        let _small = deaf(1);
        change_addresses(50);
        audit.finds(&[("netlink-drops", "note")]);

        let mut watch = audit.watching("1s").command();
        let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            change_addresses(50);
        }
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let report = Report::parse(&text, output.status.code()).unwrap();
        assert_eq!(report.fired(), [("netlink-drops", "warning")], "{report:?}");
        assert_eq!(report.code, Some(10));
    });
}

#[test]
fn a_connection_that_the_window_of_its_peer_slows_down_is_told_and_one_that_loss_does_is_not() {
    require_root!();
    in_namespace(|| {
        let (server, address) = listener(4);
        let lossy = pairs(&server, 1);
        drop_received(&lossy[0].1, 256);
        (&lossy[0].0).write_all(b"never acknowledged").unwrap();
        // Nobody accepts it: there is no process that could read.
        let slow = TcpStream::connect(address).unwrap();
        fill(&slow);
        let report = Audit::only("receiver-limited").finds(&[("receiver-limited", "note")]);
        let rows = report.finding("receiver-limited").unwrap()["evidence"].as_array().unwrap();
        let ports: Vec<_> = rows.iter().map(|row| row["local"]["port"].as_u64()).collect();
        assert_eq!(ports, [Some(slow.local_addr().unwrap().port().into())], "{report:?}");
    });
}

/// Has a sender with that control of congestion fill a buffer of 20 kB, which is less than the path
/// takes in a round trip, while `body` runs.
fn behind_a_small_buffer(congestion: &str, body: impl FnOnce()) {
    let server = TcpListener::bind((Path::NEAR, 0)).unwrap();
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let mut client = TcpStream::from(socket.unwrap());
    if let Err(error) = set_tcp_congestion(&client, congestion) {
        return skip::report(&format!("{congestion}: {error}"));
    }
    set_option(&client, libc::SOL_SOCKET, libc::SO_SNDBUF, 20_000);
    let port = server.local_addr().unwrap().port();
    rustix::net::connect(&client, &SocketAddrV4::new(Path::FAR, port)).unwrap();
    let (mut peer, _) = server.accept().unwrap();
    let end = client.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || while client.write_all(&[0; 1 << 16]).is_ok() {});
        scope.spawn(move || while peer.read(&mut [0; 1 << 16]).is_ok_and(|read| read > 0) {});
        // The threads end with the connection, whatever becomes of the test.
        let _end = Ending(&end);
        body();
    });
}

/// Shuts a connection down when dropped.
struct Ending<'a>(&'a TcpStream);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

#[test]
fn a_sender_whose_buffer_is_smaller_than_its_path_is_told() {
    require_root!();
    in_namespace(|| {
        let Ok(_path) = Path::of(Duration::from_millis(50)) else {
            return skip::report("there is no TUN device to be had");
        };
        let audit = Audit::only("send-buffer-limited").with("send-buffer-limited.percent=15");
        // With CUBIC, it is the window that grows no more once the buffer keeps it from being full.
        behind_a_small_buffer("cubic", || {
            wait::until("two busy seconds", || busy_for_two_seconds().then_some(()));
            audit.finds_nothing();
        });
        behind_a_small_buffer("bbr", || {
            let report = audit.finds(&[("send-buffer-limited", "note")]);
            assert_eq!(report.pids("send-buffer-limited"), own_pid());
        });
    });
}

/// Whether a connection of this namespace has had data to send for so long.
fn busy_for_two_seconds() -> bool {
    let listed = socktrace().args(["-tniHj", "state", "established"]).output().unwrap();
    let sockets: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    sockets.iter().any(|socket| {
        socket["tcp_info"]["busy_time_us"].as_u64().is_some_and(|busy| busy >= 2_000_000)
    })
}

/// What the kernel counts of TCP on the whole host.
fn sockstat(what: &str) -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap();
    let tcp = text.lines().find(|line| line.starts_with("TCP:")).expect("the kernel has TCP");
    let mut words = tcp.split_whitespace().skip_while(|word| *word != what);
    words.nth(1).and_then(|count| count.parse().ok()).expect("the kernel counts it")
}

#[test]
fn connections_that_no_process_has_any_more_are_told_when_there_are_many() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(64);
        let (clients, _servers): (Vec<_>, Vec<_>) = pairs(&server, 300).into_iter().unzip();
        lower_loopback();
        drop(clients);
        // Others on this host have some too, now more and now fewer.
        let above = format!("orphans.count={}", sockstat("orphan") + 500);
        assert!(Audit::only("orphans").with(&above).report().finding("orphans").is_none());
        let report = Audit::only("orphans").with("orphans.count=300").report();
        assert_eq!(report.severity("orphans"), Some("note"), "{report:?}");
        let row = &report.finding("orphans").unwrap()["evidence"][0];
        assert_eq!(row["state"], "FIN-WAIT-1", "{row}");
        // So that they do not stay for minutes.
        fs::write("/proc/sys/net/ipv4/tcp_orphan_retries", "1").unwrap();
    });
}

/// The numbers of a sysctl of the whole host.
fn sysctl(name: &str) -> Vec<f64> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).unwrap();
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// A share that others do not reach, or not for long.
fn assert_silent_above(rule: &str, threshold: &str, share: impl Fn() -> f64) {
    wait::until(&format!("{rule} to be silent"), || {
        let audit = Audit::only(rule).with(&format!("{threshold}={}", share()));
        audit.report().finding(rule).is_none().then_some(())
    });
}

#[test]
fn a_host_near_its_limit_of_file_handles_is_told() {
    const MORE: f64 = 3000.0;
    require_root!();
    in_namespace(|| {
        // The limit is the host's, so it is not the limit that is changed, but what is near to it.
        let in_use = || sysctl("fs/file-nr")[0];
        let share = |files: f64| files * 100.0 / sysctl("fs/file-nr")[2];
        let threshold = "host-descriptors.warning-percent";
        let before = in_use();
        assert_silent_above("host-descriptors", threshold, || share(in_use() + MORE));
        let files = (0..6000).map(|_| fs::File::open("/dev/null").unwrap()).collect::<Vec<_>>();
        let audit =
            Audit::only("host-descriptors").with(&format!("{threshold}={}", share(before + MORE)));
        audit.until("a warning", |report| report.severity("host-descriptors") == Some("warning"));
        drop(files);
    });
}

#[test]
fn memory_of_tcp_that_comes_near_its_limit_is_told() {
    /// Of 4 kB.
    const PAGES: f64 = 1000.0;
    require_root!();
    if !fs::exists("/proc/sys/net/ipv4/tcp_mem").unwrap() {
        skip!("only the first network namespace shows tcp_mem");
    }
    let share = |pages: f64| pages * 100.0 / sysctl("net/ipv4/tcp_mem")[1];
    let threshold = "tcp-memory.pressure-percent";
    let before = pages();
    assert_silent_above("tcp-memory", threshold, || share(pages() + PAGES));
    let connections = in_namespace(|| {
        let connections = pairs(&listener(4).0, 4);
        let filled: usize = connections.iter().map(|(client, _)| fill(client)).sum();
        assert!(filled as f64 > 4096.0 * PAGES, "{filled}");
        connections
    });
    let audit = Audit::only("tcp-memory").with(&format!("{threshold}={}", share(before + PAGES)));
    audit.until("a warning", |report| report.severity("tcp-memory") == Some("warning"));
    drop(connections);
}

/// The pages that TCP has on the whole host.
fn pages() -> f64 {
    sockstat("mem") as f64
}

/// A program that connects again and again, and does `with` each connection.
struct Connecting(Child);

impl Connecting {
    fn start(server: &TcpListener, with: &str) -> Connecting {
        let port = server.local_addr().unwrap().port();
        let script =
            format!("while exec {{fd}}<>/dev/tcp/127.0.0.1/{port}; do {with} sleep 0.02; done");
        Connecting(Command::new("bash").args(["-c", &script]).spawn().expect("no bash"))
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_that_opens_connections_and_closes_none_is_named() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(4096);
        let audit = Audit::only("descriptor-growth").watching("4s");
        // The process of the tests itself may grow as well.
        let names = |report: &Report, connecting: &Connecting| {
            let mut owners =
                report.findings.iter().map(|finding| &finding["evidence"][0]["owners"]);
            owners.any(|owners| owners[0]["pid"] == connecting.0.id())
        };
        let closing = Connecting::start(&server, "exec {fd}>&-;");
        let report = audit.report();
        assert!(!names(&report, &closing), "{report:?}");
        drop(closing);
        let leaking = Connecting::start(&server, "");
        // A loaded machine looks but twice.
        let audit = audit.with("descriptor-growth.looks=1");
        audit.until("growth of the one that leaks", |report| names(report, &leaking));
    });
}
