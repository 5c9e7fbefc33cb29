//! The line of an event: columns that line up as long as their contents fit, none of them empty and
//! none with a blank inside, so that a pipe can split them.

use std::net::IpAddr;
use std::time::Duration;

use super::address;
use super::number::{unsigned, write_to};
use crate::event::{Event, Learnt, Owner, Protocol, SinceBoot, Traffic, What};
use crate::socket::{InetEnd, State};

/// The name of a column, and its width unless a field is wider.
const COLUMNS: &[(&str, usize)] = &[
    ("Time", 15),
    ("Netid", 5),
    ("Socket", 8),
    ("Process", 22),
    ("Local", 21),
    ("Peer", 21),
    ("From", 10),
    ("To", 10),
    ("Held", 9),
];

/// Prints events into a buffer.
pub struct EventPrinter {
    clock: WallClock,
}

impl Default for EventPrinter {
    fn default() -> EventPrinter {
        EventPrinter::new()
    }
}

impl EventPrinter {
    pub fn new() -> EventPrinter {
        EventPrinter { clock: WallClock::new() }
    }

    pub fn header(&self, out: &mut Vec<u8>) {
        for (name, width) in COLUMNS {
            field(out, *width, |out| out.extend_from_slice(name.as_bytes()));
        }
        end_line(out);
    }

    pub fn event(&mut self, out: &mut Vec<u8>, event: &Event) {
        let mut columns = COLUMNS.iter().map(|(_, width)| *width);
        let mut column = |out: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>)| {
            field(out, columns.next().unwrap_or(0), write);
        };
        column(out, &mut |out| self.clock.time(out, event.at));
        column(out, &mut |out| {
            out.extend_from_slice(match event.protocol {
                Protocol::Tcp => b"tcp",
                Protocol::Mptcp => b"mptcp",
            });
        });
        column(out, &mut |out| write_to(out, format_args!("{:x}", event.cookie.0)));
        column(out, &mut |out| owner(out, event.owner.as_ref()));
        column(out, &mut |out| end(out, &event.local, event.ifindex));
        column(out, &mut |out| end(out, &event.peer, 0));
        match &event.what {
            What::Transition { old, new, held, error } => {
                column(out, &mut |out| out.extend_from_slice(old.name().as_bytes()));
                column(out, &mut |out| out.extend_from_slice(new.name().as_bytes()));
                column(out, &mut |out| match held {
                    Some(held) => milliseconds(out, *held),
                    None => out.push(b'-'),
                });
                if *error != 0 {
                    out.extend_from_slice(b"error:");
                    errno(out, *error);
                    out.push(b' ');
                }
                if *new == State::Close && event.protocol == Protocol::Tcp {
                    traffic(out, &event.traffic);
                }
            }
            What::Retransmission { state, sequence, end_sequence } => {
                column(out, &mut |out| out.extend_from_slice(state.name().as_bytes()));
                column(out, &mut |out| out.extend_from_slice(b"retransmit"));
                column(out, &mut |out| out.push(b'-'));
                write_to(
                    out,
                    format_args!(
                        "seq:{sequence} len:{} retrans:{}",
                        end_sequence.wrapping_sub(*sequence),
                        event.traffic.total_retrans
                    ),
                );
            }
        }
        end_line(out);
    }
}

/// Appends a field and blanks: one at least.
fn field(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let end = (start + width).max(out.len()) + 1;
    out.resize(end, b' ');
}

fn end_line(out: &mut Vec<u8>) {
    let end = out.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    out.truncate(end);
    out.push(b'\n');
}

fn end(out: &mut Vec<u8>, end: &InetEnd, ifindex: u32) {
    match end.addr {
        IpAddr::V4(addr) => address::ipv4(out, &addr),
        IpAddr::V6(addr) => {
            out.push(b'[');
            address::ipv6(out, &addr);
            out.push(b']');
        }
    }
    if ifindex != 0 {
        // The name would be one of this namespace; the socket may be in another.
        out.push(b'%');
        unsigned(out, ifindex.into());
    }
    out.push(b':');
    match end.port {
        0 => out.push(b'*'),
        port => unsigned(out, port.into()),
    }
}

fn owner(out: &mut Vec<u8>, owner: Option<&Owner>) {
    let Some(owner) = owner else { return out.push(b'-') };
    let end = owner.comm.iter().position(|byte| *byte == 0).unwrap_or(owner.comm.len());
    // Anybody can choose the name of a process: it must neither split the line nor steer a terminal.
    out.extend(owner.comm[..end].iter().map(|byte| match byte {
        b'!'..=b'~' => *byte,
        b' ' => b'_',
        0..=0x7f => b'.',
        _ => b'?',
    }));
    out.push(b'[');
    unsigned(out, owner.pid.into());
    out.push(b']');
    match owner.learnt {
        Learnt::OwnEvent => {}
        Learnt::FromListener => out.push(b'*'),
    }
}

fn milliseconds(out: &mut Vec<u8>, duration: Duration) {
    write_to(out, format_args!("{}.{:03}", duration.as_millis(), duration.as_micros() % 1000));
}

fn traffic(out: &mut Vec<u8>, traffic: &Traffic) {
    write_to(
        out,
        format_args!(
            "bytes_acked:{} bytes_received:{}",
            traffic.bytes_acked, traffic.bytes_received
        ),
    );
    if traffic.total_retrans != 0 {
        write_to(out, format_args!(" retrans:{}", traffic.total_retrans));
    }
    if !traffic.smoothed_rtt.is_zero() {
        out.extend_from_slice(b" rtt:");
        milliseconds(out, traffic.smoothed_rtt);
    }
}

fn errno(out: &mut Vec<u8>, errno: u16) {
    let name = match i32::from(errno) {
        libc::EPIPE => "EPIPE",
        libc::EPROTO => "EPROTO",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ECONNABORTED => "ECONNABORTED",
        libc::ECONNRESET => "ECONNRESET",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        _ => return unsigned(out, errno.into()),
    };
    out.extend_from_slice(name.as_bytes());
}

/// Times since boot as times of day.
struct WallClock {
    zone: jiff::tz::TimeZone,
    /// The second that was formatted last, and how: most events share it with the one before.
    second: i64,
    text: String,
}

impl WallClock {
    fn new() -> WallClock {
        WallClock { zone: jiff::tz::TimeZone::system(), second: i64::MIN, text: String::new() }
    }

    fn time(&mut self, out: &mut Vec<u8>, at: SinceBoot) {
        let (second, micros) = wall(at);
        if second != self.second {
            self.second = second;
            let time = jiff::Timestamp::from_second(second).unwrap_or_default();
            self.text = self.zone.to_datetime(time).strftime("%H:%M:%S").to_string();
        }
        write_to(out, format_args!("{}.{micros:06}", self.text));
    }
}

/// The second and microsecond of the epoch, by what the clocks say now.
fn wall(at: SinceBoot) -> (i64, i128) {
    use rustix::time::{ClockId, clock_gettime};
    let nanos = |clock| {
        let time = clock_gettime(clock);
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    let boot = nanos(ClockId::Realtime) - nanos(ClockId::Boottime);
    let micros = (boot + at.0.as_nanos() as i128) / 1000;
    ((micros / 1_000_000) as i64, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::Cookie;

    fn event(what: What) -> Event {
        Event {
            at: SinceBoot(Duration::ZERO),
            cookie: Cookie(0x1a),
            generation: 0,
            netns: 1,
            protocol: Protocol::Tcp,
            local: InetEnd { addr: "127.0.0.1".parse().unwrap(), port: 40000 },
            peer: InetEnd { addr: "::ffff:1.2.3.4".parse().unwrap(), port: 0 },
            ifindex: 0,
            owner: None,
            traffic: Traffic { bytes_acked: 1002, total_retrans: 1, ..Traffic::default() },
            what,
        }
    }

    /// The line without its time.
    fn line(event: &Event) -> String {
        let mut out = Vec::new();
        EventPrinter::new().event(&mut out, event);
        let line = String::from_utf8(out).unwrap();
        assert_eq!(&line[2..3], ":");
        line[16..].to_owned()
    }

    fn owned(comm: &[u8], learnt: Learnt) -> Option<Owner> {
        let mut name = [0; 16];
        name[..comm.len()].copy_from_slice(comm);
        let started = SinceBoot(Duration::ZERO);
        Some(Owner { pid: 12, uid: 0, cgroup_id: 1, started, comm: name, learnt })
    }

    #[test]
    fn a_transition_is_a_line() {
        let what = What::Transition {
            old: State::SynSent,
            new: State::Established,
            held: Some(Duration::from_micros(41_007)),
            error: 0,
        };
        assert_eq!(
            line(&event(what)),
            "tcp   1a       -                      127.0.0.1:40000       \
             [::ffff:1.2.3.4]:*    SYN-SENT   ESTAB      41.007\n"
        );
    }

    #[test]
    fn a_failed_connection_says_why() {
        let what =
            What::Transition { old: State::SynSent, new: State::Close, held: None, error: 111 };
        assert!(line(&event(what)).ends_with(
            " SYN-SENT   UNCONN     -         \
             error:ECONNREFUSED bytes_acked:1002 bytes_received:0 retrans:1\n"
        ));
    }

    #[test]
    fn a_retransmission_is_a_line() {
        let what =
            What::Retransmission { state: State::Established, sequence: u32::MAX, end_sequence: 9 };
        assert!(
            line(&event(what))
                .ends_with(" ESTAB      retransmit -         seq:4294967295 len:10 retrans:1\n")
        );
    }

    #[test]
    fn an_owner_cannot_split_a_line() {
        for (comm, learnt, expected) in [
            (&b"curl"[..], Learnt::OwnEvent, "curl[12]"),
            (b"curl", Learnt::FromListener, "curl[12]*"),
            (b"a b\n\x1b[31m\xff", Learnt::OwnEvent, "a_b..[31m?[12]"),
        ] {
            let mut out = Vec::new();
            owner(&mut out, owned(comm, learnt).as_ref());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
