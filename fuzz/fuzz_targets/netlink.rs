//! Answers of the kernel: the first byte chooses the decoder, the rest is one message. What comes
//! out is printed with every option.

#![no_main]

use std::ffi::OsString;
use std::io;

use libfuzzer_sys::fuzz_target;
use socktrace::cli::options;
use socktrace::cli::plan::{Action, Plan};
use socktrace::diag::{inet, netlink, packet, tipc, transport, unix, vsock, xdp};
use socktrace::names::Names;
use socktrace::say::Name;
use socktrace::render::Printer;
use socktrace::render::known::Known;
use socktrace::render::columns::{Hidden, Listing};
use socktrace::socket::{Socket, Table};

thread_local! {
    /// Making it takes longer than all the rest.
    static PLAN: Box<Plan> = plan();
}

fn plan() -> Box<Plan> {
    let typed = ["-aneimb", "--tos", "--inet-sockopt", "--tipcinfo"].map(OsString::from);
    let typed = options::parse(Name::Socktrace, &typed).expect("these are options");
    let Ok(Action::Run(plan)) = Action::from_typed(typed) else { panic!("this is a listing") };
    plan
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, message)) = bytes.split_first() else { return };
    for message in transport::messages(message).flatten() {
        let _ = message.part();
    }
    let socket = match choice % 10 {
        0 => inet::decode(Table::Tcp, message).map(Socket::Inet),
        1 => inet::decode(Table::Udp, message).map(Socket::Inet),
        2 => inet::decode(Table::Sctp, message).map(Socket::Inet),
        3 => inet::decode(Table::Mptcp, message).map(Socket::Inet),
        4 => unix::decode(message).map(Socket::Unix),
        5 => packet::decode(message).map(Socket::Packet),
        6 => netlink::decode(message).map(Socket::Netlink),
        7 => vsock::decode(message).map(Socket::Vsock),
        8 => tipc::decode(message).map(Socket::Tipc),
        _ => xdp::decode(message).map(Socket::Xdp),
    };
    let _ = inet::decode_event(message);
    let Some(socket) = socket else { return };
    PLAN.with(|plan| print(&socket, plan, *choice));
});

fn print(socket: &Socket<'_>, plan: &Plan, choice: u8) {
    let names = Names::new(plan.name_options());
    let mut out = io::sink();
    for screen in [None, Some(usize::from(choice))] {
        let listing = Listing::new(&mut out, screen, Hidden::default());
        let mut printer = Printer::new(listing, plan.show, Known::names(&names));
        printer.header().expect("a sink takes all");
        printer.socket(socket).expect("a sink takes all");
        printer.finish().expect("a sink takes all");
    }
}
