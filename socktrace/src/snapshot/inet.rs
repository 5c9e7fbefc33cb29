//! The tables of IP sockets: from sock_diag, from a file of it, or from the text of /proc/net.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use rustix::io::Errno;

use super::{Lister, note, note_text, variable};
use crate::cli::plan::{Plan, Task};
use crate::diag::ahead::dump_all;
use crate::diag::file::{self, FileEnd};
use crate::diag::inet::{self, Extensions, Request};
use crate::diag::{DiagError, DiagSocket};
use crate::filter::{Expr, KernelOps, Need, Pushdown, Verdict, compile};
use crate::procfs;
use crate::render::show::Show;
use crate::say::complain;
use crate::socket::{Family, FamilySet, Socket, Table};

/// Puts a dump into a file instead of asking the kernel for it.
const DUMP_FILE: &str = "TCPDIAG_FILE";

/// How much of the filter the kernel is asked to judge, until it agrees: an older one, or one that
/// wants a privilege for it, refuses parts.
const ATTEMPTS: [Option<KernelOps>; 3] = [Some(KernelOps::ALL), Some(KernelOps::BASIC), None];

/// What the kernel is asked for first; none where nothing can be listed, or text takes the place of
/// sock_diag.
pub(super) fn first_requests(
    plan: &Plan,
    expr: Option<&Expr>,
    table: Table,
    storage: Option<&[u8]>,
) -> Result<Option<Vec<Vec<u8>>>> {
    if is_text(table) {
        return Ok(None);
    }
    let Some(left) = left_of(expr, plan, table) else { return Ok(None) };
    let pushdown = pushdown(left.as_ref(), table, ATTEMPTS[0]);
    let request = request(plan, table, &pushdown, storage);
    Ok(Some(encode(&request, families(plan))?))
}

impl Lister<'_, '_, '_> {
    pub(super) fn inet(&mut self, table: Table) -> Result<()> {
        if table == Table::Tcp
            && let Some(path) = variable(DUMP_FILE)
        {
            return self.tcp_file(Path::new(&path));
        }
        if is_text(table) {
            return self.inet_text(table);
        }
        let mut families: Vec<_> = families(self.plan).collect();
        let mut killer = match self.plan.task {
            Task::Kill => Some(DiagSocket::open()?),
            _ => None,
        };
        let storage = self.storage.attributes();
        let Some(left) = left_of(self.expr, self.plan, table) else { return Ok(()) };
        for ops in ATTEMPTS {
            let pushdown = pushdown(left.as_ref(), table, ops);
            let request = request(self.plan, table, &pushdown, storage.as_deref());
            let rest = pushdown.rest.as_ref();
            families = self.inet_diag(&request, &families, rest, killer.as_mut())?;
            if families.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Lists families over sock_diag, or over text where that fails before it begins. Gives back
    /// those for which the kernel refused the filter's program.
    fn inet_diag(
        &mut self,
        request: &Request<'_>,
        families: &[Family],
        rest: Option<&Expr>,
        mut killer: Option<&mut DiagSocket>,
    ) -> Result<Vec<Family>> {
        let requests = encode(request, families.iter().copied())?;
        let begun = self.begun(&requests);
        let mut has_begun = false;
        let each = &mut |message: &[u8]| {
            has_begun = true;
            self.inet_message(request, message, rest, killer.as_deref_mut())
        };
        let ends = match begun {
            Some(begun) => begun.consume(each)?,
            None => dump_all(&requests, each)?,
        };
        let mut refused = Vec::new();
        for (family, end) in families.iter().zip(ends) {
            match end {
                Ok(end) => {
                    has_begun = true;
                    note(end);
                }
                Err(error) if has_begun => complain(&error.to_string()),
                Err(DiagError::Refused(Errno::INVAL | Errno::PERM))
                    if request.bytecode.is_some() =>
                {
                    refused.push(*family);
                }
                // Nothing is shown twice: text takes the place of dumps of which none has begun.
                Err(_) => {
                    self.inet_text(request.table)?;
                    return Ok(Vec::new());
                }
            }
        }
        Ok(refused)
    }

    fn inet_message(
        &mut self,
        request: &Request<'_>,
        message: &[u8],
        rest: Option<&Expr>,
        killer: Option<&mut DiagSocket>,
    ) -> Result<()> {
        let Some(decoded) = inet::Message::new(message) else { return Ok(()) };
        self.progress.socket();
        if !self.plan.select.families.contains(decoded.family) {
            return Ok(());
        }
        let socket = Socket::Inet(decoded.socket(request.table));
        if !self.holds(rest, &socket) {
            return Ok(());
        }
        if let Some(listed) = self.listed {
            listed.note(&socket);
        }
        if let Some(killer) = killer
            && !kill(killer, request, message)?
        {
            return Ok(());
        }
        self.output.socket(&socket).context("cannot write the listing")
    }

    /// All of the families that are shown: text knows nothing of a preferred one.
    fn inet_text(&mut self, table: Table) -> Result<()> {
        let (families, states) = (self.plan.select.families, self.plan.select.states);
        for family in [Family::Inet, Family::Inet6] {
            if families.contains(family) {
                note_text(procfs::inet(table, family, states, &mut |socket| self.print(socket)))?;
            }
        }
        Ok(())
    }

    fn tcp_file(&mut self, path: &Path) -> Result<()> {
        match file::read(path, &mut |socket| self.print(socket)) {
            Ok(FileEnd::Done) => {}
            Ok(FileEnd::Missing | FileEnd::Truncated) => {
                complain(&format!("unexpected end of {} ({DUMP_FILE})", path.display()));
            }
            Err(DiagError::Sink(error)) => return Err(error),
            Err(error) => {
                complain(&format!("{} ({DUMP_FILE}): {error}", path.display()));
            }
        }
        Ok(())
    }

    /// `-E`: sockets as the kernel destroys them, each shown at once.
    pub(super) fn events(&mut self) -> Result<()> {
        let groups = destroy_groups(self.plan.select.families, |table| {
            self.plan.select.tables.contains(table)
        });
        if groups == 0 {
            return Err(anyhow!("only TCP and UDP sockets are announced when they are destroyed"));
        }
        let mut diag = DiagSocket::open_with_groups(groups)?;
        let end = diag.follow(&mut |message| {
            let Some(socket) = inet::decode_event(message) else { return Ok(()) };
            if !self.plan.select.families.contains(socket.family) {
                return Ok(());
            }
            self.print(&Socket::Inet(socket))?;
            self.output.flush().context("cannot write the listing")
        });
        match end {
            Ok(never) => match never {},
            Err(DiagError::Sink(error)) => Err(error),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a table comes from text, or from a file.
fn is_text(table: Table) -> bool {
    procfs::is_forced(table) || table == Table::Tcp && variable(DUMP_FILE).is_some()
}

/// What of the filter the table and the states do not decide already, if anything; `None` if it can
/// hold for no socket.
fn left_of(expr: Option<&Expr>, plan: &Plan, table: Table) -> Option<Option<Expr>> {
    match expr.map(|e| e.in_table(table).and_then(|e| e.in_states(plan.select.states))) {
        Some(Verdict::Open(left)) => Some(Some(left)),
        Some(Verdict::Known(true)) | None => Some(None),
        Some(Verdict::Known(false)) => None,
    }
}

fn pushdown(expr: Option<&Expr>, table: Table, ops: Option<KernelOps>) -> Pushdown {
    // The program would run on SCTP's primary address, the listing shows all of them.
    match (expr, ops) {
        (Some(expr), Some(ops)) if table != Table::Sctp => compile(expr, ops),
        _ => Pushdown { bytecode: None, rest: expr.cloned() },
    }
}

fn request<'a>(
    plan: &Plan,
    table: Table,
    pushdown: &'a Pushdown,
    bpf_storage: Option<&'a [u8]>,
) -> Request<'a> {
    Request {
        table,
        states: plan.select.states,
        extensions: extensions(&plan.show, pushdown.rest.as_ref()),
        bytecode: pushdown.bytecode.as_deref(),
        bpf_storage,
    }
}

fn encode(
    request: &Request<'_>,
    families: impl Iterator<Item = Family>,
) -> Result<Vec<Vec<u8>>, DiagError> {
    families.map(|family| request.encode(family)).collect()
}

/// The file that `-D` names; `None` for `-`.
pub(super) fn create_dump(path: &Path) -> Result<Option<File>> {
    if path == Path::new("-") {
        return Ok(None);
    }
    let file = File::create(path);
    file.map(Some).with_context(|| format!("cannot create the dump file {}", path.display()))
}

/// `-D`: the TCP dump as it comes from the kernel, into a file, or to `out`.
pub(super) fn dump_tcp(
    plan: &Plan,
    expr: Option<&Expr>,
    path: &Path,
    mut file: Option<File>,
    out: &mut dyn Write,
) -> Result<()> {
    let to: &mut dyn Write = match &mut file {
        Some(file) => file,
        None => out,
    };
    let cannot_write = || format!("cannot write the dump to {}", path.display());
    let bytecode = expr.and_then(|expr| compile(expr, KernelOps::BASIC).bytecode);
    let request = Request {
        table: Table::Tcp,
        states: plan.select.states,
        extensions: extensions(&plan.show, None),
        bytecode: bytecode.as_deref(),
        bpf_storage: None,
    };
    let mut diag = DiagSocket::open()?;
    for family in families(plan) {
        let mut write = |raw: &[u8]| to.write_all(raw).with_context(cannot_write);
        note(diag.dump_raw(&request.encode(family)?, &mut write, &mut |_| Ok(()))?);
    }
    to.flush().with_context(cannot_write)
}

/// The families that are asked for, in the kernel's order. As in `ss`, the last option that named
/// a family decides: with `-4 -6`, only IPv6 is listed.
fn families(plan: &Plan) -> impl Iterator<Item = Family> {
    let asked: &[Family] = match plan.select.preferred {
        Some(Family::Inet) => &[Family::Inet],
        Some(Family::Inet6) => &[Family::Inet6],
        _ => &[Family::Inet, Family::Inet6],
    };
    let families = plan.select.families;
    asked.iter().copied().filter(move |family| families.contains(*family))
}

/// What is shown, and what is left of the filter asks for.
fn extensions(show: &Show, expr: Option<&Expr>) -> Extensions {
    let asks = |need| expr.is_some_and(|expr| expr.needs(need));
    [
        (show.memory, Extensions::MEMORY),
        (show.info, Extensions::INFO),
        (show.tos || asks(Need::Tos), Extensions::TOS),
        (asks(Need::Info), Extensions::TCP_INFO),
        (asks(Need::CongestionControl), Extensions::CONGESTION_CONTROL),
    ]
    .into_iter()
    .filter(|(is_wanted, _)| *is_wanted)
    .fold(Extensions::default(), |extensions, (_, more)| extensions.union(more))
}

/// Destroys a socket; false for one that the kernel cannot close or that is gone already.
fn kill(killer: &mut DiagSocket, request: &Request<'_>, message: &[u8]) -> Result<bool> {
    let Some(bytes) = request.destroy(message) else { return Ok(false) };
    match killer.destroy(&bytes) {
        Ok(()) => Ok(true),
        Err(DiagError::Refused(Errno::OPNOTSUPP | Errno::NOENT)) => Ok(false),
        Err(error) => Err(error).context("cannot destroy a socket (it takes CAP_NET_ADMIN)"),
    }
}

/// The multicast groups that announce the end of sockets, as a bit mask.
fn destroy_groups(families: FamilySet, wants: impl Fn(Table) -> bool) -> u32 {
    [
        (Family::Inet, Table::Tcp),
        (Family::Inet, Table::Udp),
        (Family::Inet6, Table::Tcp),
        (Family::Inet6, Table::Udp),
    ]
    .into_iter()
    .enumerate()
    .filter(|(_, (family, table))| families.contains(*family) && wants(*table))
    .fold(0, |mask, (bit, _)| mask | 1 << bit)
}
