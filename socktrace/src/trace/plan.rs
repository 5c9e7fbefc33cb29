//! What is asked of a trace.

use std::str;

use socktrace_common::probe::Probe;

use super::bpf_log::LogLevel;
use crate::event::Family;

/// What the kernel is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Every transition, retransmission and reset.
    Everything,
    Retransmissions,
    /// A record for each connection, at its end.
    Lives,
    /// Lives, retransmissions and resets, to be added up.
    Digest,
}

/// What is to be traced, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracePlan {
    pub wanted: Wanted,
    /// The namespace to trace, by its inode; all if there is none.
    pub netns: Option<u32>,
    /// The family to trace; both if there is none.
    pub family: Option<Family>,
    /// What the programs are to let through; all if there is none.
    pub probe: Option<Probe>,
    pub ring_size: RingSize,
    pub log: LogLevel,
    /// Whether to print all that the verifier says of a program that is refused.
    pub verifier_log: bool,
}

/// The size of the ring in bytes; the kernel takes a power of two of whole pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize(u32);

impl RingSize {
    /// Room for the events of a twentieth of a second on two saturated cores, twice over.
    pub const DEFAULT: RingSize = RingSize(8 << 20);
    /// The smallest that the kernel takes.
    pub const MINIMUM: RingSize = RingSize(RingSize::MIN);
    const MIN: u32 = 4 << 10;
    const MAX: u32 = 1 << 30;

    pub fn bytes(self) -> u32 {
        self.0
    }

    /// How full it may be before the reader is woken.
    pub(super) fn mark(self) -> u64 {
        u64::from(self.0 / 2)
    }
}

impl str::FromStr for RingSize {
    type Err = String;

    /// A number of bytes, or one with K, M or G behind it.
    fn from_str(text: &str) -> Result<RingSize, String> {
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
            Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
            Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let bytes = digits.parse::<u32>().ok().and_then(|n| u64::from(n).checked_mul(1 << shift));
        match bytes.and_then(|bytes| u32::try_from(bytes).ok()) {
            Some(bytes @ RingSize::MIN..=RingSize::MAX) => Ok(RingSize(bytes.next_power_of_two())),
            _ => Err("a size from 4K to 1G is wanted, such as 8M".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_sizes_are_powers_of_two() {
        for (text, bytes) in [("4096", 4096), ("5000", 8192), ("64k", 65536), ("8M", 8 << 20)] {
            assert_eq!(text.parse::<RingSize>().unwrap().bytes(), bytes);
        }
        for text in ["", "0", "12", "2G", "M", "-1", "1x", "99999999999"] {
            assert!(text.parse::<RingSize>().is_err(), "{text}");
        }
    }
}
