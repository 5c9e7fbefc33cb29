//! Sockets that are opened more than once: connect(2) can be called again after a failure, or after
//! one on AF_UNSPEC. Each time is a generation of its own.

use std::mem;

use rustc_hash::FxHashMap;

use crate::socket::Cookie;

/// The sockets that have closed without their last descriptor being closed. Most never open again,
/// and nothing tells when they are gone: of so many the oldest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    recent: FxHashMap<Cookie, u32>,
    before: FxHashMap<Cookie, u32>,
}

const KEPT: usize = 16 << 10;

impl Generations {
    /// The generation that a socket is in.
    #[inline]
    pub(super) fn of(&self, cookie: Cookie) -> u32 {
        self.find(cookie).unwrap_or(0)
    }

    /// A socket is opened: the generation that begins.
    #[inline]
    pub(super) fn open(&mut self, cookie: Cookie) -> u32 {
        let Some(before) = self.find(cookie) else { return 0 };
        self.keep(cookie, before + 1);
        before + 1
    }

    /// A socket closes, and may be opened again.
    pub(super) fn close(&mut self, cookie: Cookie) {
        self.keep(cookie, self.of(cookie));
    }

    #[inline(always)]
    fn find(&self, cookie: Cookie) -> Option<u32> {
        if self.recent.is_empty() { None } else { self.look_up(cookie) }
    }

    #[inline(never)]
    fn look_up(&self, cookie: Cookie) -> Option<u32> {
        self.recent.get(&cookie).or_else(|| self.before.get(&cookie)).copied()
    }

    #[inline(never)]
    fn keep(&mut self, cookie: Cookie, generation: u32) {
        if self.recent.len() >= KEPT {
            self.before = mem::take(&mut self.recent);
        }
        self.recent.insert(cookie, generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_opens_again_is_in_the_next_generation() {
        let mut generations = Generations::default();
        let (one, other) = (Cookie(1), Cookie(2));
        assert_eq!(generations.open(one), 0);
        generations.close(one);
        assert_eq!(generations.of(one), 0);
        assert_eq!(generations.open(one), 1);
        generations.close(one);
        assert_eq!(generations.open(one), 2);
        assert_eq!(generations.open(other), 0);
    }

    #[test]
    fn only_so_many_are_kept() {
        let mut generations = Generations::default();
        for cookie in 0..5 * KEPT as u64 {
            generations.close(Cookie(cookie));
        }
        assert!(generations.recent.len() + generations.before.len() <= 2 * KEPT);
    }
}
