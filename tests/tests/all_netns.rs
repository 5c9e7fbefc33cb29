//! `--all-netns` and `-N`: namespaces with a name, those that only a process keeps, and those that
//! only a mount keeps.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command, Stdio};

use rustix::thread::CapabilitySet;
use serde_json::Value;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{socktrace, without_capabilities};
use socktrace_tests::require_root;
use socktrace_tests::schema::Schema;

fn objects(arguments: &[&str]) -> Vec<Value> {
    let output = socktrace().args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let objects: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let schema = Schema::of_socktrace();
    objects.iter().for_each(|object| schema.check_entry(object));
    objects
}

fn port_filter(port: u16) -> String {
    format!("sport = {port}")
}

/// The namespaces of the sockets with this port.
fn namespaces(port: u16) -> Vec<u64> {
    let all = objects(&["-Gtuanj", &port_filter(port)]);
    all.iter().map(|socket| socket["netns"].as_u64().unwrap()).collect()
}

fn this_netns() -> u64 {
    let link = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let text = link.to_string_lossy();
    text.trim_start_matches("net:[").trim_end_matches(']').parse().unwrap()
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "ip {arguments:?} does not work");
}

/// A namespace as `ip netns add` makes it; gone when dropped.
struct Named(String);

impl Named {
    fn new(name: &str) -> Named {
        let named = Named(format!("{name}-{}", std::process::id()));
        ip(&["netns", "add", &named.0]);
        ip(&["-n", &named.0, "link", "set", "lo", "up"]);
        named
    }

    /// Runs `body` inside.
    fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.0)).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                socktrace::netns::move_into(&file.into()).unwrap();
                body()
            });
            inside.join().unwrap()
        })
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A process that sleeps, in whatever surroundings it was started; gone when dropped.
struct Sleeper(Child);

impl Sleeper {
    fn new(program: &str, arguments: &[&str]) -> Sleeper {
        let child = Command::new(program).args(arguments).args(["sleep", "60"]).spawn().unwrap();
        Sleeper(child)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sockets_of_every_namespace_are_listed_once() {
    require_root!();
    let named = Named::new("st quo\"te");
    let here = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = here.local_addr().unwrap().port();
    // One that has a name, and one that only a thread keeps: this test's own.
    let (_in_named, named_id) =
        named.inside(|| (TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap(), this_netns()));
    in_namespace(|| {
        let _in_thread = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let _udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let mut found = namespaces(port);
        let first = found[0];
        assert_eq!(first, this_netns(), "that of the caller comes first");
        let mut expected = vec![named_id, this_netns(), this_netns()];
        expected.push(std::fs::read_link("/proc/self/ns/net").map_or(0, |link| {
            let text = link.to_string_lossy();
            text.trim_start_matches("net:[").trim_end_matches(']').parse().unwrap()
        }));
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    });
    let all = objects(&["-Gtlnj", &port_filter(port)]);
    let named_one = all.iter().find(|socket| socket["netns"] == named_id).unwrap();
    assert_eq!(named_one["netns_name"], named.0.as_str());
}

#[test]
fn a_column_names_the_namespace() {
    require_root!();
    let named = Named::new("socktrace-test-column");
    let _listener = named.inside(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 7171)).unwrap());
    let output = socktrace().args(["--all-netns", "-tln", "sport", "=", "7171"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("Netns "), "{text}");
    assert!(lines.any(|line| line.starts_with(&format!("{} LISTEN", named.0))), "{text}");
}

#[test]
fn unix_sockets_are_of_their_namespace() {
    require_root!();
    in_namespace(|| {
        let name = format!("socktrace-netns-{}\u{1b}[31m\n\"", std::process::id());
        let _listener =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let all = objects(&["-Gxlj"]);
        let mine: Vec<_> =
            all.iter().filter(|socket| socket["local"]["abstract"] == name.as_str()).collect();
        assert_eq!(mine.len(), 1, "{mine:?}");
        assert_eq!(mine[0]["netns"], this_netns());
    });
}

#[test]
fn a_namespace_that_only_a_mount_keeps_is_found() {
    require_root!();
    let file = std::env::temp_dir().join(format!("socktrace mount {}", std::process::id()));
    File::create(&file).unwrap();
    // A socket keeps its namespace, but nobody can enter it by that; the mount is the way in.
    let (id, _listener) = in_namespace(|| {
        let source =
            format!("/proc/self/task/{}/ns/net", rustix::thread::gettid().as_raw_nonzero());
        rustix::mount::mount_bind(&source, &file).unwrap();
        (this_netns(), TcpListener::bind((Ipv4Addr::LOCALHOST, 7272)).unwrap())
    });
    let found = namespaces(7272);
    rustix::mount::unmount(&file, rustix::mount::UnmountFlags::DETACH).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(found, [id]);
}

#[test]
fn one_namespace_by_a_process_or_a_file() {
    require_root!();
    let sleeper = in_namespace(|| Sleeper::new("env", &[]));
    let pid = sleeper.0.id().to_string();
    let file = format!("/proc/{pid}/ns/net");
    let id = std::fs::read_link(&file).unwrap();
    for word in [&pid, &file] {
        let sockets = objects(&["-N", word, "-f", "netlink", "-aj"]);
        let netns = sockets[0]["netns"].as_u64().unwrap();
        assert_eq!(id.to_string_lossy(), format!("net:[{netns}]"), "{word}");
    }
}

#[test]
fn what_names_no_namespace_is_said() {
    for (word, expected) in [
        ("nobody-is-called-so", "goes by the name \"nobody-is-called-so\""),
        ("/etc/hostname", "the network namespace \"/etc/hostname\" failed"),
        ("4194305", "Cannot open network namespace \"4194305\""),
    ] {
        let output = socktrace().args(["-N", word, "-t"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{word}: {stderr}");
        assert!(stderr.contains(expected), "{word}: {stderr}");
    }
    let output = socktrace().args(["-G", "-N", "x", "-t"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn whoever_may_enter_no_other_namespace_has_his_own() {
    require_root!();
    in_namespace(|| {
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7373)).unwrap();
        let mut command = socktrace();
        command.args(["-Gtlnj", "sport = 7373"]);
        without_capabilities(&mut command, &[CapabilitySet::SYS_ADMIN]);
        let output = command.output().unwrap();
        let sockets: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(sockets.len(), 1, "{output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("network namespaces may not be entered"), "{stderr}");
    });
}

#[test]
fn the_summary_is_told_for_each_namespace() {
    require_root!();
    in_namespace(|| {
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let all = objects(&["-Gsj"]);
        let mine = all.iter().find(|one| one["netns"] == this_netns()).unwrap();
        assert_eq!(mine["summary"]["inet"]["tcp"], 1);
        assert!(all.len() > 1);
    });
}
