//! The text of /proc/net: the first byte chooses the table, the rest is the file.

#![no_main]

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use socktrace::procfs;
use socktrace::procfs::summary::Summary;
use socktrace::socket::{Family, StateSet, Table, TableSet};

/// The variables that put a file in the place of another.
const VARIABLES: &[&str] = &[
    "PROC_NET_TCP",
    "PROC_NET_TCP6",
    "PROC_NET_UDP",
    "PROC_NET_UDP6",
    "PROC_NET_RAW",
    "PROC_NET_RAW6",
    "PROC_NET_UNIX",
    "PROC_NET_PACKET",
    "PROC_NET_NETLINK",
    "PROC_NET_SOCKSTAT",
    "PROC_NET_SOCKSTAT6",
    "PROC_NET_SNMP",
];

/// A file in memory that takes the place of all of them.
fn text() -> &'static File {
    static TEXT: OnceLock<File> = OnceLock::new();
    TEXT.get_or_init(|| {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let file = File::from(rustix::fs::memfd_create("text", flags).expect("no memfd"));
        for variable in VARIABLES {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            // SAFETY: the fuzzer has one thread, and nothing has read the environment yet.
            unsafe { std::env::set_var(variable, path) };
        }
        file
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let mut writer = text();
    writer.set_len(0).expect("memory can be cut");
    writer.rewind().expect("memory can be rewound");
    writer.write_all(bytes).expect("memory takes all");
    let (tables, states) = (TableSet::ALL, StateSet::ALL);
    let mut sockets = 0;
    let sink = &mut |_: &socktrace::socket::Socket<'_>| {
        sockets += 1;
        Ok(())
    };
    let read = match choice % 10 {
        0 => procfs::inet(Table::Tcp, Family::Inet, states, sink),
        1 => procfs::inet(Table::Tcp, Family::Inet6, states, sink),
        2 => procfs::inet(Table::Udp, Family::Inet, states, sink),
        3 => procfs::inet(Table::Udp, Family::Inet6, states, sink),
        4 => procfs::inet(Table::Raw, Family::Inet, states, sink),
        5 => procfs::inet(Table::Raw, Family::Inet6, states, sink),
        6 => procfs::unix(tables, states, sink),
        7 => procfs::packet(tables, sink),
        8 => procfs::netlink(sink),
        _ => {
            Summary::read();
            return;
        }
    };
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(sockets <= lines, "{sockets} sockets out of {lines} lines");
    let _ = read;
});
