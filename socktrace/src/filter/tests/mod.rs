//! The filter against tables of what `ss` does, and its back ends against each other.

mod backends;
mod evaluation;
mod language;
mod verdicts;

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::socket::{Cookie, Inet, InetEnd, InetExt, Inode, Socket, State, Table, Timer};

/// A small world of names.
struct World;

impl Lookup for World {
    fn service(&self, name: &[u8], transport: Transport) -> Option<u16> {
        match (name, transport) {
            (b"http" | b"www", Transport::Tcp) => Some(80),
            (b"exec", Transport::Tcp) => Some(512),
            (b"biff", Transport::Udp) => Some(512),
            _ => None,
        }
    }

    fn host(&self, name: &[u8]) -> Vec<IpAddr> {
        let addresses: &[&str] = match name {
            b"localhost" => &["127.0.0.1", "::1"],
            b"six" => &["fd00::6"],
            b"many" => &["10.0.0.1", "10.0.0.2", "fd00::1"],
            _ => &[],
        };
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn interface(&self, name: &[u8]) -> Option<u32> {
        (name == b"lo").then_some(1)
    }

    fn cgroup(&self, path: &OsStr) -> io::Result<u64> {
        match path.to_str().and_then(|path| path.strip_prefix("id-")?.parse().ok()) {
            Some(id) => Ok(id),
            None if path == "/slice" => Ok(42),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn netlink_protocol(&self, name: &[u8]) -> Option<u8> {
        match name {
            b"rtnl" => Some(0),
            b"tcpdiag" => Some(4),
            _ => None,
        }
    }

    fn ethernet_protocol(&self, name: &[u8]) -> Option<u16> {
        (name == b"ip").then_some(0x0800)
    }
}

const NO_FAMILY: Scope = Scope { family: None, tables: TableSet::ALL };

fn arguments(text: &str) -> Vec<OsString> {
    vec![OsString::from(text)]
}

fn parsed_in(scope: Scope, text: &str) -> Result<Filter, FilterError> {
    parse(None, &arguments(text), scope, &World)
}

fn parsed(text: &str) -> Result<Filter, FilterError> {
    parsed_in(NO_FAMILY, text)
}

fn expr(text: &str) -> Expr {
    parsed(text).unwrap_or_else(|error| panic!("{error}")).expr.unwrap()
}

fn inet(local: (&str, u16), peer: (&str, u16)) -> Inet<'static> {
    let end = |(addr, port): (&str, u16)| InetEnd { addr: addr.parse().unwrap(), port };
    let local = end(local);
    Inet {
        table: Table::Tcp,
        family: if local.addr.is_ipv4() { Family::Inet } else { Family::Inet6 },
        state: State::Established,
        local,
        peer: end(peer),
        ifindex: 0,
        cookie: Cookie::default(),
        recv_queue: 0,
        send_queue: 0,
        uid: 0,
        inode: Inode::default(),
        timer: Timer::default(),
        ext: InetExt::default(),
    }
}

/// Few values, so that expressions and sockets often meet.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        prop::sample::select(vec![
            "0.0.0.0",
            "127.0.0.1",
            "10.0.0.1",
            "10.0.0.2",
            "10.1.0.1",
            "::",
            "::1",
            "fd00::1",
            "fd00::2",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
        ])
        .prop_map(|address| address.parse().unwrap()),
        any::<IpAddr>(),
    ]
}

fn any_port() -> impl Strategy<Value = u16> {
    prop_oneof![prop::sample::select(vec![0, 1, 22, 80, 81, 32768, 60999, 65535]), any::<u16>()]
}

fn compared_port() -> impl Strategy<Value = Port> {
    prop_oneof![
        any_port().prop_map(|port| Port(port.into())),
        prop::sample::select(vec![
            Port::ANY,
            Port(-7),
            Port(65536),
            Port(i32::MAX),
            Port(i32::MIN)
        ]),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Source, Side::Destination])
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (address(), 0..=128u8).prop_map(|(address, length)| {
        let full = Prefix::full_length(address);
        Prefix { address, length: if length > full { full } else { length } }
    })
}

fn glob() -> impl Strategy<Value = Glob> {
    r"[a-z@/*?\[\]\\() !-]{0,8}".prop_map(|pattern| Glob::new(pattern.into_bytes()))
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        2 => compared_port().prop_map(|port| Host::Any { port }),
        8 => (prefix(), compared_port()).prop_map(|(prefix, port)| Host::Inet { prefix, port }),
        1 => glob().prop_map(|name| Host::Unix { name }),
        1 => (any::<Option<u16>>(), compared_port())
            .prop_map(|(protocol, ifindex)| Host::Packet {
                protocol,
                ifindex: if ifindex.0 < 0 { Port::ANY } else { ifindex },
            }),
        1 => (any::<Option<u8>>(), compared_port())
            .prop_map(|(protocol, port_id)| Host::Netlink { protocol, port_id }),
        1 => (any::<Option<u32>>(), compared_port())
            .prop_map(|(cid, port)| Host::Vsock { cid, port }),
    ]
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let compare = prop::sample::select(vec![
        Compare::Equal,
        Compare::Greater,
        Compare::Less,
        Compare::GreaterOrEqual,
        Compare::LessOrEqual,
    ]);
    prop_oneof![
        4 => (side(), host()).prop_map(|(side, host)| Predicate::Host { side, host }),
        4 => (side(), compare, compared_port())
            .prop_map(|(side, compare, port)| Predicate::Port { side, compare, port }),
        1 => (0..3u32).prop_map(|ifindex| Predicate::Device { ifindex }),
        1 => (0..4u32, prop_oneof![Just(u32::MAX), 0..4u32])
            .prop_map(|(value, mask)| Predicate::Mark { value, mask }),
        1 => (0..3u64).prop_map(|id| Predicate::Cgroup { id, path: format!("id-{id}").into_bytes() }),
        1 => Just(Predicate::Autobound),
    ]
}

fn expression() -> impl Strategy<Value = Expr> {
    predicate().prop_map(Expr::Pred).prop_recursive(5, 40, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.prop_map(Expr::negate),
        ]
    })
}

fn inet_socket() -> impl Strategy<Value = Inet<'static>> {
    let end = || (address(), any_port());
    (end(), end(), 0..3u32, 0..4u32, 0..3u64).prop_map(|(local, peer, ifindex, mark, cgroup)| {
        let mut socket = inet(("::", local.1), ("::", peer.1));
        socket.local.addr = local.0;
        // Both ends are of one family.
        socket.peer.addr = match (local.0, peer.0) {
            (IpAddr::V4(_), IpAddr::V6(_)) => IpAddr::from([10, 0, 0, 2]),
            (IpAddr::V6(_), IpAddr::V4(v4)) => v4.to_ipv6_mapped().into(),
            (_, peer) => peer,
        };
        socket.family = if local.0.is_ipv4() { Family::Inet } else { Family::Inet6 };
        socket.ifindex = ifindex;
        socket.ext.mark = Some(mark);
        socket.ext.cgroup_id = (cgroup != 0).then_some(cgroup);
        socket
    })
}
