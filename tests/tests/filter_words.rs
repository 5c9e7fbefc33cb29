//! The words that `ss` lacks, on real sockets: they find what they say, and nothing else.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;

use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::socktrace;
use socktrace_tests::require_root;

/// What is listed, a line per socket.
fn list(line: &str) -> Vec<String> {
    let (options, filter) = line.split_once(" -- ").expect("options, then a filter");
    let mut command = socktrace();
    let output = command.args(options.split(' ')).arg("-Hn").arg(filter).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {stderr}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn lists(line: &str, count: usize) {
    let found = list(line);
    assert_eq!(found.len(), count, "{line}: {found:#?}");
}

#[test]
fn the_filters_that_people_ask_for_find_what_they_say() {
    require_root!();
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:7001").unwrap();
        let client = TcpStream::connect("127.0.0.1:7001").unwrap();
        let (server, _) = listener.accept().unwrap();
        let udp = UdpSocket::bind("127.0.0.1:7002").unwrap();
        let path = std::env::temp_dir().join(format!("socktrace-words-{}", std::process::id()));
        let unix = UnixListener::bind(&path).unwrap();
        let (pid, path) = (std::process::id(), path.display().to_string());
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        let name = name.trim_end();

        lists(&format!("-ta -- pid = {pid}"), 3);
        lists(&format!("-tua -- pid = {pid}"), 4);
        lists(&format!("-ta -- pid != {pid}"), 0);
        lists(&format!("-ta -- procname = {name} or procname = apache2"), 3);
        lists("-ta -- procname = no-such-name", 0);
        lists("-ta -- uid = 0 and dport > :1024", 2);
        lists("-ta -- uid = root and sport = :7001", 2);
        lists("-ta -- uid = daemon", 0);
        lists(&format!("-xa -- path = {path}"), 1);
        lists(&format!("-xa -- path = {}", path.replace("/tmp/", "/tmp/../tmp/")), 1);
        lists("-a -- ipproto = tcp and state listening", 1);
        lists("-a -- ( ipproto = tcp and state established ) or ipproto = udp", 3);
        lists("-t -- state = listening or state = established", 3);
        lists("-ta -- rtt > 0 and retrans = 0", 2);
        lists("-tua -- not rtt > 0", 2);
        lists("-ta -- backlog = 0%", 1);
        lists("-ta -- cc = *", 3);
        lists("-ta -- netns = self", 3);
        lists("-ta -- netns = 1", 0);

        let cookie = list("-tae -- dport = :7001");
        let cookie = cookie[0].split("sk:").nth(1).unwrap().split(' ').next().unwrap();
        lists(&format!("-ta -- sk = {cookie}"), 1);
        lists(&format!("-ta -- cookie = 0x{cookie}"), 1);
        drop((listener, client, server, udp, unix));
        let _ = std::fs::remove_file(path);
    });
}

#[test]
fn what_a_filter_asks_for_is_fetched_and_not_shown() {
    require_root!();
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:7001").unwrap();
        let _client = TcpStream::connect("127.0.0.1:7001").unwrap();
        let plain = list("-t -- dport = :7001");
        let pid = std::process::id();
        let asked = list(&format!("-t -- dport = :7001 and pid = {pid} and rtt > 0 and tos = 0"));
        assert_eq!(asked, plain);
        assert_eq!(plain.len(), 1);
    });
}

#[test]
fn what_the_source_does_not_tell_is_said_once() {
    require_root!();
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:7001").unwrap();
        let _client = TcpStream::connect("127.0.0.1:7001").unwrap();
        let mut command = socktrace();
        command.args(["-tan", "rtt > 0 or backlog > 0"]).env("PROC_NET_TCP", "/proc/net/tcp");
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.matches("no tcp_info").count(), 1, "{stderr}");
        assert_eq!(stderr.matches("no limit").count(), 1, "{stderr}");
        let output = socktrace().args(["-tan", "duration > 1s"]).output().unwrap();
        assert!(String::from_utf8(output.stderr).unwrap().contains("events only"));
        assert!(output.status.success());
    });
}
