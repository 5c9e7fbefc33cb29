//! What the options mean: one [`Plan`] in which nothing is left to interpret.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::duration::duration;
use super::options::{Flag, Typed};
use crate::counts::Grouping;
use crate::filter::c_number;
use crate::names::NameOptions;
use crate::owner::{Contexts, Source};
use crate::procfs;
use crate::render::json::listing::Framing;
use crate::render::show::{Header, Holders, Layout, NumberStyle, Queues, Show};
use crate::say::Name;
use crate::socket::{Family, FamilySet, State, StateSet, Table, TableSet};
use crate::trace::RingSize;

/// What to do.
#[derive(Debug)]
pub enum Action {
    Help,
    Version,
    Run(Box<Plan>),
}

/// A listing, or what takes its place.
#[derive(Debug)]
pub struct Plan {
    pub task: Task,
    pub view: View,
    pub summary: bool,
    pub select: Select,
    pub show: Show,
    pub format: Format,
    /// How often to list again.
    pub watch: Option<Duration>,
    /// How much of what --window sees can wait to be read.
    pub ring_size: RingSize,
    /// Whether addresses are shown by the names of their hosts.
    pub resolve_hosts: bool,
    pub netns: Scope,
    /// Where the holders of sockets are collected from.
    pub owners: Source,
    processes: bool,
    threads: bool,
    /// Where the filter's text is, before the words.
    pub filter_file: Option<PathBuf>,
    pub storage: Storage,
    pub words: Vec<OsString>,
    name: Name,
}

/// Whose sockets are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    #[default]
    Here,
    /// Those of a namespace that `ip netns` named.
    Named(OsString),
    /// Those of a namespace that may also be given by a process, a file or a container.
    Called(OsString),
    All,
}

impl Scope {
    /// What stands behind `-N`.
    pub fn word(&self) -> Option<&OsStr> {
        match self {
            Scope::Named(word) | Scope::Called(word) => Some(word),
            Scope::Here | Scope::All => None,
        }
    }

    fn take(&mut self) -> Scope {
        std::mem::take(self)
    }

    fn named(self, word: OsString, name: Name) -> Result<Scope, PlanError> {
        match (self, name) {
            (Scope::All, _) => Err(PlanError::AllAndOne),
            (_, Name::Ss) => Ok(Scope::Named(word)),
            (_, Name::Socktrace) => Ok(Scope::Called(word)),
        }
    }

    fn all(self) -> Result<Scope, PlanError> {
        match self {
            Scope::Here | Scope::All => Ok(Scope::All),
            Scope::Named(_) | Scope::Called(_) => Err(PlanError::AllAndOne),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    List,
    /// Destroy what matches, and list it.
    Kill,
    /// List sockets as they are destroyed.
    Events,
    /// List after so long, and with what is gone by then.
    Window(Duration),
    /// Write the TCP dump as it comes from the kernel.
    DumpTcp(PathBuf),
    /// Show how the filter is understood.
    Explain,
}

/// What a listing tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    Sockets,
    /// Those who can be reached, a line for each address.
    Services,
    /// How many there are of each kind.
    Counts(Grouping),
}

/// What a listing is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Columns,
    Json(Framing),
}

/// Which maps of socket-local BPF storage are shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Storage {
    #[default]
    None,
    All,
    /// Those with these ids.
    Maps(Vec<u32>),
}

impl Storage {
    fn all(self) -> Result<Storage, PlanError> {
        match self {
            Storage::None | Storage::All => Ok(Storage::All),
            Storage::Maps(_) => Err(PlanError::MapsAndMapId),
        }
    }

    fn and(self, id: u32) -> Result<Storage, PlanError> {
        match self {
            Storage::None => Ok(Storage::Maps(vec![id])),
            Storage::Maps(mut ids) => {
                ids.push(id);
                Ok(Storage::Maps(ids))
            }
            Storage::All => Err(PlanError::MapsAndMapId),
        }
    }
}

/// Which sockets are asked for, apart from the filter's expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Select {
    pub tables: TableSet,
    pub families: FamilySet,
    pub states: StateSet,
    /// The one family to ask the kernel for, if the last word about families named IPv6 or IPv4.
    pub preferred: Option<Family>,
    states_said: Option<StateSet>,
    anything_chosen: bool,
}

/// Why the options cannot be followed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    #[error("\"{0}\" is invalid family")]
    Family(String),
    #[error("\"{0}\" is illegal socket table id")]
    Table(String),
    #[error("more than one filter file")]
    TwoFilterFiles,
    #[error("invalid BPF map ID {0}")]
    MapId(String),
    #[error("\"{0}\" is no source of owners: auto, walk or iterator is expected")]
    Owners(String),
    #[error("a time such as 1s, 500ms or 2m, and not below 100ms, is wanted in place of \"{0}\"")]
    Watch(String),
    #[error("a time such as 5s, 500ms or 2m is wanted in place of \"{0}\"")]
    Window(String),
    #[error("for --ring-size, {0}")]
    RingSize(String),
    #[error(
        "--watch lists what there is: it cannot be used with --events, --kill, --diag or --window"
    )]
    WatchAndTask,
    #[error("--net and --all-netns cannot be used together")]
    AllAndOne,
    #[error("--all-netns lists what there is: it cannot be used with {0}")]
    AllAndTask(&'static str),
    #[error("--bpf-maps and --bpf-map-id cannot be used together")]
    MapsAndMapId,
}

impl PlanError {
    /// Whether the usage is shown, as for an option that does not exist.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            PlanError::Family(_)
                | PlanError::Table(_)
                | PlanError::TwoFilterFiles
                | PlanError::Owners(_)
        )
    }
}

/// Listing costs the host something each time.
const SHORTEST_WATCH: Duration = Duration::from_millis(100);

const LISTENING: StateSet = StateSet::of(&[State::Listen, State::Close]);
/// What is listed where no table is chosen: TIPC has to be asked for, as in `ss`.
const DEFAULT_TABLES: TableSet = TableSet::ALL.without(TableSet::of(&[Table::Tipc]));
const INET_TABLES: TableSet =
    TableSet::of(&[Table::Udp, Table::Dccp, Table::Tcp, Table::Mptcp, Table::Raw]);

impl Action {
    pub fn from_typed(typed: Typed) -> Result<Action, PlanError> {
        let mut plan = Plan::new(typed.words, typed.name);
        for (flag, value) in typed.options {
            let value = value.unwrap_or_default();
            match flag {
                Flag::Help => return Ok(Action::Help),
                Flag::Version => return Ok(Action::Version),
                Flag::Family if value == "help" => return Ok(Action::Help),
                _ => plan.apply(flag, value)?,
            }
        }
        Ok(Action::Run(Box::new(plan.settled()?)))
    }
}

impl Plan {
    fn new(words: Vec<OsString>, name: Name) -> Plan {
        Plan {
            task: Task::List,
            view: View::Sockets,
            summary: false,
            select: Select {
                tables: TableSet::EMPTY,
                families: FamilySet::EMPTY,
                states: StateSet::EMPTY,
                preferred: None,
                states_said: None,
                anything_chosen: false,
            },
            show: Show::default(),
            format: Format::default(),
            watch: None,
            ring_size: RingSize::DEFAULT,
            resolve_hosts: false,
            netns: Scope::Here,
            owners: Source::default(),
            processes: false,
            threads: false,
            filter_file: None,
            storage: Storage::None,
            words,
            name,
        }
    }

    /// A view of something other than the sockets one by one, with options among those of listings.
    pub fn of_view(
        view: View,
        options: impl Iterator<Item = (Flag, OsString)>,
        words: Vec<OsString>,
    ) -> Result<Plan, PlanError> {
        let mut plan = Plan { view, ..Plan::new(words, Name::Socktrace) };
        for (flag, value) in options {
            plan.apply(flag, value)?;
        }
        plan.settled()
    }

    /// Settles what follows from several options together.
    fn settled(mut self) -> Result<Plan, PlanError> {
        let plan = &mut self;
        // As in `ss`, threads are only shown of processes that are.
        plan.show.holders = match (plan.processes, plan.threads) {
            (false, _) => Holders::Hidden,
            (true, false) => Holders::Processes,
            (true, true) => Holders::Threads,
        };
        let has_task =
            matches!(plan.task, Task::Events | Task::Kill | Task::DumpTcp(_) | Task::Window(_));
        if has_task && plan.watch.is_some() {
            return Err(PlanError::WatchAndTask);
        }
        match plan.task {
            Task::Events if plan.netns == Scope::All => {
                return Err(PlanError::AllAndTask("--events"));
            }
            Task::Window(_) if plan.netns == Scope::All => {
                return Err(PlanError::AllAndTask("--window"));
            }
            Task::DumpTcp(_) if plan.netns == Scope::All => {
                return Err(PlanError::AllAndTask("--diag"));
            }
            _ => {}
        }
        // What goes on has no end to close an array at.
        if plan.task == Task::Events && plan.format == Format::Json(Framing::Array) {
            plan.format = Format::Json(Framing::Lines);
        }
        Ok(self)
    }

    pub fn name_options(&self) -> NameOptions {
        NameOptions {
            numeric: self.show.numbers == NumberStyle::Numeric,
            resolve_hosts: self.resolve_hosts,
            proc_root: procfs::root(),
        }
    }

    /// Whether nothing was asked for that lists sockets.
    pub fn lists_nothing_besides(&self) -> bool {
        self.select.is_default() && self.words.is_empty() && self.filter_file.is_none()
    }

    pub fn wants_contexts(&self) -> bool {
        self.show.contexts != Contexts::None
    }

    fn apply(&mut self, flag: Flag, value: OsString) -> Result<(), PlanError> {
        let (select, show) = (&mut self.select, &mut self.show);
        match flag {
            Flag::Help | Flag::Version => {}
            Flag::Numeric => show.numbers = NumberStyle::Numeric,
            Flag::Resolve => self.resolve_hosts = true,
            Flag::All => select.states_said = Some(StateSet::ALL),
            Flag::Listening => select.states_said = Some(LISTENING),
            Flag::BoundInactive => {
                select.states_said = Some(StateSet::of(&[State::BoundInactive]));
            }
            Flag::Options => show.timer = true,
            Flag::Extended => (show.timer, show.details) = (true, true),
            Flag::Memory => show.memory = true,
            Flag::Processes => self.processes = true,
            Flag::Threads => self.threads = true,
            Flag::Info => show.info = true,
            Flag::TipcInfo => show.tipc_info = true,
            Flag::Summary => self.summary = true,
            Flag::Tos => show.tos = true,
            Flag::Cgroup => show.cgroup = true,
            Flag::Bpf => (show.timer, show.bpf_filter) = (true, true),
            Flag::BpfMaps => self.storage = std::mem::take(&mut self.storage).all()?,
            Flag::BpfMapId => {
                let id = value.to_string_lossy();
                let digits = id.trim_ascii_start();
                let digits = digits.strip_prefix('+').unwrap_or(digits).as_bytes();
                let number = c_number(digits).and_then(|number| u32::try_from(number).ok());
                let id = number.ok_or_else(|| PlanError::MapId(id.into_owned()))?;
                self.storage = std::mem::take(&mut self.storage).and(id)?;
            }
            Flag::Events => self.task = Task::Events,
            Flag::Context => show.contexts = show.contexts.max(Contexts::Processes),
            Flag::Contexts => show.contexts = Contexts::ProcessesAndSockets,
            Flag::Net => self.netns = self.netns.take().named(value, self.name)?,
            Flag::AllNetns => self.netns = self.netns.take().all()?,
            Flag::Container => show.container = true,
            Flag::Watch => {
                let text = value.to_string_lossy();
                let every = duration(&text).ok().filter(|every| *every >= SHORTEST_WATCH);
                self.watch = Some(every.ok_or_else(|| PlanError::Watch(text.into_owned()))?);
            }
            Flag::Window => {
                let text = value.to_string_lossy();
                let window = duration(&text).map_err(|_| PlanError::Window(text.into_owned()))?;
                self.task = Task::Window(window);
            }
            Flag::RingSize => {
                self.ring_size = value.to_string_lossy().parse().map_err(PlanError::RingSize)?;
            }
            Flag::InnerPids => show.inner_pids = true,
            Flag::Ipv4 => select.family(Family::Inet),
            Flag::Ipv6 => select.family(Family::Inet6),
            Flag::Packet => select.family(Family::Packet),
            Flag::Tcp => select.table(Table::Tcp),
            Flag::Mptcp => select.table(Table::Mptcp),
            Flag::Sctp => select.table(Table::Sctp),
            Flag::Udp => select.table(Table::Udp),
            Flag::Dccp => select.table(Table::Dccp),
            Flag::Raw => select.table(Table::Raw),
            Flag::Unix => select.family(Family::Unix),
            Flag::Tipc => select.family(Family::Tipc),
            Flag::Vsock => select.family(Family::Vsock),
            Flag::Xdp => select.family(Family::Xdp),
            Flag::Family => select.family(family_named(&value)?),
            Flag::Kill => self.task = Task::Kill,
            Flag::NoHeader => show.header = Header::Hidden,
            Flag::NoQueues => show.queues = Queues::Hidden,
            Flag::OneLine => show.layout = Layout::OneLine,
            Flag::InetSockopt => show.sockopt = true,
            Flag::Query => {
                select.query(&value.to_string_lossy())?;
                // Tables that were named have the connected states, whatever they show otherwise.
                select.states_said.get_or_insert(StateSet::CONNECTED);
            }
            Flag::Json => self.format = Format::Json(Framing::Array),
            Flag::JsonLines => self.format = Format::Json(Framing::Lines),
            Flag::Owners => self.owners = owners_from(&value)?,
            Flag::Explain => self.task = Task::Explain,
            Flag::Diag => self.task = Task::DumpTcp(value.into()),
            Flag::Filter => {
                if self.filter_file.replace(value.into()).is_some() {
                    return Err(PlanError::TwoFilterFiles);
                }
            }
        }
        Ok(())
    }
}

impl Select {
    /// Whether any table or family was named; without, all are shown.
    pub fn is_default(&self) -> bool {
        !self.anything_chosen
    }

    fn table(&mut self, table: Table) {
        self.states = self.states.union(table.default_states());
        self.tables = self.tables.union(TableSet::of(&[table]));
        self.anything_chosen = true;
    }

    /// Adds a family and the states that its tables show by default.
    pub fn family(&mut self, family: Family) {
        self.states = self.states.union(family_states(family));
        self.families = self.families.union(FamilySet::of(&[family]));
        self.anything_chosen = true;
        self.preferred = Some(family);
    }

    /// Narrows what was settled to one family, as a family prefix in a filter does.
    pub fn only(&mut self, family: Family) {
        self.families = FamilySet::of(&[family]);
        self.preferred = Some(family);
    }

    fn query(&mut self, names: &str) -> Result<(), PlanError> {
        for name in names.split(',') {
            let (name, wanted) = match name.strip_prefix('!') {
                Some(name) => (name, false),
                None => (name, true),
            };
            let tables = tables_named(name).ok_or_else(|| PlanError::Table(name.to_owned()))?;
            if wanted {
                tables.iter().for_each(|table| self.table(table));
            } else {
                self.tables = self.tables.without(tables);
                self.anything_chosen = true;
            }
        }
        Ok(())
    }

    /// Settles tables and families: without any, all; tables bring in their families and families
    /// their tables.
    pub fn settle_tables(&mut self) {
        if !self.anything_chosen {
            self.tables = DEFAULT_TABLES;
            self.states = StateSet::CONNECTED;
        }
        for table in self.tables.iter() {
            if !self.families.intersects(table.families()) {
                self.families = self.families.union(table.families());
            }
        }
        for family in Family::ALL.into_iter().filter(|family| self.families.contains(*family)) {
            let tables = family_tables(family);
            if !self.tables.intersects(tables) {
                self.tables = self.tables.union(tables);
            }
        }
    }

    /// Settles the states, given what the filter said of them.
    pub fn settle_states(&mut self, filter_states: Option<StateSet>) {
        let said = filter_states.or(self.states_said).filter(|states| !states.is_empty());
        if let Some(states) = said {
            self.states = states;
        }
    }

    /// What is left out so that nothing is left to show.
    pub fn nothing_left(&self) -> Option<&'static str> {
        if self.tables.is_empty() {
            Some("no socket tables to show with such filter.")
        } else if self.families.is_empty() {
            Some("no families to show with such filter.")
        } else if self.states.is_empty() {
            Some("no socket states to show with such filter.")
        } else {
            None
        }
    }
}

/// The states that a family shows by default.
fn family_states(family: Family) -> StateSet {
    match family {
        Family::Packet | Family::Netlink | Family::Xdp => StateSet::of(&[State::Close]),
        _ => StateSet::CONNECTED,
    }
}

/// The tables that a family brings in where none of them was chosen.
fn family_tables(family: Family) -> TableSet {
    match family {
        Family::Inet | Family::Inet6 => INET_TABLES.union(TableSet::of(&[Table::Sctp])),
        Family::Unix => TableSet::of(&[Table::UnixDgram, Table::UnixStream, Table::UnixSeqpacket]),
        Family::Packet => TableSet::of(&[Table::PacketDgram, Table::PacketRaw]),
        Family::Netlink => TableSet::of(&[Table::Netlink]),
        Family::Vsock => TableSet::of(&[Table::VsockStream, Table::VsockDgram]),
        Family::Tipc => TableSet::of(&[Table::Tipc]),
        Family::Xdp => TableSet::of(&[Table::Xdp]),
    }
}

fn owners_from(name: &OsString) -> Result<Source, PlanError> {
    let name = name.to_string_lossy();
    Ok(match &*name {
        "auto" => Source::Auto,
        "walk" => Source::Walk,
        "iterator" => Source::Iterator,
        _ => return Err(PlanError::Owners(name.into_owned())),
    })
}

fn family_named(name: &OsString) -> Result<Family, PlanError> {
    let name = name.to_string_lossy();
    Ok(match &*name {
        "inet" => Family::Inet,
        "inet6" => Family::Inet6,
        "link" => Family::Packet,
        "unix" => Family::Unix,
        "netlink" => Family::Netlink,
        "vsock" => Family::Vsock,
        "tipc" => Family::Tipc,
        "xdp" => Family::Xdp,
        _ => return Err(PlanError::Family(name.into_owned())),
    })
}

fn tables_named(name: &str) -> Option<TableSet> {
    Some(match name {
        "all" => DEFAULT_TABLES,
        "inet" => INET_TABLES.union(TableSet::of(&[Table::Sctp])),
        "tcp" => TableSet::of(&[Table::Tcp]),
        "mptcp" => TableSet::of(&[Table::Mptcp]),
        "udp" => TableSet::of(&[Table::Udp]),
        "raw" => TableSet::of(&[Table::Raw]),
        "dccp" => TableSet::of(&[Table::Dccp]),
        "sctp" => TableSet::of(&[Table::Sctp]),
        "unix" => family_tables(Family::Unix),
        "unix_stream" | "u_str" => TableSet::of(&[Table::UnixStream]),
        "unix_dgram" | "u_dgr" => TableSet::of(&[Table::UnixDgram]),
        "unix_seqpacket" | "u_seq" => TableSet::of(&[Table::UnixSeqpacket]),
        "packet" => family_tables(Family::Packet),
        "packet_raw" | "p_raw" => TableSet::of(&[Table::PacketRaw]),
        "packet_dgram" | "p_dgr" => TableSet::of(&[Table::PacketDgram]),
        "netlink" => TableSet::of(&[Table::Netlink]),
        "vsock" => family_tables(Family::Vsock),
        "vsock_stream" | "v_str" => TableSet::of(&[Table::VsockStream]),
        "vsock_dgram" | "v_dgr" => TableSet::of(&[Table::VsockDgram]),
        "tipc" => TableSet::of(&[Table::Tipc]),
        "xdp" => TableSet::of(&[Table::Xdp]),
        _ => return None,
    })
}
