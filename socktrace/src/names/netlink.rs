//! The names of netlink protocols, and of the processes that netlink port ids stand for.

use std::cell::RefCell;
use std::path::Path;

use rustc_hash::FxHashMap;

use super::database::lines;

/// Where iproute2 keeps its own, the first that exists counts.
const FILES: [&str; 2] = ["/etc/iproute2/nl_protos", "/usr/share/iproute2/nl_protos"];

/// What iproute2 knows without its file.
const BUILT_IN: &[(u8, &str)] = &[
    (0, "rtnl"),
    (1, "unused"),
    (2, "usersock"),
    (3, "fw"),
    (4, "tcpdiag"),
    (5, "nflog"),
    (6, "xfrm"),
    (7, "selinux"),
    (8, "iscsi"),
    (9, "audit"),
    (10, "fiblookup"),
    (11, "connector"),
    (12, "nft"),
    (13, "ip6fw"),
    (14, "dec-rt"),
    (15, "uevent"),
    (16, "genl"),
    (18, "scsi-trans"),
    (19, "ecryptfs"),
    (20, "rdma"),
    (21, "crypto"),
];

#[derive(Debug)]
pub(super) struct NetlinkProtocols {
    names: Vec<(u8, Vec<u8>)>,
}

impl NetlinkProtocols {
    pub(super) fn read() -> NetlinkProtocols {
        let text = FILES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
        NetlinkProtocols::parse(&text)
    }

    /// A later line replaces what was known of its number.
    pub(super) fn parse(text: &[u8]) -> NetlinkProtocols {
        let mut names: Vec<(u8, Vec<u8>)> =
            BUILT_IN.iter().map(|(number, name)| (*number, name.as_bytes().to_vec())).collect();
        for mut words in lines(text) {
            let number = words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
            if let (Some(number), Some(name)) = (number, words.next()) {
                names.retain(|(known, _)| *known != number);
                names.push((number, name.to_vec()));
            }
        }
        NetlinkProtocols { names }
    }

    pub(super) fn name(&self, number: u8) -> Option<&[u8]> {
        self.names.iter().find(|(known, _)| *known == number).map(|(_, name)| &name[..])
    }

    pub(super) fn number(&self, name: &[u8]) -> Option<u8> {
        self.names.iter().find(|(_, known)| known == name).map(|(number, _)| *number)
    }
}

/// The names of processes by pid; empty for those that there are not.
#[derive(Debug, Default)]
pub(super) struct Processes {
    names: RefCell<FxHashMap<i32, Vec<u8>>>,
}

impl Processes {
    /// Appends the name of a process; whether there is such a process.
    pub(super) fn name(&self, proc_root: &Path, pid: i32, out: &mut Vec<u8>) -> bool {
        let mut names = self.names.borrow_mut();
        let name = names.entry(pid).or_insert_with(|| {
            let stat = std::fs::read(proc_root.join(pid.to_string()).join("stat"));
            stat.ok().and_then(|stat| comm(&stat)).unwrap_or_default()
        });
        out.extend_from_slice(name);
        !name.is_empty()
    }
}

/// What stands in parentheses in `/proc/PID/stat`, up to the first that closes, as `ss` has it. A
/// process may call itself anything, so what could steer a terminal is replaced.
fn comm(stat: &[u8]) -> Option<Vec<u8>> {
    let start = stat.iter().position(|byte| *byte == b'(')? + 1;
    let name = stat[start..].split(|byte| *byte == b')').next()?;
    Some(name.iter().map(|byte| if byte.is_ascii_control() { b'.' } else { *byte }).collect())
}
