use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;

use super::database::{Protocols, Services};
use super::netlink::NetlinkProtocols;
use super::*;

fn names(numeric: bool) -> Names {
    Names::new(NameOptions { numeric, resolve_hosts: true, proc_root: "/proc".into() })
}

fn shown(append: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    append(&mut out);
    String::from_utf8(out).unwrap()
}

const SERVICES: &[u8] = b"# comment
exec\t\t512/tcp
biff 512/udp comsat # mail
shell 514/tcp cmd syslog
syslog 514/udp
shell 9999/tcp
broken
worse x/tcp
other 7/xns
";

#[test]
fn services_are_found_by_port_name_and_alias() {
    let services = Services::parse(SERVICES);
    let table = [
        (512, Transport::Tcp, Some("exec")),
        (512, Transport::Udp, Some("biff")),
        (514, Transport::Tcp, Some("shell")),
        (514, Transport::Sctp, None),
    ];
    for (port, transport, name) in table {
        assert_eq!(services.name(port, transport), name.map(str::as_bytes), "{port}");
    }
    assert_eq!(services.port(b"comsat", Transport::Udp), Some(512));
    assert_eq!(services.port(b"syslog", Transport::Tcp), Some(514));
    assert_eq!(services.port(b"shell", Transport::Tcp), Some(514));
    assert_eq!(services.port(b"other", Transport::Tcp), None);
}

#[test]
fn services_are_those_of_the_c_library() {
    let Ok(getent) = Command::new("getent").args(["services"]).output() else {
        return skip("getent is not installed");
    };
    let services = Services::read();
    let mut seen = std::collections::HashSet::new();
    for line in String::from_utf8(getent.stdout).unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (port, transport) = words[1].split_once('/').unwrap();
        let port: u16 = port.parse().unwrap();
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "sctp" => Transport::Sctp,
            "dccp" => Transport::Dccp,
            _ => continue,
        };
        if seen.insert((port, transport)) {
            assert_eq!(services.name(port, transport), Some(words[0].as_bytes()), "{line}");
        }
    }
}

#[test]
fn a_port_in_the_ephemeral_range_has_no_name() {
    let names = names(false);
    let first = *names.ephemeral_ports().0.start();
    assert_eq!(shown(|out| names.port(first, Transport::Tcp, out)), first.to_string());
    assert_eq!(shown(|out| names.port(0, Transport::Tcp, out)), "*");
    assert_eq!(ephemeral(b"1024\t65535\n"), Some(EphemeralPorts(1024..=65535)));
    assert_eq!(ephemeral(b"1024"), None);
}

#[test]
fn ip_protocols_without_a_name_keep_their_number() {
    let protocols = Protocols::parse(b"icmp\t1\tICMP\t# control\nhopopt 0\n");
    assert_eq!(protocols.name(1), Some(&b"icmp"[..]));
    assert_eq!(protocols.name(2), None);
    assert_eq!(shown(|out| names(false).ip_protocol(253, out)), "ipproto-253");
    assert_eq!(shown(|out| names(true).ip_protocol(253, out)), "253");
}

#[test]
fn ethernet_protocols_are_shown_as_ss_does() {
    let table = [(0x0800, "ip"), (3, "*"), (0x88cc, "LLDP"), (0x9000, "[36864]"), (0, "[0]")];
    for (protocol, name) in table {
        assert_eq!(shown(|out| names(false).ethernet_protocol(protocol, out)), name);
    }
    assert_eq!(shown(|out| names(true).ethernet_protocol(0x0800, out)), "[2048]");
    assert_eq!(shown(|out| names(true).ethernet_protocol(3, out)), "*");
    assert_eq!(ethernet::number_of(b"IPv4"), Some(0x0800));
    assert_eq!(ethernet::number_of(b"vlan"), None);
}

#[test]
fn the_file_of_netlink_protocols_overrides_what_is_built_in() {
    let protocols = NetlinkProtocols::parse(b"# names\n0 route\n30 mine\n");
    assert_eq!(protocols.name(0), Some(&b"route"[..]));
    assert_eq!(protocols.number(b"mine"), Some(30));
    assert_eq!(protocols.number(b"genl"), Some(16));
    assert_eq!(protocols.number(b"rtnl"), None);
}

#[test]
fn a_netlink_port_is_a_process_the_kernel_or_a_number() {
    let root = std::env::temp_dir().join(format!("socktrace-names-{}", std::process::id()));
    std::fs::create_dir_all(root.join("7")).unwrap();
    let mut stat = std::fs::File::create(root.join("7/stat")).unwrap();
    stat.write_all(b"7 (a\x1b (b) c) S 1 2 3\n").unwrap();
    let options = |numeric| NameOptions { numeric, resolve_hosts: false, proc_root: root.clone() };
    let names = Names::new(options(false));
    let table = [(0, "kernel"), (u32::MAX, "*"), (7, "a. (b/7"), (8, "8"), (0xffff_fff0, "-16")];
    for (port_id, name) in table {
        assert_eq!(shown(|out| names.netlink_port(port_id, out)), name);
    }
    let numeric = Names::new(options(true));
    assert_eq!(shown(|out| numeric.netlink_port(0, out)), "0");
    assert_eq!(shown(|out| numeric.netlink_port(7, out)), "7");
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn interfaces_are_found_both_ways() {
    let names = names(false);
    let Some(lo) = Lookup::interface(&names, b"lo") else {
        return skip("there is no interface lo");
    };
    assert_eq!(shown(|out| names.interface(lo, out)), "lo");
    assert_eq!(shown(|out| names.interface(4_000_000, out)), "if4000000");
    assert_eq!(Lookup::interface(&names, b"no such"), None);
}

#[test]
fn the_root_cgroup_is_found_both_ways() {
    let Some(root) = cgroup::mount_point() else {
        return skip("no cgroup2 hierarchy is mounted");
    };
    let id = cgroup::id(root.as_os_str()).unwrap();
    assert_eq!(shown(|out| names(false).cgroup(id, out)), "/");
    assert_eq!(shown(|out| names(false).cgroup(0xabcdef, out)), "unreachable:abcdef");
    assert!(Lookup::cgroup(&names(false), OsStr::new("/no such cgroup")).is_err());
}

#[test]
fn hosts_come_from_the_hosts_file() {
    let addresses = Lookup::host(&names(false), b"localhost");
    if addresses.is_empty() {
        return skip("localhost has no address");
    }
    assert!(addresses.iter().all(IpAddr::is_loopback));
    let mut out = Vec::new();
    if names(false).host(Ipv4Addr::LOCALHOST.into(), &mut out) {
        assert!(!out.is_empty());
    }
    let plain = NameOptions { numeric: false, resolve_hosts: false, proc_root: "/proc".into() };
    assert!(!Names::new(plain).host(Ipv4Addr::LOCALHOST.into(), &mut out));
}

fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}
