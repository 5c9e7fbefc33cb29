//! Sockets and counters from the text files of /proc/net, for tables that have no diag module and
//! for those that the environment points at a file. Knows nothing of options or of output.

pub mod counters;
mod fields;
mod inet;
mod local;
pub mod summary;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

pub use inet::inet;
pub use local::{netlink, packet, unix};

use crate::socket::{Family, Table};

/// A file of /proc/net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetFile {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
    Raw,
    Raw6,
    Unix,
    Packet,
    Netlink,
    Sockstat,
    Sockstat6,
    Snmp,
    Netstat,
}

impl NetFile {
    /// The variable that puts another file in its place, and its place below the root.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            NetFile::Tcp => ("PROC_NET_TCP", "net/tcp"),
            NetFile::Tcp6 => ("PROC_NET_TCP6", "net/tcp6"),
            NetFile::Udp => ("PROC_NET_UDP", "net/udp"),
            NetFile::Udp6 => ("PROC_NET_UDP6", "net/udp6"),
            NetFile::Raw => ("PROC_NET_RAW", "net/raw"),
            NetFile::Raw6 => ("PROC_NET_RAW6", "net/raw6"),
            NetFile::Unix => ("PROC_NET_UNIX", "net/unix"),
            NetFile::Packet => ("PROC_NET_PACKET", "net/packet"),
            NetFile::Netlink => ("PROC_NET_NETLINK", "net/netlink"),
            NetFile::Sockstat => ("PROC_NET_SOCKSTAT", "net/sockstat"),
            NetFile::Sockstat6 => ("PROC_NET_SOCKSTAT6", "net/sockstat6"),
            NetFile::Snmp => ("PROC_NET_SNMP", "net/snmp"),
            NetFile::Netstat => ("PROC_NET_NETSTAT", "net/netstat"),
        }
    }

    /// The file that holds a table's sockets of a family, where there is one.
    pub fn of(table: Table, family: Family) -> Option<NetFile> {
        let v6 = family == Family::Inet6;
        Some(match table {
            Table::Tcp => {
                if v6 {
                    NetFile::Tcp6
                } else {
                    NetFile::Tcp
                }
            }
            Table::Udp => {
                if v6 {
                    NetFile::Udp6
                } else {
                    NetFile::Udp
                }
            }
            Table::Raw => {
                if v6 {
                    NetFile::Raw6
                } else {
                    NetFile::Raw
                }
            }
            Table::UnixDgram | Table::UnixStream | Table::UnixSeqpacket => NetFile::Unix,
            Table::PacketDgram | Table::PacketRaw => NetFile::Packet,
            Table::Netlink => NetFile::Netlink,
            _ => return None,
        })
    }

    pub fn path(self) -> PathBuf {
        let (variable, below_root) = self.names();
        match variable_value(variable) {
            Some(path) => path.into(),
            None => root().join(below_root),
        }
    }

    fn is_substituted(self) -> bool {
        variable_value(self.names().0).is_some()
    }

    fn open(self) -> io::Result<File> {
        File::open(self.path())
    }
}

/// How many open files the host has, in all namespaces; 0 where that is not told. Copies of a
/// descriptor do not count, nor is the number exact: it tells whether there is much to look at.
pub fn open_files(root: &Path) -> u64 {
    let text = fs::read_to_string(root.join("sys/fs/file-nr")).unwrap_or_default();
    text.split_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Where /proc is: PROC_ROOT if that is set.
pub fn root() -> PathBuf {
    variable_value("PROC_ROOT").unwrap_or_else(|| "/proc".into()).into()
}

/// Whether the environment wants a table from its text file even where the kernel has a diag
/// module for it.
pub fn is_forced(table: Table) -> bool {
    let own = match table {
        Table::Tcp => "PROC_NET_TCP",
        Table::Mptcp => "PROC_NET_MPTCP",
        Table::Dccp => "PROC_NET_DCCP",
        Table::Udp => "PROC_NET_UDP",
        Table::Raw => "PROC_NET_RAW",
        Table::Sctp => "PROC_NET_SCTP",
        Table::UnixDgram | Table::UnixStream | Table::UnixSeqpacket => "PROC_NET_UNIX",
        Table::PacketDgram | Table::PacketRaw => "PROC_NET_PACKET",
        Table::Netlink => "PROC_NET_NETLINK",
        Table::VsockStream | Table::VsockDgram | Table::Tipc | Table::Xdp => return false,
    };
    ["PROC_ROOT", own].into_iter().any(|name| std::env::var_os(name).is_some())
}

fn variable_value(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Why a text file could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ProcError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Sink(#[from] anyhow::Error),
}

/// What was left out of a listing from text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Lines that are not what the kernel writes.
    pub malformed: u32,
}

/// Hands each line after the heading to `each`, which says whether it was well formed. Where /proc
/// has no such file, the kernel lacks the table: there are no lines.
fn lines(
    file: NetFile,
    each: &mut dyn FnMut(&[u8]) -> Result<Line, ProcError>,
) -> Result<Skipped, ProcError> {
    let opened = match file.open() {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !file.is_substituted() => {
            return Ok(Skipped::default());
        }
        Err(error) => return Err(ProcError::Read { path: file.path(), error }),
    };
    lines_of(BufReader::with_capacity(64 * 1024, opened), each)
        .map_err(|error| error.at(|| file.path()))
}

enum Line {
    Good,
    Malformed,
}

enum LinesError {
    Read(io::Error),
    Other(ProcError),
}

impl LinesError {
    fn at(self, path: impl FnOnce() -> PathBuf) -> ProcError {
        match self {
            LinesError::Read(error) => ProcError::Read { path: path(), error },
            LinesError::Other(error) => error,
        }
    }
}

fn lines_of(
    mut reader: impl BufRead,
    each: &mut dyn FnMut(&[u8]) -> Result<Line, ProcError>,
) -> Result<Skipped, LinesError> {
    let mut skipped = Skipped::default();
    let mut line = Vec::with_capacity(256);
    let mut is_heading = true;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(LinesError::Read)? == 0 {
            return Ok(skipped);
        }
        if std::mem::take(&mut is_heading) {
            continue;
        }
        if let Line::Malformed = each(&line).map_err(LinesError::Other)? {
            skipped.malformed = skipped.malformed.saturating_add(1);
        }
    }
}
