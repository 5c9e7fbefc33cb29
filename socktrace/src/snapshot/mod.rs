//! A listing, from the plan to the last line: source, filter, renderer, table by table.

mod ahead;
mod explain;
mod inet;
mod local;
mod progress;
pub(crate) mod scope;
mod storage;
mod watch;
mod window;

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::plan::{Format, Plan, Scope, Task, View};
use crate::container::Homes;
use crate::counts::Counts;
use crate::diag::DumpEnd;
use crate::diag::ahead::Ahead;
use crate::filter::{
    self, Expr, FilterError, Listed, Lookup, Missing, Need, Surroundings, Verdict,
};
use crate::names::Names;
use crate::netns::{Namespace, Place};
use crate::owner::{Granularity, Owners, Wanted};
use crate::procfs::summary::Summary;
use crate::procfs::{ProcError, Skipped};
use crate::render::columns::{Column, Hidden, Listing};
use crate::render::counts::CountsListing;
use crate::render::json::listing::JsonListing;
use crate::render::known::Known;
use crate::render::listeners::{Form, ServicePrinter};
use crate::render::output::Output;
use crate::render::show::{Header, Holders, Queues};
use crate::render::{Printer, escape};
use crate::say::complain;
use crate::socket::{Socket, Table, TableSet};
use crate::trace::{Losses, Refusal};
use crate::{netns, owner, procfs};
use progress::{Erasing, Progress};
use storage::StorageRequest;

/// Why nothing was listed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A file that the command line names cannot be used.
    #[error("{0:#}")]
    File(anyhow::Error),
    /// Said on stderr as it is, with a successful end.
    #[error("{0}")]
    Nothing(&'static str),
    #[error("SELinux is not enabled.")]
    NoSelinux,
    /// What is gone cannot be watched here.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The listing is there, but not all of it.
    #[error("{0} ends of connections were lost: not all that is gone was listed")]
    Lost(u64),
    /// All of it is there, but not all that belongs to it.
    #[error(
        "some of what is gone was listed without its owner or its beginning: for {0} events there \
         was no memory"
    )]
    Incomplete(u64),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// The order in which tables are listed.
const ORDER: [&[Table]; 12] = [
    &[Table::Netlink],
    &[Table::PacketDgram, Table::PacketRaw],
    &[Table::UnixDgram, Table::UnixStream, Table::UnixSeqpacket],
    &[Table::Raw],
    &[Table::Udp],
    &[Table::Tcp],
    &[Table::Dccp],
    &[Table::Sctp],
    &[Table::VsockStream, Table::VsockDgram],
    &[Table::Tipc],
    &[Table::Xdp],
    &[Table::Mptcp],
];

/// Lists what `plan` asks for to `out`, laid out for a screen of that width, or compactly.
pub fn run(
    mut plan: Plan,
    out: &mut dyn Write,
    screen: Option<usize>,
) -> Result<(), SnapshotError> {
    let homes = Homes::new(procfs::root());
    scope::enter(&plan.netns, &homes)?;
    if plan.wants_contexts() && !owner::selinux::is_enabled() {
        return Err(SnapshotError::NoSelinux);
    }
    let names = Names::new(plan.name_options());
    let is_once = plan.watch.is_none();
    if plan.summary && is_once && plan.format == Format::Columns {
        scope::each(&plan.netns, &homes, &mut |namespace| print_summary(namespace, out))?;
    }
    if plan.summary && is_once && plan.lists_nothing_besides() {
        if let Format::Json(framing) = plan.format {
            let mut listing = JsonListing::new(out, framing, plan.show, Known::names(&names));
            scope::each(&plan.netns, &homes, &mut |namespace| {
                namespace.into_iter().for_each(|namespace| listing.enter(namespace));
                listing.summary(&read_summary()).context(CANNOT_WRITE)
            })?;
            listing.finish().context(CANNOT_WRITE)?;
        }
        return Ok(());
    }
    let expr = settle(&mut plan, &names)?;
    if plan.task == Task::Explain {
        return Ok(explain::explain(&plan, expr.as_ref(), out)?);
    }
    if let Some(nothing) = plan.select.nothing_left() {
        if let Format::Json(framing) = plan.format {
            let mut listing = JsonListing::new(out, framing, plan.show, Known::names(&names));
            listing.finish().context(CANNOT_WRITE)?;
        }
        return Err(SnapshotError::Nothing(nothing));
    }
    let listed = matches!(plan.task, Task::Window(_)).then(window::Listings::default);
    let session = Session {
        listed,
        storage: StorageRequest::new(&plan.storage).map_err(anyhow::Error::from)?,
        progress: Progress::begin(
            plan.watch.is_none() && !matches!(plan.task, Task::Events | Task::Window(_)),
        ),
        plan,
        expr,
        names,
        homes,
    };
    if let Some(every) = session.plan.watch {
        return Ok(watch::run(session, every, out)?);
    }
    let window = match session.plan.task {
        Task::Window(duration) => {
            Some(window::watch(&session.plan.select, duration, session.plan.ring_size)?)
        }
        _ => None,
    };
    let ahead = session.read_ahead()?;
    let owners = session.read_owners()?;
    if let Task::DumpTcp(path) = &session.plan.task {
        let file = inet::create_dump(path).map_err(SnapshotError::File)?;
        return Ok(inet::dump_tcp(&session.plan, session.expr.as_ref(), path, file, out)?);
    }
    let mut out = Erasing { out };
    let mut output = session.output(&mut out, screen, owners.as_ref()).context(CANNOT_WRITE)?;
    session.list(owners.as_ref(), ahead, &mut output)?;
    let losses = match window {
        Some(window) => session.list_gone(window, owners.as_ref(), &mut output)?,
        None => Losses::default(),
    };
    output.finish().context(CANNOT_WRITE)?;
    match (losses.lost(), losses.incomplete()) {
        (0, 0) => Ok(()),
        (0, incomplete) => Err(SnapshotError::Incomplete(incomplete)),
        (lost, _) => Err(SnapshotError::Lost(lost)),
    }
}

const CANNOT_WRITE: &str = "cannot write the listing";

/// All that listings have in common when there is more than one.
struct Session {
    plan: Plan,
    expr: Option<Expr>,
    storage: StorageRequest,
    progress: Progress,
    names: Names,
    homes: Homes,
    /// What was listed, where it will be asked for.
    listed: Option<window::Listings>,
}

impl Session {
    /// Begins the output in the form that the plan asks for.
    fn output<'a, 'w>(
        &'a self,
        out: &'w mut dyn Write,
        screen: Option<usize>,
        owners: Option<&'a Owners>,
    ) -> io::Result<Output<'a, 'w>> {
        let plan = &self.plan;
        let known = Known { names: &self.names, owners, homes: Some(&self.homes) };
        let form = match plan.format {
            Format::Columns => Form::Columns(plan.show.header),
            Format::Json(framing) => Form::Json(framing),
        };
        match &plan.view {
            View::Sockets => {}
            View::Services => return Ok(Output::Services(ServicePrinter::new(out, form, known))),
            View::Counts(grouping) => {
                let ports = self.names.ephemeral_ports().clone();
                let counts = Counts::new(grouping.clone(), owners, ports, Place::here());
                return Ok(Output::Counts(CountsListing { out, counts, names: &self.names, form }));
            }
        }
        match plan.format {
            Format::Columns => {
                let listing = Listing::new(out, screen, hidden(plan));
                let mut printer = Printer::new(listing, plan.show, known);
                if plan.show.header == Header::Shown {
                    printer.header()?;
                }
                Ok(Output::Columns(printer))
            }
            Format::Json(framing) => {
                Ok(Output::Json(JsonListing::new(out, framing, plan.show, known)))
            }
        }
    }

    /// Lists the sockets of every namespace that is asked for, without the end of the output;
    /// `ahead` is what was begun of the first.
    fn list(
        &self,
        owners: Option<&Owners>,
        ahead: Vec<Ahead>,
        output: &mut Output<'_, '_>,
    ) -> Result<()> {
        let missing = Missing::default();
        let mut ahead = Some(ahead);
        let mut nowhere = self.expr.as_ref().map(Expr::devices).unwrap_or_default();
        scope::each(&self.plan.netns, &self.homes, &mut |namespace| {
            if let Some(namespace) = namespace {
                self.names.leave_namespace();
                output.enter(namespace);
            }
            nowhere.retain(|name| Lookup::interface(&self.names, name).is_none());
            if self.plan.summary {
                output.summary(read_summary).context(CANNOT_WRITE)?;
                if self.lists_summaries_only() {
                    return Ok(());
                }
            }
            let around = self.around(owners, &missing);
            let Session { plan, storage, progress, .. } = self;
            let listed = self.listed.as_ref();
            let expr = self.expr.as_ref().map(|expr| match namespace {
                Some(_) => Cow::Owned(expr.in_netns(&self.names)),
                None => Cow::Borrowed(expr),
            });
            let expr = expr.as_deref();
            let ahead = ahead.take().unwrap_or_default();
            let mut lister =
                Lister { plan, expr, around, storage, progress, listed, ahead, output };
            match plan.task {
                Task::Events => lister.events(),
                _ => lister.tables(),
            }
        })?;
        for name in nowhere {
            let name = String::from_utf8_lossy(&name).into_owned();
            complain(&format!("there is no interface \"{name}\" in any network namespace"));
        }
        missing.said().for_each(complain);
        Ok(())
    }

    fn lists_summaries_only(&self) -> bool {
        self.plan.summary && self.plan.lists_nothing_besides()
    }

    /// Forgets what may have changed since the listing before.
    fn refresh(&mut self) {
        self.names.refresh();
        self.homes = Homes::new(procfs::root());
    }

    /// What a filter may ask of the surroundings of sockets in this namespace.
    fn around<'s>(&'s self, owners: Option<&'s Owners>, missing: &'s Missing) -> Surroundings<'s> {
        let asks_netns = self.expr.as_ref().is_some_and(|expr| expr.needs(Need::Netns));
        Surroundings {
            ports: self.expr.as_ref().map(|_| self.names.ephemeral_ports()),
            owners,
            homes: Some(&self.homes),
            facts: Some(&self.names),
            netns: Some(()).filter(|()| asks_netns).and_then(|()| netns::current()),
            missing: Some(missing),
        }
    }

    fn needs_owners(&self) -> bool {
        self.shows_owners() || self.filters_by_owners()
    }

    fn shows_owners(&self) -> bool {
        self.plan.show.holders != Holders::Hidden || self.plan.show.container
    }

    fn filters_by_owners(&self) -> bool {
        self.expr.as_ref().is_some_and(|expr| expr.needs(Need::Owners))
    }

    fn read_owners(&self) -> Result<Option<Owners>> {
        if !self.needs_owners() {
            return Ok(None);
        }
        read_owners(&self.plan, self.filters_by_owners(), &self.progress).map(Some)
    }
}

/// Reads the filter and settles with it which tables, families and states are listed.
fn settle(plan: &mut Plan, names: &Names) -> Result<Option<Expr>, SnapshotError> {
    let file =
        plan.filter_file.as_deref().map(read_filter).transpose().map_err(SnapshotError::File)?;
    plan.select.settle_tables();
    let scope = filter::Scope {
        family: plan.select.preferred,
        tables: plan.select.tables,
        any_netns: plan.netns == Scope::All,
    };
    let filter = filter::parse(file.as_deref(), &plan.words, scope, names)?;
    let states = filter.expr.as_ref().and_then(Expr::states);
    plan.select.settle_states(filter.states.or(states));
    if !matches!(plan.task, Task::Window(_))
        && let Some(predicate) = filter.expr.as_ref().and_then(Expr::only_of_events)
    {
        complain(&format!(
            "no socket of a listing has what \"{}\" asks for: it is known of events only",
            Expr::Pred(predicate)
        ));
    }
    if let Some(family) = filter.family {
        plan.select.only(family);
    }
    Ok(filter.expr)
}

fn read_filter(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).context("cannot read the filter from standard input")?;
        return Ok(text);
    }
    fs::read(path).with_context(|| format!("cannot read the filter file {}", path.display()))
}

fn read_summary() -> Summary {
    let (summary, errors) = Summary::read();
    for error in errors {
        complain(&error.to_string());
    }
    summary
}

fn print_summary(namespace: Option<&Namespace>, out: &mut dyn Write) -> Result<()> {
    let mut text = Vec::new();
    if let Some(namespace) = namespace {
        text.extend_from_slice(b"Netns: ");
        escape::path(&mut text, &namespace.place().label());
        text.push(b'\n');
    }
    crate::render::summary::summary(&mut text, &read_summary());
    out.write_all(&text).context("cannot write the summary")
}

fn read_owners(plan: &Plan, asked_by_filter: bool, progress: &Progress) -> Result<Owners> {
    let granularity = match plan.show.holders {
        Holders::Threads => Granularity::Threads,
        Holders::Hidden | Holders::Processes => Granularity::Processes,
    };
    let wanted = Wanted { granularity, contexts: plan.show.contexts };
    let owners = owner::collect(wanted, plan.owners, &procfs::root(), &mut |count| {
        progress.descriptors(count);
    })?;
    // `ss` is silent here, and scripts may take stderr for part of the listing. But a filter by
    // owners that not all are known of may leave out what it should not.
    if owners.refused() > 0 && (asked_by_filter || io::stderr().is_terminal()) {
        let refused = owners.refused();
        complain(&format!("{refused} processes of others were not looked into (run it as root)"));
    }
    if let Some(error) = owners.failure() {
        complain(&format!("processes could not be read, so owners may be missing: {error}"));
    }
    Ok(owners)
}

fn hidden(plan: &Plan) -> Hidden {
    let mut hidden = Hidden::default();
    if plan.select.tables.len() == 1 {
        hidden = hidden.and(Column::Netid);
    }
    if plan.select.states.len() == 1 {
        hidden = hidden.and(Column::State);
    }
    if plan.show.queues == Queues::Hidden {
        hidden = hidden.and(Column::RecvQ).and(Column::SendQ);
    }
    if plan.show.holders == Holders::Hidden {
        hidden = hidden.and(Column::Process);
    }
    if plan.show.container {
        hidden = hidden.without(Column::Container);
    }
    if plan.netns == Scope::All {
        hidden = hidden.without(Column::Netns);
    }
    hidden
}

struct Lister<'p, 'a, 'w> {
    plan: &'p Plan,
    storage: &'p StorageRequest,
    progress: &'p Progress,
    expr: Option<&'p Expr>,
    around: Surroundings<'p>,
    listed: Option<&'p window::Listings>,
    /// Dumps that were begun already.
    ahead: Vec<Ahead>,
    output: &'p mut Output<'a, 'w>,
}

impl Lister<'_, '_, '_> {
    fn tables(&mut self) -> Result<()> {
        for tables in listed(self.plan, self.expr) {
            match tables.iter().next() {
                Some(table) if table.is_inet() => self.inet(table)?,
                _ => self.local(tables)?,
            }
        }
        Ok(())
    }

    fn holds(&self, expr: Option<&Expr>, socket: &Socket<'_>) -> bool {
        expr.is_none_or(|expr| expr.matches(&Listed { socket, around: self.around }))
    }

    /// Prints a socket if the whole of the filter holds for it.
    fn print(&mut self, socket: &Socket<'_>) -> Result<()> {
        self.progress.socket();
        if !self.holds(self.expr, socket) {
            return Ok(());
        }
        self.output.socket(socket).context(CANNOT_WRITE)
    }
}

/// The tables that are listed, in their order, those that share a family together.
fn listed(plan: &Plan, expr: Option<&Expr>) -> impl Iterator<Item = TableSet> {
    ORDER.iter().filter_map(move |group| {
        let wanted = TableSet::of(group).intersection(plan.select.tables);
        let possible = possible(expr, wanted);
        let mut families = possible.iter().map(Table::families);
        families.any(|f| f.intersects(plan.select.families)).then_some(possible)
    })
}

/// Those of the tables that may hold a socket for which the filter holds.
fn possible(expr: Option<&Expr>, tables: TableSet) -> TableSet {
    let Some(expr) = expr else { return tables };
    let impossible = |table: &Table| expr.in_table(*table) == Verdict::Known(false);
    tables.iter().filter(impossible).fold(tables, |tables, t| tables.without(TableSet::of(&[t])))
}

/// Says what a dump could not guarantee.
fn note(end: DumpEnd) {
    if end == DumpEnd::Interrupted {
        complain("Dump was interrupted and may be inconsistent.");
    }
}

/// Says what a text source could not tell.
fn note_text(listed: Result<Skipped, ProcError>) -> Result<()> {
    match listed {
        Ok(Skipped { malformed: 0 }) => {}
        Ok(Skipped { malformed: 1 }) => complain("1 malformed line was left out"),
        Ok(Skipped { malformed }) => {
            complain(&format!("{malformed} malformed lines were left out"));
        }
        Err(ProcError::Sink(error)) => return Err(error),
        Err(error) => complain(&error.to_string()),
    }
    Ok(())
}

/// A word of the environment, if it is set.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
