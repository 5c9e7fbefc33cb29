//! Counts of sockets: /proc/net/{sockstat,sockstat6,snmp}.

use std::fs;

use super::{NetFile, ProcError};

/// How many sockets of each kind there are in this network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    pub sockets: u32,
    pub tcp: TcpCounts,
    pub v4: Counts,
    pub v6: Counts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpCounts {
    /// Without those in TIME-WAIT.
    pub allocated: u32,
    pub established: u32,
    pub orphaned: u32,
    pub time_wait: u32,
}

/// Sockets in use, and fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub raw: u32,
    pub udp: u32,
    pub tcp: u32,
    pub fragments: u32,
}

impl Summary {
    /// Reads the counters. What cannot be read stays zero and is told in the list.
    pub fn read() -> (Summary, Vec<ProcError>) {
        let mut problems = Vec::new();
        let mut text = |file: NetFile| {
            fs::read(file.path()).unwrap_or_else(|error| {
                problems.push(ProcError::Read { path: file.path(), error });
                Vec::new()
            })
        };
        let mut summary = Summary::default();
        summary.add_sockstat(&text(NetFile::Sockstat));
        // Without IPv6 there is no such file, and no such socket.
        summary.add_sockstat(&fs::read(NetFile::Sockstat6.path()).unwrap_or_default());
        summary.tcp.established = established(&text(NetFile::Snmp)).unwrap_or(0);
        (summary, problems)
    }

    pub fn tcp_total(&self) -> u64 {
        u64::from(self.tcp.allocated) + u64::from(self.tcp.time_wait)
    }

    /// Allocated, but in no table.
    pub fn tcp_closed(&self) -> i64 {
        // Those in use count the ones in TIME-WAIT, those allocated do not.
        i64::from(self.tcp.allocated) + i64::from(self.tcp.time_wait)
            - i64::from(self.v4.tcp)
            - i64::from(self.v6.tcp)
    }

    fn add_sockstat(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            let mut words = line.split(|byte| *byte == b' ');
            let Some(kind) = words.next() else { continue };
            let (counts, kind) = match kind.strip_suffix(b"6:") {
                Some(kind) => (&mut self.v6, kind),
                None => (&mut self.v4, kind.strip_suffix(b":").unwrap_or(kind)),
            };
            while let (Some(name), Some(value)) = (words.next(), words.next()) {
                let Some(value) = number(value) else { continue };
                match (kind, name) {
                    (b"sockets", b"used") => self.sockets = value,
                    (b"TCP", b"inuse") => counts.tcp = value,
                    (b"TCP", b"orphan") => self.tcp.orphaned = value,
                    (b"TCP", b"tw") => self.tcp.time_wait = value,
                    (b"TCP", b"alloc") => self.tcp.allocated = value,
                    (b"UDP", b"inuse") => counts.udp = value,
                    (b"RAW", b"inuse") => counts.raw = value,
                    (b"FRAG", b"inuse") => counts.fragments = value,
                    _ => {}
                }
            }
        }
    }
}

/// CurrEstab of the Tcp lines of snmp: names on one line, values on the next.
fn established(snmp: &[u8]) -> Option<u32> {
    let mut lines =
        snmp.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"Tcp: "));
    let names = lines.next()?.split(|byte| *byte == b' ');
    let values = lines.next()?.split(|byte| *byte == b' ');
    names.zip(values).find(|(name, _)| *name == b"CurrEstab").and_then(|(_, value)| number(value))
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_found_by_name() {
        let mut summary = Summary::default();
        summary.add_sockstat(
            b"sockets: used 9400\nTCP: inuse 180 orphan 7 tw 33 alloc 250 mem 400\n\
              UDP: inuse 2 mem 0\nUDPLITE: inuse 11\nRAW: inuse 5\nFRAG: inuse 3 memory 0\n\
              FOO: inuse 9\n",
        );
        summary.add_sockstat(
            b"TCP6: inuse 30\nUDP6: inuse 4\nUDPLITE6: inuse 4\nRAW6: inuse 1\nFRAG6: inuse 2\n",
        );
        let expected = Summary {
            sockets: 9400,
            tcp: TcpCounts { allocated: 250, established: 0, orphaned: 7, time_wait: 33 },
            v4: Counts { raw: 5, udp: 2, tcp: 180, fragments: 3 },
            v6: Counts { raw: 1, udp: 4, tcp: 30, fragments: 2 },
        };
        assert_eq!(summary, expected);
    }

    #[test]
    fn damaged_counters_are_left_out() {
        let mut summary = Summary::default();
        for text in [&b"TCP: inuse"[..], b"TCP: inuse x tw", b":\n6:\n  ", b"\xff\xff: \xff \xff"] {
            summary.add_sockstat(text);
        }
        assert_eq!(summary, Summary::default());
        assert_eq!(established(b"Tcp: A CurrEstab\nTcp: 1 55\n"), Some(55));
        assert_eq!(established(b"Tcp: A CurrEstab\nTcp: 1\n"), None);
        assert_eq!(established(b"Tcp: A CurrEstab\n"), None);
    }
}
