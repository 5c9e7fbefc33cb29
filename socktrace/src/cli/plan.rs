//! What the options mean: one [`Plan`] in which nothing is left to interpret.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::duration::duration;
use super::options::{Flag, Typed};
use super::select::{Select, family_named};
use crate::counts::Grouping;
use crate::filter::c_number;
use crate::names::NameOptions;
use crate::owner::{Contexts, Source};
use crate::procfs;
use crate::render::json::listing::Framing;
use crate::render::show::{Header, Holders, Layout, NumberStyle, Queues, Show};
use crate::say::Name;
use crate::socket::{Family, State, StateSet, Table};
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
            select: Select::NOTHING,
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

    /// A view of something other than the sockets one by one, with those of these options that are
    /// given. Those with a value come first: a table that is named keeps a family from bringing in
    /// all of its own.
    pub fn of_view(
        view: View,
        valued: impl IntoIterator<Item = (Flag, Option<OsString>)>,
        switches: impl IntoIterator<Item = (Flag, bool)>,
        words: Vec<OsString>,
    ) -> Result<Plan, PlanError> {
        let mut plan = Plan { view, ..Plan::new(words, Name::Socktrace) };
        for (flag, value) in valued {
            value.map_or(Ok(()), |value| plan.apply(flag, value))?;
        }
        for (flag, _) in switches.into_iter().filter(|(_, is_set)| *is_set) {
            plan.apply(flag, OsString::new())?;
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

fn owners_from(name: &OsString) -> Result<Source, PlanError> {
    let name = name.to_string_lossy();
    Ok(match &*name {
        "auto" => Source::Auto,
        "walk" => Source::Walk,
        "iterator" => Source::Iterator,
        _ => return Err(PlanError::Owners(name.into_owned())),
    })
}
