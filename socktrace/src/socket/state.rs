use super::set::set_of;

/// A socket state, with the kernel's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    Unknown = 0,
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    NewSynRecv = 12,
    BoundInactive = 13,
}

impl State {
    pub const ALL: [State; 14] = [
        State::Unknown,
        State::Established,
        State::SynSent,
        State::SynRecv,
        State::FinWait1,
        State::FinWait2,
        State::TimeWait,
        State::Close,
        State::CloseWait,
        State::LastAck,
        State::Listen,
        State::Closing,
        State::NewSynRecv,
        State::BoundInactive,
    ];

    /// The state of a number that the kernel gave; numbers it has not had so far are `Unknown`.
    pub fn from_raw(raw: u8) -> State {
        State::ALL.get(usize::from(raw)).copied().unwrap_or(State::Unknown)
    }

    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            State::Unknown => "UNKNOWN",
            State::NewSynRecv => "UNDEF",
            State::Established => "ESTAB",
            State::SynSent => "SYN-SENT",
            State::SynRecv => "SYN-RECV",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::TimeWait => "TIME-WAIT",
            State::Close | State::BoundInactive => "UNCONN",
            State::CloseWait => "CLOSE-WAIT",
            State::LastAck => "LAST-ACK",
            State::Listen => "LISTEN",
            State::Closing => "CLOSING",
        }
    }
}

set_of! {
    /// A set of states; its bits are those of a sock_diag request.
    StateSet of State
}

impl StateSet {
    /// What a table shows by default: all but LISTEN, CLOSE, TIME-WAIT and SYN-RECV.
    pub const CONNECTED: StateSet = StateSet::ALL.without(StateSet::of(&[
        State::Listen,
        State::Close,
        State::TimeWait,
        State::SynRecv,
    ]));
}
