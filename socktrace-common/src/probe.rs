//! A filter as the kernel half judges it: what it lets through, userspace judges again.
//!
//! It is a conjunction of clauses, each a set of literals of which one has to hold. A literal that
//! cannot be judged yet counts as holding, so nothing that may match is refused. There are no jumps
//! and two short loops, which every verifier follows.

use crate::{Owner, Shared, Socket, Traffic};

/// How many literals and clauses there may be; what does not fit is judged in userspace only.
pub const LITERALS: usize = 16;
pub const CLAUSES: usize = 16;

shared! {
    /// Whether a piece of one word of the [`Facts`] lies in a range.
    pub struct Literal: 32 {
        /// Which word of the facts.
        pub word: u8,
        /// How far it is shifted down before it is masked.
        pub shift: u8,
        /// 1 if it must not lie in the range.
        pub negated: u8,
        pub reserved: u8,
        /// What has to be known for it, see [`known`].
        pub needs: u32,
        pub mask: u64,
        pub low: u64,
        pub high: u64,
    }
}

impl Literal {
    pub const NONE: Literal =
        Literal { word: 0, shift: 0, negated: 0, reserved: 0, needs: 0, mask: 0, low: 0, high: 0 };
}

shared! {
    pub struct Probe: 592 {
        pub literals: [Literal; LITERALS],
        /// The literals of each clause, a bit for each. First come those over what never changes in
        /// the life of a socket.
        pub clauses: [u32; CLAUSES],
        pub literal_count: u32,
        pub clause_count: u32,
        pub lasting_count: u32,
        pub reserved: u32,
    }
}

impl Probe {
    /// Lets everything through.
    pub const ALL: Probe = Probe {
        literals: [Literal::NONE; LITERALS],
        clauses: [0; CLAUSES],
        literal_count: 0,
        clause_count: 0,
        lasting_count: 0,
        reserved: 0,
    };
}

/// The bits of [`Facts::known`] and of [`Literal::needs`].
pub mod known {
    pub const PEER: u32 = 1 << 0;
    pub const LOCAL_ADDRESS: u32 = 1 << 1;
    pub const LOCAL_PORT: u32 = 1 << 2;
    pub const OWNER: u32 = 1 << 3;
    pub const TRAFFIC: u32 = 1 << 4;
    pub const RTT: u32 = 1 << 5;
    pub const DURATION: u32 = 1 << 6;
    pub const COOKIE: u32 = 1 << 7;
    /// Protocol, family, namespace and interface.
    pub const SOCKET: u32 = 1 << 8;
    pub const STATE: u32 = 1 << 9;
}

shared! {
    /// What is known of a socket, word by word.
    pub struct Facts: 240 {
        pub socket: Socket,
        pub owner: Owner,
        pub traffic: Traffic,
        /// The addresses, those of IPv4 mapped into IPv6: in network order.
        pub local: [u64; 2],
        pub peer: [u64; 2],
        pub duration_ns: u64,
        /// Payload, as it will be told.
        pub sent: u64,
        pub received: u64,
        /// A bit for each state that the event may be told with.
        pub states: u64,
        /// The bits of [`known`].
        pub known: u32,
        /// What is not known and will not be: a literal over it does not hold.
        pub settled: u32,
        pub rtt_us: u64,
    }
}

/// Where the words of [`Facts`] are.
pub mod word {
    use core::mem::offset_of;

    use super::Facts;
    use crate::{Owner, Socket, Traffic};

    const fn at(offset: usize) -> u8 {
        (offset / 8) as u8
    }

    const SOCKET: usize = offset_of!(Facts, socket);
    const OWNER: usize = offset_of!(Facts, owner);

    pub const COOKIE: u8 = at(SOCKET + offset_of!(Socket, cookie));
    /// Two ports of 16 bits, family and protocol.
    pub const PORTS: u8 = at(SOCKET + offset_of!(Socket, local_port));
    /// Namespace and interface, 32 bits each.
    pub const NETNS: u8 = at(SOCKET + offset_of!(Socket, netns));
    pub const COMM: u8 = at(OWNER + offset_of!(Owner, comm));
    /// The process and the user, 32 bits each.
    pub const PID: u8 = at(OWNER + offset_of!(Owner, tgid));
    /// The retransmissions are its upper half.
    pub const RETRANS: u8 = at(offset_of!(Facts, traffic) + offset_of!(Traffic, min_rtt_us));
    pub const LOCAL: u8 = at(offset_of!(Facts, local));
    pub const PEER: u8 = at(offset_of!(Facts, peer));
    pub const DURATION: u8 = at(offset_of!(Facts, duration_ns));
    pub const SENT: u8 = at(offset_of!(Facts, sent));
    pub const RECEIVED: u8 = at(offset_of!(Facts, received));
    pub const STATES: u8 = at(offset_of!(Facts, states));
    pub const RTT: u8 = at(offset_of!(Facts, rtt_us));
}

const WORDS: usize = size_of::<Facts>() / 8;

/// What the filter says of a socket now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Pass,
    /// Not this event, but perhaps a later one.
    NotNow,
    /// Nothing in the life of this socket.
    Never,
}

impl Probe {
    #[inline(always)]
    pub fn judge(&self, facts: &Facts) -> Judgement {
        let mut holds = 0u32;
        let mut i = 0;
        while i < LITERALS {
            if i as u32 >= self.literal_count {
                break;
            }
            if self.literals[i].holds(facts) {
                holds |= 1 << i;
            }
            i += 1;
        }
        let mut i = 0;
        while i < CLAUSES {
            if i as u32 >= self.clause_count {
                break;
            }
            if self.clauses[i] & holds == 0 {
                return if (i as u32) < self.lasting_count {
                    Judgement::Never
                } else {
                    Judgement::NotNow
                };
            }
            i += 1;
        }
        Judgement::Pass
    }
}

impl Literal {
    #[inline(always)]
    fn holds(&self, facts: &Facts) -> bool {
        if self.needs & !facts.known != 0 {
            let is_open = self.needs & !facts.known & !facts.settled != 0;
            return is_open || self.negated != 0;
        }
        let words = core::ptr::from_ref(facts).cast::<u64>();
        let word = usize::from(self.word);
        // The verifier wants to see the bound.
        if word >= WORDS {
            return true;
        }
        // SAFETY: facts are WORDS words, checked just before, and integers without padding.
        let word = unsafe { words.add(word).read() };
        let value = (word >> (self.shift & 63)) & self.mask;
        (value >= self.low && value <= self.high) != (self.negated != 0)
    }
}
