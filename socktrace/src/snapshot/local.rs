//! The tables of the other families: from sock_diag, or from the text of /proc/net.

use anyhow::Result;

use super::{Lister, note, note_text};
use crate::cli::plan::Plan;
use crate::diag::{DiagError, DiagSocket, DumpEnd, netlink, packet, tipc, unix, vsock, xdp};
use crate::filter::{Expr, Need};
use crate::procfs::{self, Skipped};
use crate::say::complain;
use crate::socket::{Family, Socket, State, Table, TableSet};

impl Lister<'_, '_, '_> {
    /// Lists tables that share a family.
    pub(super) fn local(&mut self, tables: TableSet) -> Result<()> {
        let Some(table) = tables.iter().next() else { return Ok(()) };
        // These families have no states; their sockets count as closed.
        let is_stateless =
            [Family::Packet, Family::Netlink, Family::Xdp].map(|f| table.families().contains(f));
        if is_stateless.contains(&true) && !self.plan.select.states.contains(State::Close) {
            return Ok(());
        }
        if procfs::is_forced(table) {
            return self.local_text(table, tables);
        }
        let mut listed = 0;
        match self.local_diag(table, tables, &mut listed) {
            Ok(end) => note(end),
            Err(DiagError::Sink(error)) => return Err(error),
            // Nothing is shown twice: text takes the place of a dump that did not begin.
            Err(_) if listed == 0 => self.local_text(table, tables)?,
            Err(error) => complain(&error.to_string()),
        }
        Ok(())
    }

    fn local_diag(
        &mut self,
        table: Table,
        tables: TableSet,
        listed: &mut usize,
    ) -> Result<DumpEnd, DiagError> {
        let states = self.plan.select.states;
        let show = self.plan.show;
        let unix = unix_request(self.plan, self.expr, tables);
        let begun = unix.and_then(|unix| self.begun(&[unix.encode().to_vec()]));
        let sink = &mut |socket: &Socket<'_>| {
            *listed += 1;
            self.print(socket)
        };
        if let Some((unix, begun)) = unix.zip(begun) {
            let each = &mut |message: &[u8]| unix.each(message, sink);
            let mut ends = begun.consume(each).map_err(DiagError::Sink)?;
            return ends.pop().expect("a request has an end");
        }
        let mut diag = DiagSocket::open()?;
        if let Some(unix) = unix {
            return unix.dump(&mut diag, sink);
        }
        match table {
            // As in ss, either table shows both; from text each shows its own.
            Table::PacketDgram | Table::PacketRaw => {
                let details = show.details.then_some(packet::Extensions::DETAILS);
                let filter = show.bpf_filter.then_some(packet::Extensions::FILTER);
                let extensions = details.unwrap_or_default().union(filter.unwrap_or_default());
                packet::dump(extensions, &mut diag, sink)
            }
            Table::Netlink => netlink::dump(&mut diag, sink),
            Table::VsockStream | Table::VsockDgram => {
                vsock::Request { tables, states }.dump(&mut diag, sink)
            }
            Table::Tipc => tipc::dump(states, &mut diag, sink),
            _ => xdp::dump(&mut diag, sink),
        }
    }

    /// Families without a text file have nothing to show where the kernel lacks their module.
    fn local_text(&mut self, table: Table, tables: TableSet) -> Result<()> {
        let states = self.plan.select.states;
        let sink = &mut |socket: &Socket<'_>| self.print(socket);
        let skipped = match table {
            Table::UnixDgram | Table::UnixStream | Table::UnixSeqpacket => {
                procfs::unix(tables, states, sink)
            }
            Table::PacketDgram | Table::PacketRaw => procfs::packet(tables, sink),
            Table::Netlink => procfs::netlink(sink),
            _ => Ok(Skipped::default()),
        };
        note_text(skipped)
    }
}

/// What the kernel is asked of the UNIX tables among these; none where text takes their place.
pub(super) fn unix_request(
    plan: &Plan,
    expr: Option<&Expr>,
    tables: TableSet,
) -> Option<unix::Request> {
    let first = tables.iter().next()?;
    if !first.families().contains(Family::Unix) || procfs::is_forced(first) {
        return None;
    }
    let asks = |need| expr.is_some_and(|expr| expr.needs(need));
    let extensions = [
        (plan.show.details, unix::Extensions::DETAILS),
        (plan.show.memory, unix::Extensions::MEMORY),
        (asks(Need::UnixUser), unix::Extensions::USER),
        (asks(Need::UnixFile), unix::Extensions::FILE),
    ];
    let extensions = extensions
        .into_iter()
        .filter(|(is_wanted, _)| *is_wanted)
        .fold(unix::Extensions::default(), |extensions, (_, more)| extensions.union(more));
    Some(unix::Request { tables, states: plan.select.states, extensions })
}
