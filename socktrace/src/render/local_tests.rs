//! Recorded sock_diag messages of the families other than IP, as `ss` 7.3 printed them for the
//! options in the table. Some are as no kernel here makes them: peers of every kind, attributes
//! that nobody knows.

use proptest::prelude::*;

use super::Printer;
use super::columns::{Column, Hidden, Listing};
use super::show::{Holders, Layout, NumberStyle, Show};
use crate::diag::{netlink, packet, tipc, unix, vsock, xdp};
use crate::names::{NameOptions, Names};
use crate::render::known::Known;
use crate::socket::Socket;

macro_rules! recorded {
    ($hex:literal, $text:literal) => {
        (
            include_str!(concat!("../../testdata/local/", $hex, ".hex")),
            include_str!(concat!("../../testdata/local/", $text, ".txt")),
        )
    };
}

type Decode = for<'a> fn(&'a [u8]) -> Option<Socket<'a>>;

const UNIX: Decode = |message| unix::decode(message).map(Socket::Unix);
const PACKET: Decode = |message| packet::decode(message).map(Socket::Packet);
const NETLINK: Decode = |message| netlink::decode(message).map(Socket::Netlink);
const VSOCK: Decode = |message| vsock::decode(message).map(Socket::Vsock);
const TIPC: Decode = |message| tipc::decode(message).map(Socket::Tipc);
const XDP: Decode = |message| xdp::decode(message).map(Socket::Xdp);
const DECODERS: [Decode; 6] = [UNIX, PACKET, NETLINK, VSOCK, TIPC, XDP];

fn messages(hex: &str) -> Vec<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.lines().map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

fn print(messages: &[Vec<u8>], decode: Decode, show: Show, hidden: Hidden) -> String {
    let names = Names::new(NameOptions {
        numeric: show.numbers == NumberStyle::Numeric,
        resolve_hosts: false,
        proc_root: "/proc".into(),
    });
    let mut out = Vec::new();
    let mut printer =
        Printer::new(Listing::new(&mut out, None, hidden), show, Known::names(&names));
    for message in messages {
        if let Some(socket) = decode(message) {
            printer.socket(&socket).unwrap();
        }
    }
    printer.finish().unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn recorded_messages_are_printed_as_ss_prints_them() {
    // -e -m -b -n -H, and one table only where Netid is hidden.
    let all = Show {
        numbers: NumberStyle::Numeric,
        details: true,
        memory: true,
        bpf_filter: true,
        tipc_info: true,
        ..Show::default()
    };
    let with_holders = Show { holders: Holders::Processes, ..all };
    let one_line = |show| Show { layout: Layout::OneLine, ..show };
    let no_process = Hidden::default().and(Column::Process);
    let no_netid = Hidden::default().and(Column::Netid);
    for (decode, (hex, expected), show, hidden) in [
        (UNIX, recorded!("unix", "unix"), all, no_process),
        (PACKET, recorded!("packet", "packet"), all, no_process),
        (PACKET, recorded!("packet", "packet-oneline"), one_line(all), no_process),
        (NETLINK, recorded!("netlink", "netlink"), with_holders, no_netid),
        (VSOCK, recorded!("vsock", "vsock"), with_holders, Hidden::default()),
        (TIPC, recorded!("tipc", "tipc"), with_holders, no_netid),
        (TIPC, recorded!("tipc", "tipc-oneline"), one_line(with_holders), no_netid),
        (XDP, recorded!("xdp", "xdp"), all, no_process.and(Column::Netid)),
        (XDP, recorded!("xdp", "xdp-oneline"), one_line(all), no_process.and(Column::Netid)),
    ] {
        let printed = print(&messages(hex), decode, show, hidden);
        assert_eq!(printed, expected, "\n{printed}\n{expected}");
    }
}

#[test]
fn a_message_that_is_cut_short_never_panics() {
    for (decode, (hex, _)) in DECODERS.into_iter().zip([
        recorded!("unix", "unix"),
        recorded!("packet", "packet"),
        recorded!("netlink", "netlink"),
        recorded!("vsock", "vsock"),
        recorded!("tipc", "tipc"),
        recorded!("xdp", "xdp"),
    ]) {
        for message in messages(hex) {
            for len in 0..message.len() {
                let _ =
                    print(&[message[..len].to_vec()], decode, Show::default(), Hidden::default());
            }
        }
    }
}

proptest! {
    #[test]
    fn bytes_at_random_never_panic(
        which in 0usize..6,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Some(socket) = DECODERS[which](&bytes) {
            let _ = (socket.local(), socket.peer());
        }
    }

    #[test]
    fn damage_never_panics(at in 0usize..400, byte: u8) {
        let show = Show { details: true, memory: true, bpf_filter: true, tipc_info: true, ..Show::default() };
        for (decode, (hex, _)) in [
            (PACKET, recorded!("packet", "packet")),
            (TIPC, recorded!("tipc", "tipc")),
            (XDP, recorded!("xdp", "xdp")),
        ] {
            let mut all = messages(hex);
            for message in &mut all {
                let at = at % message.len();
                message[at] = byte;
            }
            let _ = print(&all, decode, show, Hidden::default());
        }
    }
}
