//! A filter means the same wherever it is judged: by the kernel's bytecode, or here.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use socktrace::diag::DiagSocket;
use socktrace::diag::inet::{Extensions, Request};
use socktrace::filter::{
    self, EphemeralPorts, Expr, KernelOps, Listed, Pushdown, Scope, Surroundings,
};
use socktrace::names::{NameOptions, Names};
use socktrace::socket::{Family, Socket, StateSet, Table, TableSet};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::require_root;

/// `autobound` is left out: what the kernel knows of it is more than what the address tells.
const PREDICATES: &[&str] = &[
    "sport = 8001",
    "dport = 8001",
    "dport != 8002",
    "sport > 8002",
    "sport >= 8002",
    "dport < 8002",
    "dport <= 8002",
    "sport = 0",
    "dport = 70000",
    "sport < 1",
    "dport >= 65535",
    "src 127.0.0.1",
    "src 127/8",
    "dst 127.0.0.2:8002",
    "dst 0.0.0.0/0",
    "dst 0.0.0.0",
    "src ::/0",
    "src [::1]",
    "dst [::1]:8003",
    "src [::ffff:0:0/96]",
    "dst *:8001",
    "dst *",
    "dev lo",
    "dev != 1",
    "dev 0",
    "fwmark = 7",
    "fwmark = 0x2/0x3",
    "fwmark != 0",
    "cgroup /sys/fs/cgroup",
    "cgroup /",
    "src unix:*",
    "rtt > 10us",
    "rto >= 0",
    "retrans = 0",
    "cwnd = 10",
    "cc = *",
    "backlog < 50%",
    "recvq = 0",
    "tos = 0",
    "uid = root",
    "uid != 0",
    "ino > 0",
    "proto = tcp",
    "ipproto = 17",
    "state = listening",
    "state != established",
    "timer = off",
    "idle < 1h",
    "path = *",
    "age < 1s",
];

/// Sockets of both families, mapped ones, marked ones and some bound to a device.
fn population() -> Vec<Box<dyn AsRawFd>> {
    let mut sockets: Vec<Box<dyn AsRawFd>> = Vec::new();
    let addresses = ["127.0.0.1:8001", "127.0.0.2:8002", "[::1]:8003", "0.0.0.0:8004", "[::]:8005"];
    for (i, address) in addresses.iter().enumerate() {
        let address: SocketAddr = address.parse().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let udp = UdpSocket::bind(address).unwrap();
        let mark = i as u32 * 7;
        set_mark(&listener, mark);
        set_mark(&udp, mark);
        for target in targets(address) {
            let client = TcpStream::connect(target).unwrap();
            set_mark(&client, mark + 1);
            sockets.push(Box::new(listener.accept().unwrap().0));
            sockets.push(Box::new(client));
            let client = UdpSocket::bind(if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" });
            let client = client.unwrap();
            client.connect(target).unwrap();
            sockets.push(Box::new(client));
        }
        sockets.push(Box::new(listener));
        sockets.push(Box::new(udp));
    }
    sockets
}

/// Where a listener is reached; the one for all addresses also over IPv4.
fn targets(address: SocketAddr) -> Vec<SocketAddr> {
    let hosts: &[&str] = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => &["127.0.0.9"],
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => &["127.0.0.9", "::1"],
        _ => return vec![address],
    };
    hosts.iter().map(|host| SocketAddr::new(host.parse().unwrap(), address.port())).collect()
}

fn set_mark(socket: &impl AsRawFd, mark: u32) {
    // SAFETY: the kernel reads four bytes of `mark`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MARK,
            (&raw const mark).cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "SO_MARK: {}", std::io::Error::last_os_error());
}

/// Expressions over the predicates, the same in each run.
fn expressions() -> Vec<String> {
    let mut seed = 1u64;
    let mut next = |bound: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % bound
    };
    let mut texts: Vec<String> = PREDICATES.iter().map(|text| text.to_string()).collect();
    for _ in 0..300 {
        let (one, other) = (next(texts.len()), next(texts.len()));
        let text = match next(5) {
            0 => format!("not ( {} )", texts[one]),
            1 | 2 => format!("( {} ) or ( {} )", texts[one], texts[other]),
            _ => format!("( {} ) and ( {} )", texts[one], texts[other]),
        };
        if text.len() < 2000 {
            texts.push(text);
        }
    }
    texts
}

struct Dump<'a> {
    table: Table,
    expr: Option<&'a Expr>,
    bytecode: Option<&'a [u8]>,
}

impl Dump<'_> {
    /// The cookies of the sockets that pass.
    fn cookies(&self, diag: &mut DiagSocket) -> BTreeSet<u64> {
        let ports = EphemeralPorts::default();
        let around = Surroundings { ports: Some(&ports), ..Surroundings::default() };
        let mut cookies = BTreeSet::new();
        let request = Request {
            table: self.table,
            states: StateSet::ALL,
            extensions: Extensions::INFO.union(Extensions::TOS),
            bytecode: self.bytecode,
            bpf_storage: None,
        };
        for family in [Family::Inet, Family::Inet6] {
            let mut sink = |socket: &Socket<'_>| {
                if self.expr.is_none_or(|expr| expr.matches(&Listed { socket, around }))
                    && let Socket::Inet(socket) = socket
                {
                    cookies.insert(socket.cookie.0);
                }
                Ok(())
            };
            let _ = request.dump(diag, family, &mut sink).unwrap();
        }
        cookies
    }
}

#[test]
fn the_kernel_and_we_agree_on_live_sockets() {
    require_root!();
    in_namespace(|| {
        let _sockets = population();
        let names = Names::new(NameOptions {
            numeric: true,
            resolve_hosts: false,
            proc_root: "/proc".into(),
        });
        let scope = Scope { family: None, tables: TableSet::ALL, any_netns: false };
        let mut diag = DiagSocket::open().unwrap();
        let mut matched = 0;
        for text in expressions() {
            // Not every machine has the cgroups.
            let words = [OsString::from(&text)];
            let Ok(parsed) = filter::parse(None, &words, scope, &names) else {
                assert!(text.contains("cgroup"), "{text}");
                continue;
            };
            let expr = parsed.expr.unwrap();
            for table in [Table::Tcp, Table::Udp] {
                let here = Dump { table, expr: Some(&expr), bytecode: None }.cookies(&mut diag);
                matched += usize::from(!here.is_empty());
                for ops in [KernelOps::ALL, KernelOps::BASIC] {
                    let Pushdown { bytecode, rest } = filter::compile(&expr, ops);
                    let bytecode = bytecode.as_deref();
                    let there = Dump { table, expr: rest.as_ref(), bytecode }.cookies(&mut diag);
                    assert_eq!(there, here, "{text} with {ops:?}");
                }
            }
        }
        assert!(matched > 100, "only {matched} expressions matched a socket");
    });
}
