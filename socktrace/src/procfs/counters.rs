//! The kernel's counters of this network namespace: /proc/net/{snmp,netstat,sockstat}, by name.

use std::collections::BTreeMap;
use std::fs;

use super::{NetFile, ProcError};

/// Counters by `Group.Name`, as the kernel names both: `TcpExt.ListenDrops`, `TCP.orphan`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Reads all of them. What cannot be read is left out, and told in the list.
    pub fn read() -> (Counters, Vec<ProcError>) {
        let mut counters = Counters::default();
        let mut problems = Vec::new();
        for file in [NetFile::Snmp, NetFile::Netstat, NetFile::Sockstat] {
            match fs::read_to_string(file.path()) {
                Ok(text) if file == NetFile::Sockstat => counters.add_words(&text),
                Ok(text) => counters.add_paired(&text),
                Err(error) => problems.push(ProcError::Read { path: file.path(), error }),
            }
        }
        (counters, problems)
    }

    /// The value of a counter; `None` if this kernel does not have it.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// How far a counter rose since `before`.
    pub fn rise(&self, before: &Counters, name: &str) -> Option<u64> {
        Some(self.get(name)?.saturating_sub(before.get(name)?))
    }

    pub fn set(&mut self, name: &str, value: u64) {
        self.0.insert(name.to_owned(), value);
    }

    /// `Group: NAME NAME` on one line, `Group: 1 2` on the next.
    fn add_paired(&mut self, text: &str) {
        let mut lines = text.lines();
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let Some((group, names)) = names.split_once(':') else { continue };
            let Some((_, values)) = values.split_once(':') else { continue };
            for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
                self.add(group, name, value);
            }
        }
    }

    /// `Group: NAME 1 NAME 2`.
    fn add_words(&mut self, text: &str) {
        for line in text.lines() {
            let Some((group, rest)) = line.split_once(':') else { continue };
            let mut words = rest.split_whitespace();
            while let (Some(name), Some(value)) = (words.next(), words.next()) {
                self.add(group, name, value);
            }
        }
    }

    /// The few that are negative are settings, not counters.
    fn add(&mut self, group: &str, name: &str, value: &str) {
        if let Ok(value) = value.parse() {
            self.0.insert(format!("{group}.{name}"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_group_and_name() {
        let mut counters = Counters::default();
        counters
            .add_paired("Tcp: MaxConn ActiveOpens\nTcp: -1 7\nTcpExt: ListenDrops\nTcpExt: 3\n");
        counters.add_words("sockets: used 9\nTCP: inuse 1 orphan 2 mem 35\n");
        assert_eq!(counters.get("Tcp.ActiveOpens"), Some(7));
        assert_eq!(counters.get("Tcp.MaxConn"), None);
        assert_eq!(counters.get("TcpExt.ListenDrops"), Some(3));
        assert_eq!(counters.get("TCP.mem"), Some(35));
        let mut before = counters.clone();
        before.set("TcpExt.ListenDrops", 1);
        assert_eq!(counters.rise(&before, "TcpExt.ListenDrops"), Some(2));
        assert_eq!(counters.rise(&before, "TcpExt.Unheard"), None);
    }

    #[test]
    fn damaged_text_is_left_out() {
        let mut counters = Counters::default();
        counters.add_paired("Tcp A\n\nTcp: A B\nTcp: x\nTcp: A");
        counters.add_words("TCP: inuse\n: : :\nTCP inuse 3\n");
        assert_eq!(counters, Counters::default());
    }

    #[test]
    fn this_kernel_has_the_counters_that_rules_ask_for() {
        let (counters, problems) = Counters::read();
        assert!(problems.is_empty(), "{problems:?}");
        for name in [
            "TCP.mem",
            "TCP.orphan",
            "TcpExt.SyncookiesSent",
            "TcpExt.TCPAbortOnMemory",
            "TcpExt.TCPDSACKUndo",
            "TcpExt.TCPFullUndo",
            "TcpExt.TCPLossUndo",
            "TcpExt.TCPMemoryPressures",
            "TcpExt.TCPPartialUndo",
            "TcpExt.TCPReqQFullDoCookies",
            "TcpExt.TCPReqQFullDrop",
        ] {
            assert!(counters.get(name).is_some(), "{name}");
        }
    }
}
