//! /proc/net/{tcp,udp,raw} and their IPv6 twins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::fields::{Fields, hex, hex32};
use super::{Line, NetFile, ProcError, Skipped, lines};
use crate::diag::Sink;
use crate::socket::{
    Cookie, Family, Inet, InetEnd, InetExt, Inode, ProcTcp, ProcText, Socket, State, StateSet,
    Table, Timer, TimerKind,
};

/// The kernel prints times in clock ticks of this length.
const TICK_MS: u32 = 10;

/// Lists a TCP, UDP or RAW table's sockets of one family.
pub fn inet(
    table: Table,
    family: Family,
    states: StateSet,
    sink: &mut Sink<'_>,
) -> Result<Skipped, ProcError> {
    let Some(file) = NetFile::of(table, family) else { return Ok(Skipped::default()) };
    lines(file, &mut |line| {
        let Some((mut socket, text)) = parse(table, family, line) else {
            return Ok(Line::Malformed);
        };
        if states.contains(socket.state) {
            socket.ext.proc_text = Some(&text);
            sink(&Socket::Inet(socket))?;
        }
        Ok(Line::Good)
    })
}

fn parse(table: Table, family: Family, line: &[u8]) -> Option<(Inet<'_>, ProcText<'_>)> {
    let mut fields = Fields::new(line);
    fields.next()?.strip_suffix(b":")?;
    let local = end(family, fields.next()?)?;
    let peer = end(family, fields.next()?)?;
    let state = u8::try_from(fields.hex()?).ok()?;
    let (send_queue, recv_queue) = pair(fields.next()?)?;
    let (timer, ticks) = pair(fields.next()?)?;
    let retransmits = fields.hex()?;
    let uid = fields.decimal()?;
    let probes = fields.signed()?;
    let inode = Inode(fields.decimal()?);
    // The first of them counts references.
    fields.next()?;
    // Early after boot, the kernel has no number for the pointer.
    let cookie = Cookie(hex(fields.next()?).unwrap_or(0));
    let kind = TimerKind::from_raw(u8::try_from(timer).ok()?);
    let text = match table {
        Table::Tcp => ProcText::Tcp(proc_tcp(&mut fields)?),
        _ => ProcText::Datagram,
    };
    let socket = Inet {
        table,
        family,
        state: State::from_raw(state),
        local,
        peer,
        ifindex: 0,
        cookie,
        recv_queue,
        send_queue,
        uid,
        inode,
        timer: Timer {
            kind,
            // Only a retransmission timer counts retransmissions; the others count probes.
            retransmits: match kind {
                TimerKind::On => u8::try_from(retransmits).unwrap_or(u8::MAX),
                _ => u8::try_from(probes).unwrap_or(u8::MAX),
            },
            expires_ms: ticks.saturating_mul(TICK_MS),
        },
        ext: InetExt::default(),
    };
    Some((socket, text))
}

/// What follows the pointer in a TCP line: nothing for sockets in TIME-WAIT and SYN-RECV.
fn proc_tcp<'a>(fields: &mut Fields<'a>) -> Option<ProcTcp<'a>> {
    let Some(rto) = fields.signed() else {
        // ss takes these for granted where the kernel says nothing.
        return Some(ProcTcp { cwnd: 2, ..ProcTcp::default() });
    };
    let ato = fields.signed()?;
    let quick_ack = u32::try_from(fields.signed()?).ok()?;
    let cwnd = fields.decimal();
    let ssthresh = fields.signed();
    Some(ProcTcp {
        rto_ms: u32::try_from(rto).ok()?.saturating_mul(TICK_MS),
        ato_ms: u32::try_from(ato).ok()?.saturating_mul(TICK_MS),
        quick_acks: quick_ack / 2,
        cwnd: cwnd.unwrap_or(0),
        // The kernel prints -1 for "none so far".
        ssthresh: ssthresh.and_then(|value| u32::try_from(value).ok()).unwrap_or(0),
        rest: fields.rest(),
    })
}

/// `AAAA:BBBB` in hexadecimal.
fn pair(field: &[u8]) -> Option<(u32, u32)> {
    let at = field.iter().position(|byte| *byte == b':')?;
    Some((hex32(&field[..at])?, hex32(&field[at + 1..])?))
}

/// An address as 32-bit words in the machine's order, and a port.
fn end(family: Family, field: &[u8]) -> Option<InetEnd> {
    let at = field.iter().position(|byte| *byte == b':')?;
    let (words, port) = (&field[..at], &field[at + 1..]);
    let addr = match (family, words.len()) {
        (Family::Inet, 8) => IpAddr::V4(Ipv4Addr::from(hex32(words)?.to_ne_bytes())),
        (Family::Inet6, 32) => {
            let mut bytes = [0; 16];
            for (to, word) in bytes.chunks_exact_mut(4).zip(words.chunks_exact(8)) {
                to.copy_from_slice(&hex32(word)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(InetEnd { addr, port: u16::try_from(hex(port)?).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LISTEN: &[u8] = b"   0: 0100007F:0016 00000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 20650 2 0000000022b931a0 100 0 0 10 0                     \n";
    const ESTAB: &[u8] = b"   2: 00000000000000000000000001000000:8BF6 0000000000000000FFFF00000100007F:1F90 01 00000007:00000032 02:000ADB73 00000003  1000        4 20646 2 000000005f4a4f0a 20 4 31 10 -1\n";
    const TIME_WAIT: &[u8] =
        b"   1: 0100007F:0017 0200007F:0000 06 00000000:00000001 03:00000A00 00000000     0        0 0 3 0000000022b931a0\n";

    #[test]
    fn a_listening_socket() {
        let (socket, text) = parse(Table::Tcp, Family::Inet, LISTEN).unwrap();
        assert_eq!(socket.local, InetEnd { addr: Ipv4Addr::LOCALHOST.into(), port: 22 });
        assert_eq!(socket.state, State::Listen);
        assert_eq!((socket.recv_queue, socket.send_queue), (1, 0));
        assert_eq!((socket.inode, socket.cookie), (Inode(20650), Cookie(0x22b9_31a0)));
        let ProcText::Tcp(tcp) = text else { panic!() };
        assert_eq!((tcp.rto_ms, tcp.cwnd, tcp.ssthresh, tcp.rest), (1000, 10, 0, &b""[..]));
    }

    #[test]
    fn a_pointer_that_the_kernel_does_not_tell_is_no_reason_to_leave_a_socket_out() {
        let line = String::from_utf8_lossy(LISTEN).replace("0000000022b931a0", "(____ptrval____)");
        let (socket, _) = parse(Table::Tcp, Family::Inet, line.as_bytes()).unwrap();
        assert_eq!((socket.inode, socket.cookie), (Inode(20650), Cookie(0)));
    }

    #[test]
    fn a_connected_socket() {
        let (socket, text) = parse(Table::Tcp, Family::Inet6, ESTAB).unwrap();
        assert_eq!(socket.local, InetEnd { addr: Ipv6Addr::LOCALHOST.into(), port: 0x8bf6 });
        assert_eq!(socket.peer.addr, "::ffff:127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(socket.timer.kind, TimerKind::Keepalive);
        assert_eq!((socket.timer.retransmits, socket.timer.expires_ms), (4, 7_115_390));
        assert_eq!((socket.uid, socket.recv_queue, socket.send_queue), (1000, 50, 7));
        let ProcText::Tcp(tcp) = text else { panic!() };
        assert_eq!((tcp.ato_ms, tcp.quick_acks), (40, 15));
    }

    #[test]
    fn a_line_may_end_early_where_the_kernel_ends_it() {
        let (socket, _) = parse(Table::Tcp, Family::Inet, TIME_WAIT).unwrap();
        assert_eq!((socket.timer.kind, socket.timer.expires_ms), (TimerKind::TimeWait, 25_600));
        assert!(parse(Table::Udp, Family::Inet, TIME_WAIT).is_some());
    }

    #[test]
    fn lines_that_the_kernel_does_not_write_are_refused() {
        for line in [
            &b""[..],
            b"\n",
            b"garbage\n",
            b"0: 01\n",
            b"0: 0100007F:0016 00000000:0000\n",
            b"0: zz00007F:0016 00000000:0000 0A 0:0 00:0 0 0 0 1 1 0\n",
            b"0: 0100007F:10016 00000000:0000 0A 0:0 00:0 0 0 0 1 1 0\n",
            b"0: 00000000000000000000000001000000:8BF6 00000000:0000 0A 0:0 00:0 0 0 0 1 1 0\n",
        ] {
            assert!(parse(Table::Tcp, Family::Inet, line).is_none(), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(Table::Tcp, Family::Inet, &line);
        }

        #[test]
        fn no_damage_panics(at in 0usize..ESTAB.len(), byte: u8, cut in 0usize..ESTAB.len()) {
            let mut line = ESTAB.to_vec();
            line[at] = byte;
            let _ = parse(Table::Tcp, Family::Inet6, &line);
            line.truncate(cut);
            let _ = parse(Table::Tcp, Family::Inet6, &line);
        }
    }
}
