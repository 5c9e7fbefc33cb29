//! What changed between two listings. Sockets are the same where the kernel says so: by cookie.
//! Knows nothing of how anything is written, but that two writings of it can be compared.

use rustc_hash::FxHashMap;

use crate::listeners::ServiceKey;
use crate::socket::{Cookie, InetEnd, Inode, NetnsId, Socket, Table};

/// What tells a line of a listing from others, in the next listing too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Socket(SocketKey),
    Service(ServiceKey),
    /// By what its sockets have in common.
    Group(Vec<String>),
    /// A line of the summary of a namespace.
    Summary(Option<NetnsId>, usize),
}

/// What tells a socket from others, as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketKey {
    netns: Option<NetnsId>,
    table: Table,
    cookie: Option<Cookie>,
    /// Associations of SCTP share the cookie of their endpoint, and text has none.
    place: Option<(Inode, Option<(InetEnd, InetEnd)>)>,
}

impl SocketKey {
    pub fn of(netns: Option<NetnsId>, socket: &Socket<'_>) -> SocketKey {
        let (table, cookie) = (socket.table(), socket.cookie());
        let ends = match socket {
            Socket::Inet(inet) => Some((inet.local, inet.peer)),
            _ => None,
        };
        let is_known = cookie.is_some() && table != Table::Sctp;
        SocketKey { netns, table, cookie, place: (!is_known).then(|| (socket.inode(), ends)) }
    }
}

/// What became of a line since the listing before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Appeared,
    Changed,
    Vanished,
    /// It is as it was, or this is the first listing.
    None,
}

/// A line of a listing, and what became of it.
#[derive(Debug)]
pub struct Line<'a, R> {
    pub change: Change,
    pub row: &'a R,
}

/// The last listing, and the one before.
#[derive(Debug)]
pub struct Changes<R> {
    before: Option<FxHashMap<Key, R>>,
    /// In the order of the listing.
    now: Option<Vec<(Key, R)>>,
}

impl<R> Default for Changes<R> {
    fn default() -> Changes<R> {
        Changes { before: None, now: None }
    }
}

impl<R: Ord> Changes<R> {
    /// Takes the next listing.
    pub fn next(&mut self, listing: Vec<(Key, R)>) {
        self.before = self.now.replace(listing).map(|before| before.into_iter().collect());
    }

    /// Whether there was no listing before the last.
    pub fn is_first(&self) -> bool {
        self.before.is_none()
    }

    /// The lines of the last listing, then those that are gone.
    pub fn lines(&self) -> Vec<Line<'_, R>> {
        let now = self.now.iter().flatten();
        let Some(before) = &self.before else {
            return now.map(|(_, row)| Line { change: Change::None, row }).collect();
        };
        let mut gone = before.iter().collect::<FxHashMap<_, _>>();
        let mut lines: Vec<Line<'_, R>> = now
            .map(|(key, row)| {
                let change = match gone.remove(key) {
                    None if before.contains_key(key) => Change::None,
                    None => Change::Appeared,
                    Some(old) if old == row => Change::None,
                    Some(_) => Change::Changed,
                };
                Line { change, row }
            })
            .collect();
        let mut gone: Vec<_> = gone.into_values().collect();
        gone.sort_unstable();
        lines.extend(gone.into_iter().map(|row| Line { change: Change::Vanished, row }));
        lines
    }
}

impl Change {
    /// What stands before a line.
    pub fn mark(self) -> &'static str {
        match self {
            Change::Appeared => "+",
            Change::Changed => "~",
            Change::Vanished => "-",
            Change::None => " ",
        }
    }

    /// As JSON names it.
    pub fn name(self) -> &'static str {
        match self {
            Change::Appeared => "appeared",
            Change::Changed => "changed",
            Change::Vanished => "vanished",
            Change::None => "present",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(cookie: u64) -> Key {
        let cookie = Some(Cookie(cookie));
        Key::Socket(SocketKey { netns: None, table: Table::Tcp, cookie, place: None })
    }

    fn next(changes: &mut Changes<&'static str>, sockets: &[(u64, &'static str)]) {
        changes.next(sockets.iter().map(|(cookie, text)| (key(*cookie), *text)).collect());
    }

    fn lines(changes: &Changes<&'static str>) -> Vec<(Change, &'static str)> {
        changes.lines().iter().map(|line| (line.change, *line.row)).collect()
    }

    #[test]
    fn sockets_come_go_and_change() {
        let mut changes = Changes::default();
        next(&mut changes, &[(1, "a"), (2, "b"), (3, "c")]);
        assert!(changes.is_first());
        assert!(changes.lines().iter().all(|line| line.change == Change::None));
        next(&mut changes, &[(4, "d"), (1, "a"), (2, "B")]);
        let expected = [
            (Change::Appeared, "d"),
            (Change::None, "a"),
            (Change::Changed, "B"),
            (Change::Vanished, "c"),
        ];
        assert_eq!(lines(&changes), expected);
        next(&mut changes, &[(4, "d")]);
        let expected = [(Change::None, "d"), (Change::Vanished, "B"), (Change::Vanished, "a")];
        assert_eq!(lines(&changes), expected);
        next(&mut changes, &[]);
        assert_eq!(lines(&changes), [(Change::Vanished, "d")]);
        next(&mut changes, &[]);
        assert!(!changes.is_first() && changes.lines().is_empty());
    }

    #[test]
    fn an_address_that_another_socket_took_is_another_line() {
        let mut changes = Changes::default();
        next(&mut changes, &[(1, "same")]);
        next(&mut changes, &[(2, "same")]);
        assert_eq!(lines(&changes), [(Change::Appeared, "same"), (Change::Vanished, "same")]);
    }
}
