//! What a filter asked of sockets and the source did not tell, to be said once.

use std::cell::Cell;

/// What a kernel or a text source may not tell of a socket that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untold {
    Info,
    Cgroup,
    UnixUser,
    BacklogLimit,
    UnixFile,
}

impl Untold {
    const ALL: [Untold; 5] =
        [Untold::Info, Untold::Cgroup, Untold::UnixUser, Untold::BacklogLimit, Untold::UnixFile];

    fn text(self) -> &'static str {
        match self {
            Untold::Info => {
                "of some connections there was no tcp_info: what the filter asks of it does not \
                 hold for them"
            }
            Untold::Cgroup => {
                "of some sockets no cgroup was told: what the filter asks of it does not hold for \
                 them"
            }
            Untold::UnixUser => {
                "of some UNIX sockets no user was told: what the filter asks of it does not hold \
                 for them"
            }
            Untold::BacklogLimit => {
                "of some listening sockets no limit was told: what the filter asks of their \
                 backlog does not hold for them"
            }
            Untold::UnixFile => {
                "of UNIX sockets only the names were told: the file at the path in the filter \
                 may be bound by another name"
            }
        }
    }
}

/// Collects what was not told.
#[derive(Debug, Default)]
pub struct Missing(Cell<u8>);

impl Missing {
    pub(super) fn note(&self, what: Untold) {
        self.0.set(self.0.get() | 1 << what as u8);
    }

    /// A sentence for each thing that was not told.
    pub fn said(&self) -> impl Iterator<Item = &'static str> {
        let bits = self.0.get();
        Untold::ALL.into_iter().filter(move |what| bits & 1 << *what as u8 != 0).map(Untold::text)
    }
}
