//! Who holds the sockets.

use rustc_hash::FxHashMap;

use crate::container::Home;
use crate::socket::Inode;

/// Who has which socket, and what is known of them.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    /// First the one that answers for the socket.
    pub holders: FxHashMap<Inode, Vec<u32>>,
    pub known: FxHashMap<u32, Process>,
    /// How many processes could not be looked into.
    pub refused: u32,
}

impl Processes {
    /// The processes that hold a socket, first the one that answers for it.
    pub fn of(&self, inode: Inode) -> impl Iterator<Item = &Process> {
        let pids = self.holders.get(&inode).map(Vec::as_slice).unwrap_or_default();
        pids.iter().filter_map(|pid| self.known.get(pid))
    }

    /// The process that answers for a socket.
    pub fn first_of(&self, inode: Inode) -> Option<&Process> {
        self.of(inode).next()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// As the process chose it: any bytes.
    pub comm: Vec<u8>,
    pub uid: Option<u32>,
    pub home: Home,
    pub executable: Executable,
    pub descriptors: Option<u64>,
    pub descriptor_limit: Option<u64>,
    /// How many descriptors are of sockets.
    pub sockets: u64,
    /// `None` if nobody asked to watch, or if it did not grow.
    pub growth: Option<Growth>,
    pub doing: Vec<Doing>,
}

/// How the descriptors of a process became more while it was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    pub first: u64,
    pub last: u64,
    /// From how many looks to the next there were more, and fewer.
    pub rises: u32,
    pub falls: u32,
}

impl Growth {
    pub fn start(count: u64) -> Growth {
        Growth { first: count, last: count, rises: 0, falls: 0 }
    }

    pub fn add(&mut self, count: u64) {
        self.rises += u32::from(count > self.last);
        self.falls += u32::from(count < self.last);
        self.last = count;
    }
}

/// The file that a process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Executable {
    /// It may not be asked.
    #[default]
    Unknown,
    Present,
    /// Another file has taken its place, as an upgrade does.
    Replaced(String),
    /// Nothing is at its path any more.
    Removed(String),
    /// It never was a file.
    InMemory(String),
}

/// What a thread was seen doing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    Running,
    /// By SIGSTOP or a debugger.
    Stopped,
    /// In a system call, by name where it is one that servers wait in.
    InCall(String),
}

/// A process as the kernel saw it at work on a socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    pub pid: u32,
    pub comm: Vec<u8>,
    pub uid: u32,
}
