use super::SinceBoot;

/// The process that a socket belongs to, as it was when it was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub pid: u32,
    pub uid: u32,
    pub cgroup_id: u64,
    pub started: SinceBoot,
    /// NUL-terminated unless it fills the array.
    pub comm: [u8; 16],
    pub learnt: Learnt,
}

impl Owner {
    /// The name without what fills the array.
    pub fn comm(&self) -> &[u8] {
        let end = self.comm.iter().position(|byte| *byte == 0).unwrap_or(self.comm.len());
        &self.comm[..end]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learnt {
    /// It was seen at work on this socket.
    OwnEvent,
    /// It owned the listener that accepted the socket.
    Listener,
    /// It accepted the socket.
    Acceptor,
    /// It held the socket when the trace began.
    Older,
}

impl Learnt {
    pub fn name(self) -> &'static str {
        match self {
            Learnt::OwnEvent => "own-event",
            Learnt::Listener => "listener",
            Learnt::Acceptor => "acceptor",
            Learnt::Older => "older",
        }
    }
}
