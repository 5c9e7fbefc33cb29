//! On a host with much to list, tables are begun before it is their turn: the kernel makes their
//! dumps while the owners are collected.

use anyhow::Result;

use super::{Lister, Session, inet, listed, local};
use crate::cli::plan::Task;
use crate::diag::ahead::{Ahead, FamilyWalks, Room};
use crate::procfs;
use crate::procfs::summary::Summary;
use crate::socket::Table;

/// From how many open files on the host a table may take long: the kernel walks all of it before
/// the first read, where few of it are wanted.
const MANY_FILES: u64 = 10_000;
/// How much of a dump may wait for the owners, by open file of the host: half of what a socket
/// takes there.
const WAITING_BYTES: u64 = 64;
/// Up to so many TCP sockets of IPv6, they come with those of IPv4, and are kept until these have
/// been listed.
const FEW_IPV6: u32 = 500;

impl Session {
    /// Begins to read what this namespace will be asked for, where that may take long.
    pub(super) fn read_ahead(&self) -> Result<Vec<Ahead>> {
        let Session { plan, expr, storage, .. } = self;
        let expr = expr.as_ref();
        let open_files = procfs::open_files(&procfs::root());
        // The sockets that ask would be among those of netlink.
        let lists_itself = plan.select.tables.contains(Table::Netlink);
        let is_listing = matches!(plan.task, Task::List | Task::Window(_));
        if open_files < MANY_FILES || lists_itself || !is_listing {
            return Ok(Vec::new());
        }
        let room = if self.needs_owners() {
            Room::of_bytes(open_files * WAITING_BYTES)
        } else if plan.show.info {
            // The rows that wait for their widths are long, and take what memory `ss` would.
            Room::SMALL
        } else if plan.show.has_details() {
            Room::LARGE
        } else {
            Room::LARGEST
        };
        let (counts, _) = Summary::read();
        let families = match counts.v6.tcp <= FEW_IPV6 {
            true => FamilyWalks::Together,
            false => FamilyWalks::Each,
        };
        let storage = storage.attributes();
        let mut ahead = Vec::new();
        for tables in listed(plan, expr) {
            for table in tables.iter().filter(|table| table.is_inet()) {
                let requests = inet::first_requests(plan, expr, table, storage.as_deref())?;
                ahead.extend(requests.and_then(|requests| Ahead::begin(requests, families, room)));
            }
            if let Some(request) = local::unix_request(plan, expr, tables) {
                let requests = vec![request.encode().to_vec()];
                ahead.extend(Ahead::begin(requests, FamilyWalks::Each, room));
            }
        }
        Ok(ahead)
    }
}

impl Lister<'_, '_, '_> {
    /// The dump of these requests, if it was begun.
    pub(super) fn begun(&mut self, requests: &[Vec<u8>]) -> Option<Ahead> {
        let at = self.ahead.iter().position(|ahead| ahead.is_of(requests))?;
        Some(self.ahead.swap_remove(at))
    }
}
