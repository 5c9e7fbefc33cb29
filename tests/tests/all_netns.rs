//! `--all-netns` and `-N`: namespaces with a name, those that only a process keeps, and those that
//! only a mount, a descriptor, a socket or an interface keeps.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command, Stdio};

use rustix::thread::{CapabilitySet, UnshareFlags, unshare_unsafe};
use serde_json::Value;
use socktrace_tests::namespace::{Named, in_namespace, ip, netns_of, on_device, this_netns};
use socktrace_tests::process::{socktrace, without_capabilities};
use socktrace_tests::schema::Schema;
use socktrace_tests::{require_linux, require_root, skip};

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
        expected.push(netns_of("/proc/self/ns/net"));
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    });
    let all = objects(&["-Gtlnj", &port_filter(port)]);
    let named_one = all.iter().find(|socket| socket["netns"] == named_id).unwrap();
    assert_eq!(named_one["netns_name"], named.name());
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
    assert!(lines.any(|line| line.starts_with(&format!("{} LISTEN", named.name()))), "{text}");
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
        // From /run/netns, it would be one.
        ("../../proc/self/ns/net", "Cannot open network namespace \"../../proc/self/ns/net\""),
        ("x/../../../proc/self/ns/net", "goes by the name \"x/../../../proc/self/ns/net\""),
        ("..", "goes by the name \"..\""),
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

/// The namespaces that are told of, whether they have sockets or not.
fn all_namespaces() -> Vec<u64> {
    let all = objects(&["-Gsj"]);
    all.iter().map(|summary| summary["netns"].as_u64().unwrap()).collect()
}

#[test]
fn a_namespace_that_only_a_descriptor_keeps_is_found() {
    require_root!();
    let (id, file) =
        in_namespace(|| (this_netns(), File::open("/proc/thread-self/ns/net").unwrap()));
    assert_eq!(all_namespaces().iter().filter(|found| **found == id).count(), 1);
    drop(file);
}

#[test]
fn a_namespace_that_only_a_socket_keeps_is_found() {
    require_root!();
    require_linux!(5, 12, "the iterator over descriptors");
    let (id, listener) =
        in_namespace(|| (this_netns(), TcpListener::bind((Ipv4Addr::LOCALHOST, 7474)).unwrap()));
    assert_eq!(namespaces(7474), [id]);
    drop(listener);
}

#[test]
fn a_namespace_that_only_a_tun_device_keeps_is_found() {
    require_root!();
    let open = || File::open("/dev/net/tun");
    let (id, tun) = in_namespace(|| (this_netns(), open()));
    let Ok(tun) = tun else { skip!("/dev/net/tun cannot be opened") };
    assert_eq!(all_namespaces().iter().filter(|found| **found == id).count(), 1);
    drop(tun);
}

#[test]
fn a_namespace_whose_name_was_taken_away_is_found_while_it_is_open() {
    require_root!();
    let named = Named::new("socktrace-deleted");
    let (id, file) = (named.id(), File::open(format!("/run/netns/{}", named.name())).unwrap());
    drop(named);
    assert_eq!(all_namespaces().iter().filter(|found| **found == id).count(), 1);
    drop(file);
}

/// In a pid namespace with a /proc of its own, what other processes keep is not to be seen.
#[test]
fn interfaces_that_lead_elsewhere_are_counted() {
    require_root!();
    let named = Named::new("socktrace-seen");
    in_namespace(|| {
        let elsewhere = rustix::thread::gettid().as_raw_nonzero().to_string();
        let peer = ["link", "add", "seen0", "type", "veth", "peer", "name", "seen1", "netns"];
        ip(&[&["-n", named.name()], &peer[..], &[&elsewhere]].concat());
        let mut command = Command::new("ip");
        command.args(["netns", "exec", named.name(), "unshare", "--pid", "--fork", "--mount-proc"]);
        command.arg(socktrace().get_program()).args(["-Gtln", "sport", "=", "7575"]);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert!(stderr.contains("interfaces lead to network namespaces"), "{stderr}");
    });
}

/// Another descriptor table than that of its process hides what a thread keeps from /proc/PID/fd.
#[test]
fn a_namespace_that_is_seen_and_not_entered_is_counted() {
    require_root!();
    require_linux!(5, 12, "the iterator over descriptors");
    in_namespace(|| {
        // SAFETY: this thread has no descriptor that others close for it.
        unsafe { unshare_unsafe(UnshareFlags::FILES) }.unwrap();
        // What others have open is theirs to close: a copy of a pipe would keep its reader waiting.
        // SAFETY: the table is this thread's own, and it has opened nothing yet.
        assert_eq!(unsafe { libc::close_range(3, libc::c_uint::MAX, 0) }, 0);
        let before = File::open("/proc/thread-self/ns/net").unwrap();
        // SAFETY: a namespace of its own takes no memory from other threads.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
        let (id, listener) =
            (this_netns(), TcpListener::bind((Ipv4Addr::UNSPECIFIED, 7575)).unwrap());
        socktrace::netns::move_into(&before.into()).unwrap();
        let output = socktrace().args(["-Gsj"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("network namespaces were seen, not entered"), "{stderr}");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(!stdout.contains(&id.to_string()), "{stdout}");
        drop(listener);
    });
}

#[test]
fn an_interface_is_that_of_each_namespace() {
    require_root!();
    let (one, other) = (Named::new("socktrace-dev-a"), Named::new("socktrace-dev-b"));
    // The same name has another number.
    let pair = |named: &Named, a: &str, b: &str| {
        ip(&["-n", named.name(), "link", "add", a, "type", "veth", "peer", "name", b]);
    };
    pair(&one, "dev0", "dev1");
    pair(&other, "first0", "first1");
    pair(&other, "dev0", "dev1");
    let bound = |device: &str, port: u16| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap().into();
        on_device(&socket, device).unwrap();
        socket
    };
    let _sockets: [OwnedFd; 4] = [
        one.inside(|| bound("dev0", 7676)),
        one.inside(|| bound("dev1", 7677)),
        other.inside(|| bound("dev0", 7676)),
        // The number that dev0 has in the other.
        other.inside(|| bound("first0", 7677)),
    ];
    let netns = |filter: &str| {
        let all = objects(&["-Guanj", filter]);
        let mut found: Vec<_> = all
            .iter()
            .filter(|socket| [7676, 7677].contains(&socket["local"]["port"].as_u64().unwrap()))
            .map(|s| (s["netns"].as_u64().unwrap(), s["local"]["port"].as_u64().unwrap()))
            .collect();
        found.sort_unstable();
        found
    };
    let sorted = |mut all: Vec<(u64, u64)>| {
        all.sort_unstable();
        all
    };
    assert_eq!(netns("dev = dev0"), sorted(vec![(one.id(), 7676), (other.id(), 7676)]));
    assert_eq!(
        netns("dev != dev0 and sport >= :7676 and sport <= :7677"),
        sorted(vec![(one.id(), 7677), (other.id(), 7677)])
    );
    let output = socktrace().args(["-Guan", "dev", "no-such-dev"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no interface \"no-such-dev\" in any network namespace"), "{stderr}");
    // Here, where there is only one, it is an error, as in ss.
    let output = socktrace().args(["-uan", "dev", "no-such-dev"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
