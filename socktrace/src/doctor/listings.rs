//! Whether the kernel answers for each table of sockets.

use std::fs;

use super::{Area, Finding, Verdict};
use crate::diag::{DiagError, DiagSocket, inet, netlink, packet, tipc, unix, vsock, xdp};
use crate::procfs::{self, NetFile};
use crate::socket::{Family, Socket, StateSet, Table, TableSet};

/// A table, what it is called, the name of its protocol in /proc/net/protocols, the module that
/// answers for it, and the setting of a kernel that has it.
const TABLES: &[(Table, &str, &str, &str, &str)] = &[
    (Table::Tcp, "tcp", "TCP", "tcp_diag", "CONFIG_INET_TCP_DIAG"),
    (Table::Udp, "udp", "UDP", "udp_diag", "CONFIG_INET_UDP_DIAG"),
    (Table::Raw, "raw", "RAW", "raw_diag", "CONFIG_INET_RAW_DIAG"),
    (Table::Mptcp, "mptcp", "MPTCP", "mptcp_diag", "CONFIG_INET_MPTCP_DIAG"),
    (Table::Sctp, "sctp", "SCTP", "sctp_diag", "CONFIG_INET_SCTP_DIAG"),
    (Table::UnixStream, "unix", "UNIX", "unix_diag", "CONFIG_UNIX_DIAG"),
    (Table::PacketRaw, "packet", "PACKET", "af_packet_diag", "CONFIG_PACKET_DIAG"),
    (Table::Netlink, "netlink", "NETLINK", "netlink_diag", "CONFIG_NETLINK_DIAG"),
    (Table::VsockStream, "vsock", "AF_VSOCK", "vsock_diag", "CONFIG_VSOCKETS_DIAG"),
    (Table::Tipc, "tipc", "TIPC", "tipc_diag", "CONFIG_TIPC_DIAG"),
    (Table::Xdp, "xdp", "XDP", "xsk_diag", "CONFIG_XDP_SOCKETS_DIAG"),
];

pub(super) fn examine() -> Vec<Finding> {
    let mut diag = match DiagSocket::open() {
        Ok(diag) => diag,
        Err(error) => {
            let detail =
                format!("{error}: tables come from the text of /proc/net, with less in it");
            return vec![
                Finding::new(Area::Listings, "sock_diag", Verdict::Missing, detail).remedy(
                    "a kernel with CONFIG_INET_DIAG, and no seccomp filter that forbids AF_NETLINK",
                ),
            ];
        }
    };
    TABLES.iter().map(|table| of_table(&mut diag, table)).collect()
}

fn of_table(
    diag: &mut DiagSocket,
    (table, name, protocol, module, setting): &(Table, &'static str, &str, &str, &str),
) -> Finding {
    let error = match ask(diag, *table) {
        Ok(()) => return Finding::works(Area::Listings, name, "the kernel answers for it"),
        Err(error) => error,
    };
    if !has_protocol(protocol) {
        let detail = "this kernel has no such sockets: the protocol is not there, or not loaded";
        return Finding::new(Area::Listings, name, Verdict::Absent, detail);
    }
    let family = table.families().iter().next().unwrap_or(Family::Inet);
    let text = NetFile::of(*table, family).map(NetFile::path).filter(|path| path.exists());
    let (verdict, instead) = match text {
        Some(path) => (Verdict::Reduced, format!("from the text of {}, with less", path.display())),
        None => (Verdict::Missing, "its sockets cannot be listed".to_owned()),
    };
    Finding::new(Area::Listings, name, verdict, format!("{instead}: {error}"))
        .remedy(format!("modprobe {module}, or a kernel with {setting}"))
}

/// Asks for a table, as far as possible for none of its sockets.
fn ask(diag: &mut DiagSocket, table: Table) -> Result<(), DiagError> {
    let states = StateSet::EMPTY;
    let tables = TableSet::of(&[table]);
    let sink = &mut |_: &Socket<'_>| Ok(());
    let end = match table {
        Table::UnixStream => {
            unix::Request { tables, states, extensions: unix::Extensions::default() }
                .dump(diag, sink)
        }
        Table::PacketRaw => packet::dump(packet::Extensions::default(), diag, sink),
        Table::Netlink => netlink::dump(diag, sink),
        Table::VsockStream => vsock::Request { tables, states }.dump(diag, sink),
        Table::Tipc => tipc::dump(states, diag, sink),
        Table::Xdp => xdp::dump(diag, sink),
        _ => inet::Request {
            table,
            states,
            extensions: inet::Extensions::default(),
            bytecode: None,
            bpf_storage: None,
        }
        .dump(diag, Family::Inet, sink),
    };
    end.map(drop)
}

/// Whether sockets of the protocol can exist; a kernel that does not say is believed to have it.
fn has_protocol(name: &str) -> bool {
    let Ok(text) = fs::read_to_string(procfs::root().join("net/protocols")) else { return true };
    text.lines().filter_map(|line| line.split_whitespace().next()).any(|word| word == name)
}
