//! /proc/net/{unix,packet,netlink}.

use super::fields::Fields;
use super::{Line, NetFile, ProcError, Skipped, lines};
use crate::diag::Sink;
use crate::socket::{
    Cookie, Inode, Netlink, Packet, PacketDetail, Socket, State, StateSet, Table, TableSet, Unix,
};

const LISTENS: u64 = 1 << 16;

/// Lists UNIX sockets, in `ss`'s order: by type, then by inode.
pub fn unix(tables: TableSet, states: StateSet, sink: &mut Sink<'_>) -> Result<Skipped, ProcError> {
    let mut names = Vec::new();
    let mut rows = Vec::new();
    let skipped = lines(NetFile::Unix, &mut |line| {
        let Some((row, name)) = unix_row(line) else { return Ok(Line::Malformed) };
        if tables.contains(row.table) && states.contains(row.state) {
            let start = names.len();
            names.extend_from_slice(name);
            rows.push((row, start..names.len()));
        }
        Ok(Line::Good)
    })?;
    rows.sort_by_key(|(row, _)| (row.socket_type, row.inode));
    for (row, name) in rows {
        sink(&Socket::Unix(Unix {
            table: row.table,
            state: row.state,
            name: (!name.is_empty()).then(|| &names[name]),
            peer_name: None,
            inode: row.inode,
            peer_inode: Inode(0),
            cookie: Cookie(0),
            recv_queue: 0,
            send_queue: 0,
            uid: None,
            shutdown: None,
            file: None,
            pending: None,
            skmem: None,
        }))?;
    }
    Ok(skipped)
}

struct UnixRow {
    table: Table,
    socket_type: u64,
    state: State,
    inode: Inode,
}

/// The name keeps the `@` that the kernel writes for NUL, and ends at its first blank: a path with
/// a line end in it cannot be told from two lines.
fn unix_row(line: &[u8]) -> Option<(UnixRow, &[u8])> {
    let mut fields = Fields::new(line);
    let pointer = super::fields::hex(fields.next()?.strip_suffix(b":")?)?;
    fields.skip(2)?;
    let flags = fields.hex()?;
    let socket_type = fields.hex()?;
    let table = match socket_type {
        1 => Table::UnixStream,
        2 => Table::UnixDgram,
        5 => Table::UnixSeqpacket,
        _ => return None,
    };
    let state = match fields.hex()? {
        _ if flags & LISTENS != 0 => State::Listen,
        // ss shows a datagram socket of a kernel that prints its address as connected.
        1 if table == Table::UnixDgram && pointer != 0 => State::Established,
        1 => State::Close,
        2 => State::SynSent,
        3 => State::Established,
        4 => State::Closing,
        _ => return None,
    };
    let inode = Inode(fields.decimal()?);
    Some((UnixRow { table, socket_type, state, inode }, fields.next().unwrap_or_default()))
}

/// Lists PACKET sockets.
pub fn packet(tables: TableSet, sink: &mut Sink<'_>) -> Result<Skipped, ProcError> {
    lines(NetFile::Packet, &mut |line| {
        let Some(socket) = parse_packet(line) else { return Ok(Line::Malformed) };
        if tables.contains(socket.table) {
            sink(&Socket::Packet(socket))?;
        }
        Ok(Line::Good)
    })
}

fn parse_packet(line: &[u8]) -> Option<Packet<'static>> {
    let mut fields = Fields::new(line);
    fields.skip(2)?;
    let table = match fields.decimal()? {
        3 => Table::PacketRaw,
        _ => Table::PacketDgram,
    };
    let protocol = u16::try_from(fields.hex()?).ok()?;
    let ifindex = fields.decimal()?;
    fields.next()?;
    Some(Packet {
        table,
        protocol,
        ifindex,
        recv_queue: fields.decimal()?,
        uid: fields.decimal()?,
        inode: Inode(fields.decimal()?),
        cookie: Cookie(0),
        skmem: None,
        detail: PacketDetail::default(),
    })
}

/// Lists NETLINK sockets.
pub fn netlink(sink: &mut Sink<'_>) -> Result<Skipped, ProcError> {
    lines(NetFile::Netlink, &mut |line| {
        let Some(socket) = parse_netlink(line) else { return Ok(Line::Malformed) };
        sink(&Socket::Netlink(socket))?;
        Ok(Line::Good)
    })
}

fn parse_netlink(line: &[u8]) -> Option<Netlink> {
    let mut fields = Fields::new(line);
    let sk = fields.hex()?;
    let protocol = u8::try_from(fields.decimal()?).ok()?;
    // Kernels print it as signed or as unsigned.
    let port_id = fields.signed()?;
    let port_id = u32::try_from(port_id).or(i32::try_from(port_id).map(i32::cast_unsigned)).ok()?;
    let groups = u32::try_from(fields.hex()?).ok()?;
    let recv_queue = fields.decimal()?;
    let send_queue = fields.decimal()?;
    let cb = fields.hex()?;
    fields.skip(2)?;
    Some(Netlink {
        protocol,
        port_id,
        peer_port_id: 0,
        peer_group: None,
        groups,
        recv_queue,
        send_queue,
        inode: Inode(fields.decimal()?),
        cookie: Cookie(0),
        sk,
        cb,
        skmem: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unix_states_are_those_of_ss() {
        let row = |kind: &str, flags: &str, state: &str, pointer: &str| {
            let line = format!("{pointer}: 00000002 00000000 {flags} {kind} {state} 8 name\n");
            unix_row(line.as_bytes()).map(|(row, _)| row.state)
        };
        let plain = |kind, state| row(kind, "00000000", state, "00000000535349d4");
        assert_eq!(plain("0001", "01"), Some(State::Close));
        assert_eq!(plain("0001", "02"), Some(State::SynSent));
        assert_eq!(plain("0005", "03"), Some(State::Established));
        assert_eq!(plain("0001", "04"), Some(State::Closing));
        assert_eq!(plain("0002", "01"), Some(State::Established));
        assert_eq!(row("0002", "00000000", "01", "0000000000000000"), Some(State::Close));
        assert_eq!(row("0001", "00010000", "01", "0000000000000000"), Some(State::Listen));
        assert_eq!(plain("0001", "09"), None);
        assert_eq!(plain("0007", "01"), None);
    }

    #[test]
    fn unix_names() {
        let name = |rest: &str| {
            let line = format!("0: 00000002 00000000 00000000 0001 03 9{rest}\n");
            unix_row(line.as_bytes()).map(|(row, name)| (row.inode, name.to_vec()))
        };
        assert_eq!(name(""), Some((Inode(9), b"".to_vec())));
        assert_eq!(name(" /run/a b"), Some((Inode(9), b"/run/a".to_vec())));
        assert_eq!(name(" @abs@tract"), Some((Inode(9), b"@abs@tract".to_vec())));
        assert!(unix_row(b"@end@\n").is_none());
    }

    #[test]
    fn packet_lines() {
        let socket =
            parse_packet(b"000000007467a8c7 2      3    88cc   77    1 5      1000   20588 \n")
                .unwrap();
        assert_eq!((socket.table, socket.protocol, socket.ifindex), (Table::PacketRaw, 0x88cc, 77));
        assert_eq!((socket.recv_queue, socket.uid, socket.inode), (5, 1000, Inode(20588)));
        assert!(parse_packet(b"000000007467a8c7 2      2    0800\n").is_none());
    }

    #[test]
    fn netlink_lines() {
        let parse = |pid: &str| {
            let line = format!("000000001c8f25df 4 {pid} dead0001 5 6 0 2 0 20629   \n");
            parse_netlink(line.as_bytes())
        };
        let socket = parse("3663796406").unwrap();
        assert_eq!(
            (socket.protocol, socket.port_id, socket.groups),
            (4, 3_663_796_406, 0xdead_0001)
        );
        assert_eq!((socket.recv_queue, socket.send_queue, socket.sk), (5, 6, 0x1c8f_25df));
        assert_eq!(parse("-4098").unwrap().port_id, 4_294_963_198);
        assert!(parse("99999999999").is_none());
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = (unix_row(&line), parse_packet(&line), parse_netlink(&line));
        }
    }
}
