//! The filter against tables of what `ss` does, and its back ends against each other.

mod backends;
mod evaluation;
mod events;
mod language;
mod predicates;
mod reference;
mod verdicts;

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::container::Homes;
use crate::owner::Owners;
use crate::socket::{
    Cookie, Inet, InetEnd, InetExt, Inode, NetnsId, Socket, State, Table, TcpInfo, Timer, TimerKind,
};

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

    fn ip_protocol(&self, name: &[u8]) -> Option<u8> {
        (name == b"icmp").then_some(1)
    }

    fn user(&self, name: &[u8]) -> Option<u32> {
        (name == b"daemon").then_some(7)
    }

    fn group(&self, name: &[u8]) -> Option<u32> {
        (name == b"wheel").then_some(8)
    }

    fn netns(&self, name: &[u8]) -> Option<u64> {
        (name == b"self").then_some(4_026_531_840)
    }

    fn socket_file(&self, path: &OsStr) -> Option<UnixFile> {
        (path == "/run/link.sock").then_some(FILE)
    }
}

const FILE: UnixFile = UnixFile { inode: 77, device: 8 };

const CONTAINER: &str = "/system.slice/docker-\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope";

/// What is around the sockets of the tests.
struct Around {
    ports: EphemeralPorts,
    owners: Owners,
    homes: Homes,
}

impl Facts for Around {
    fn cgroup_path(&self, id: u64) -> Option<&[u8]> {
        match id {
            1 => Some(b"/"),
            2 => Some(b"/system.slice/nginx.service"),
            3 => Some(CONTAINER.as_bytes()),
            42 => Some(b"/slice"),
            _ => None,
        }
    }

    fn group_of(&self, pid: u32) -> Option<u32> {
        (pid == 100).then_some(8)
    }
}

impl Around {
    fn new() -> Around {
        let mut owners = Owners::default();
        let nginx = owners.add_task(100, 100, b"nginx", None);
        let odd = owners.add_task(200, 200, b"(sd pam)", None);
        owners.add_descriptor(Inode(10), nginx, 3);
        owners.add_descriptor(Inode(10), odd, 4);
        owners.add_descriptor(Inode(20), odd, 5);
        let homes = Homes::new("/nonexistent".into());
        Around { ports: EphemeralPorts::default(), owners, homes }
    }

    fn judge(&self, expr: &Expr, socket: &Socket<'_>) -> bool {
        let around = Surroundings {
            ports: Some(&self.ports),
            owners: Some(&self.owners),
            homes: Some(&self.homes),
            facts: Some(self),
            netns: Some(NetnsId(4_026_531_840)),
            missing: None,
        };
        expr.matches(&Listed { socket, around })
    }
}

const NO_FAMILY: Scope = Scope { family: None, tables: TableSet::ALL, any_netns: false };

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

/// A `tcp_info` with these fields.
fn info(rtt_us: u32, sent: u64) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[68..72].copy_from_slice(&rtt_us.to_ne_bytes());
    bytes[200..208].copy_from_slice(&sent.to_ne_bytes());
    assert_eq!(TcpInfo::parse(&bytes).rtt, rtt_us);
    bytes
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
    prop_oneof![
        4 => (side(), host()).prop_map(|(side, host)| Predicate::Host { side, host }),
        4 => (side(), compare(), compared_port())
            .prop_map(|(side, compare, port)| Predicate::Port { side, compare, port }),
        1 => (0..3u32).prop_map(|ifindex| Predicate::Device { ifindex, name: ifindex.to_string().into() }),
        1 => (0..4u32, prop_oneof![Just(u32::MAX), 0..4u32])
            .prop_map(|(value, mask)| Predicate::Mark { value, mask }),
        1 => (0..3u64).prop_map(|id| Predicate::Cgroup { id, path: format!("id-{id}").into_bytes() }),
        1 => Just(Predicate::Autobound),
        6 => number(),
        3 => (prop::sample::select(NAMES), glob_text())
            .prop_map(|(of, text)| Predicate::Name { of, glob: Glob::exact(text) }),
        1 => glob_text().prop_map(|text| Predicate::Path { glob: Glob::exact(text), file: None }),
        1 => prop::sample::select(vec![
                Protocol::Tables(TableSet::of(&[Table::Tcp])),
                Protocol::Tables(TableSet::of(&[Table::Udp])),
                Protocol::Ip(6),
                Protocol::Ip(1),
            ]).prop_map(Predicate::Protocol),
        2 => states().prop_map(|set| Predicate::State { of: StateOf::Now, set }),
        1 => prop::sample::select(vec![State::Established, State::SynSent]).prop_map(|state| {
            Predicate::State { of: StateOf::New, set: StateSet::of(&[state]) }
        }),
    ]
}

const NUMBERS: &[Number] = &[
    Number::Pid,
    Number::Uid,
    Number::Gid,
    Number::Inode,
    Number::Cookie,
    Number::Netns,
    Number::ReceiveQueue,
    Number::SendQueue,
    Number::Backlog,
    Number::Rtt,
    Number::RttVar,
    Number::MinRtt,
    Number::Rto,
    Number::Cwnd,
    Number::Mss,
    Number::Retrans,
    Number::Lost,
    Number::Sent,
    Number::Received,
    Number::LastSent,
    Number::LastReceived,
    Number::Idle,
    Number::Age,
    Number::Duration,
    Number::Tos,
    Number::Priority,
];
const NAMES: &[Name] =
    &[Name::Comm, Name::CongestionControl, Name::Unit, Name::Container, Name::Pod, Name::Reason];

fn compare() -> impl Strategy<Value = Compare> {
    prop::sample::select(vec![
        Compare::Equal,
        Compare::Greater,
        Compare::Less,
        Compare::GreaterOrEqual,
        Compare::LessOrEqual,
    ])
}

/// Values that the sockets have, near and far, in whatever unit.
fn number() -> impl Strategy<Value = Predicate> {
    let value = prop_oneof![
        prop::sample::select(vec![
            0,
            1,
            7,
            10,
            20,
            100,
            200,
            1000,
            1024,
            8000,
            65536,
            1_000_000,
            5_000_000,
            50_000_000,
            4_026_531_840,
        ]),
        any::<u64>(),
    ];
    (prop::sample::select(NUMBERS), compare(), value).prop_map(|(of, compare, value)| {
        let compare = if of.is_ordered() { compare } else { Compare::Equal };
        Predicate::Number { of, compare, value }
    })
}

fn states() -> impl Strategy<Value = StateSet> {
    (0..1u32 << 14).prop_map(|bits| {
        let states = State::ALL.into_iter().filter(|state| bits & 1 << *state as u32 != 0);
        let set = states.fold(StateSet::EMPTY, |set, state| set.union(StateSet::of(&[state])));
        super::states::nameable(set)
    })
}

/// A name that is no word of its own.
fn glob_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec!["nginx", "cubic", "n*", "dport", "(sd pam)", "pid", "state"])
            .prop_map(|text| text.as_bytes().to_vec()),
        r"[a-z@/*?\[\]\\() !-]{0,8}x".prop_map(String::into_bytes),
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
    let bound = (0..3u32, 0..4u32, 0..3u64);
    let info =
        prop::option::of((0..8u32, 0..3u64).prop_map(|(rtt, sent)| info(rtt * 1000, sent * 1000)));
    let rest = (
        prop::sample::select(vec![Table::Tcp, Table::Udp, Table::Raw]),
        prop::sample::select(State::ALL.to_vec()),
        prop::sample::select(vec![0, 10, 20, 30]),
        0..8u32,
        info,
    );
    (end(), end(), bound, rest).prop_map(|(local, peer, (ifindex, mark, cgroup), rest)| {
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
        let (table, state, inode, uid, info) = rest;
        (socket.table, socket.state, socket.inode, socket.uid) = (table, state, Inode(inode), uid);
        (socket.recv_queue, socket.send_queue) = (uid * 1000, 1024);
        // The tests may leak a little.
        socket.ext.info = info.filter(|_| table == Table::Tcp).map(|info| &*info.leak());
        socket.ext.congestion = Some(b"cubic").filter(|_| table == Table::Tcp).map(|n| &n[..]);
        socket
    })
}
