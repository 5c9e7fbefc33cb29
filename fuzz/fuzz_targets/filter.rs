//! What is typed after the options: lines are arguments, the first is the filter's file unless it
//! is empty. What parses is compiled for the kernel and judged.

#![no_main]

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;
use socktrace::diag::inet;
use socktrace::filter::{
    self, KernelOps, Listed, Lookup, Scope, Surroundings, Transport, Verdict,
};
use socktrace::socket::{Socket, Table, TableSet, UnixFile};

struct Names;

impl Lookup for Names {
    fn service(&self, name: &[u8], transport: Transport) -> Option<u16> {
        match (name, transport) {
            (b"ssh", _) => Some(22),
            (b"split", Transport::Tcp) => Some(1),
            (b"split", _) => Some(2),
            _ => None,
        }
    }

    fn host(&self, name: &[u8]) -> Vec<IpAddr> {
        match name {
            b"localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            _ => Vec::new(),
        }
    }

    fn interface(&self, name: &[u8]) -> Option<u32> {
        (name == b"lo").then_some(1)
    }

    fn cgroup(&self, path: &OsStr) -> io::Result<u64> {
        if path == "/" { Ok(1) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn netlink_protocol(&self, name: &[u8]) -> Option<u8> {
        (name == b"rtnl").then_some(0)
    }

    fn ethernet_protocol(&self, name: &[u8]) -> Option<u16> {
        (name == b"ip").then_some(0x0800)
    }

    fn ip_protocol(&self, name: &[u8]) -> Option<u8> {
        (name == b"icmp").then_some(1)
    }

    fn user(&self, name: &[u8]) -> Option<u32> {
        (name == b"root").then_some(0)
    }

    fn group(&self, name: &[u8]) -> Option<u32> {
        (name == b"root").then_some(0)
    }

    fn netns(&self, name: &[u8]) -> Option<u64> {
        (name == b"self").then_some(1)
    }

    fn socket_file(&self, path: &OsStr) -> Option<UnixFile> {
        (path == "/s").then_some(UnixFile { inode: 1, device: 2 })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let file = lines.next().filter(|line| !line.is_empty());
    let arguments: Vec<OsString> = lines.map(|line| OsString::from_vec(line.to_vec())).collect();
    let scope = Scope { family: None, tables: TableSet::of(&[Table::Tcp, Table::Udp]), any_netns: false };
    let Ok(filter) = filter::parse(file, &arguments, scope, &Names) else { return };
    let Some(expr) = filter.expr else { return };
    // What is printed is a filter too, or refused with words.
    let _ = filter::parse(None, &[OsString::from(expr.to_string())], scope, &Names);
    let mut message = [0; 72];
    message[0] = 2;
    let socket = Socket::Inet(inet::decode(Table::Tcp, &message).expect("a message of IPv4"));
    let whole = expr.matches(&Listed { socket: &socket, around: Surroundings::default() });
    let left = match expr.in_table(Table::Tcp) {
        Verdict::Known(holds) => holds,
        Verdict::Open(left) => {
            left.matches(&Listed { socket: &socket, around: Surroundings::default() })
        }
    };
    assert_eq!(left, whole, "{expr}");
    expr.states();
    filter::probe(&expr);
    let _ = filter::Explained { expr: &expr, tables: scope.tables }.to_string();
    for ops in [KernelOps::ALL, KernelOps::BASIC] {
        filter::compile(&expr, ops);
    }
});
