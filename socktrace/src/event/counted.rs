use super::Subject;

/// What a connection sent again, in segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The socket as it was at the last time.
    pub socket: Subject,
    pub data: u64,
    pub syn: u64,
    pub synack: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl Counted {
    pub fn total(&self) -> u64 {
        self.data + self.syn + self.synack
    }
}
