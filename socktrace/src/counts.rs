//! How many sockets there are of a kind: by state, by process, by peer and so on. Sockets stream
//! by and are counted; nothing of them is kept.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::filter::EphemeralPorts;
use crate::netns::Place;
use crate::owner::Owners;
use crate::socket::{End, Inode, Socket, State, Table};

/// What sockets are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Netns,
    Netid,
    State,
    /// The process that holds it; of several, the one that the others inherited it from.
    Process,
    User,
    Cgroup,
    /// The local address, or the name of a UNIX socket.
    Local,
    /// The peer's address.
    Peer,
    /// The port of the service: of both, the one that is not ephemeral.
    Port,
    LocalPort,
    PeerPort,
}

impl Key {
    pub const ALL: [(Key, &'static str); 11] = [
        (Key::Netns, "netns"),
        (Key::Netid, "netid"),
        (Key::State, "state"),
        (Key::Process, "process"),
        (Key::User, "user"),
        (Key::Cgroup, "cgroup"),
        (Key::Local, "local"),
        (Key::Peer, "peer"),
        (Key::Port, "port"),
        (Key::LocalPort, "sport"),
        (Key::PeerPort, "dport"),
    ];
}

/// How many keys may be combined.
pub const MOST_KEYS: usize = 4;

/// What a group has in common under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Nothing is known under this key, or there is nothing.
    None,
    /// An index into [`Counts::places`].
    Netns(u32),
    Netid(Table),
    State(State),
    /// An index into [`Counts::processes`].
    Process(u32),
    User(u32),
    Cgroup(u64),
    Addr(IpAddr),
    /// An index into [`Counts::names`].
    Name(u32),
    Port(u16),
}

type Group = [Part; MOST_KEYS];

/// Which keys, in which order, and how many groups are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    pub by: Vec<Key>,
    /// The largest groups only.
    pub top: Option<usize>,
}

/// The sockets of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub sockets: u64,
    by_state: [u32; State::ALL.len()],
}

impl Count {
    fn add(&mut self, state: State) {
        self.sockets += 1;
        self.by_state[state as usize] += 1;
    }

    /// The states that the group has, the most frequent first.
    pub fn states(&self) -> Vec<(State, u32)> {
        let counts = State::ALL.into_iter().zip(self.by_state);
        let mut states: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
        states.sort_by_key(|(state, count)| (std::cmp::Reverse(*count), *state));
        states
    }
}

/// Counts sockets as they stream by.
pub struct Counts<'a> {
    grouping: Grouping,
    owners: Option<&'a Owners>,
    ephemeral: EphemeralPorts,
    groups: FxHashMap<Group, Count>,
    total: Count,
    /// The network namespaces that were counted in; the sockets that come are of the last.
    places: Vec<Place>,
    processes: Vec<(u32, Vec<u8>)>,
    process_of: FxHashMap<u32, u32>,
    names: Vec<Vec<u8>>,
    name_of: FxHashMap<Vec<u8>, u32>,
}

impl<'a> Counts<'a> {
    /// `owners` tells the processes, if they are asked for; the sockets are of `place`.
    pub fn new(
        grouping: Grouping,
        owners: Option<&'a Owners>,
        ephemeral: EphemeralPorts,
        place: Place,
    ) -> Counts<'a> {
        Counts {
            grouping,
            owners,
            ephemeral,
            groups: FxHashMap::default(),
            total: Count::default(),
            places: vec![place],
            processes: Vec::new(),
            process_of: FxHashMap::default(),
            names: Vec::new(),
            name_of: FxHashMap::default(),
        }
    }

    /// What follows is of this network namespace.
    pub fn enter(&mut self, place: Place) {
        self.places.push(place);
    }

    pub fn add(&mut self, socket: &Socket<'_>) {
        let mut group = [Part::None; MOST_KEYS];
        for (place, number) in group.iter_mut().zip(0..self.grouping.by.len()) {
            *place = self.part(self.grouping.by[number], socket);
        }
        let state = socket.state();
        self.groups.entry(group).or_default().add(state);
        self.total.add(state);
    }

    pub fn by(&self) -> &[Key] {
        &self.grouping.by
    }

    pub fn total(&self) -> Count {
        self.total
    }

    /// How many groups there are, shown or not.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The groups, the largest first, as many as are to be shown.
    pub fn groups(&self) -> Vec<(&[Part], Count)> {
        let keys = self.grouping.by.len();
        let mut groups: Vec<_> =
            self.groups.iter().map(|(group, count)| (&group[..keys], *count)).collect();
        groups.sort_by(|(a_group, a), (b_group, b)| {
            b.sockets.cmp(&a.sockets).then_with(|| a_group.cmp(b_group))
        });
        groups.truncate(self.grouping.top.unwrap_or(usize::MAX));
        groups
    }

    /// The network namespace with that index.
    pub fn place(&self, index: u32) -> &Place {
        &self.places[index as usize]
    }

    /// The process with that index: its number and its name.
    pub fn process(&self, index: u32) -> (u32, &[u8]) {
        let (pid, comm) = &self.processes[index as usize];
        (*pid, comm)
    }

    /// The name with that index.
    pub fn name(&self, index: u32) -> &[u8] {
        &self.names[index as usize]
    }

    fn part(&mut self, key: Key, socket: &Socket<'_>) -> Part {
        match key {
            Key::Netns => Part::Netns(index(self.places.len())),
            Key::Netid => Part::Netid(socket.table()),
            Key::State => Part::State(socket.state()),
            Key::Process => self.process_part(socket.inode()),
            Key::User => match socket {
                // Without a file, the kernel does not know the user and says 0.
                Socket::Inet(inet) if inet.inode.0 != 0 => Part::User(inet.uid),
                Socket::Unix(unix) => unix.uid.map_or(Part::None, Part::User),
                _ => Part::None,
            },
            Key::Cgroup => socket.cgroup_id().map_or(Part::None, Part::Cgroup),
            Key::Local => self.end_part(socket.local()),
            Key::Peer => match socket.peer() {
                End::Inet(end) if end.port == 0 && end.addr.is_unspecified() => Part::None,
                end => self.end_part(end),
            },
            Key::Port => match (socket.local(), socket.peer()) {
                (End::Inet(local), End::Inet(peer)) => self.service(local.port, peer.port),
                _ => Part::None,
            },
            Key::LocalPort => port(socket.local()),
            Key::PeerPort => port(socket.peer()),
        }
    }

    fn process_part(&mut self, inode: Inode) -> Part {
        let Some(owners) = self.owners.filter(|_| inode.0 != 0) else { return Part::None };
        let Some((pid, comm)) = owners.process_of(inode) else { return Part::None };
        let index = *self.process_of.entry(pid).or_insert_with(|| {
            self.processes.push((pid, comm.to_vec()));
            index(self.processes.len())
        });
        Part::Process(index)
    }

    fn end_part(&mut self, end: End<'_>) -> Part {
        match end {
            End::Inet(end) => Part::Addr(end.addr),
            End::Unix { name: Some(name), .. } => {
                if let Some(index) = self.name_of.get(name) {
                    return Part::Name(*index);
                }
                self.names.push(name.to_vec());
                let index = index(self.names.len());
                self.name_of.insert(name.to_vec(), index);
                Part::Name(index)
            }
            _ => Part::None,
        }
    }

    fn service(&self, local: u16, peer: u16) -> Part {
        let is_ephemeral = |port| self.ephemeral.contains(port);
        match (local, peer) {
            (0, 0) => Part::None,
            (port, 0) | (0, port) => Part::Port(port),
            _ if is_ephemeral(local) == is_ephemeral(peer) => Part::Port(local.min(peer)),
            _ if is_ephemeral(local) => Part::Port(peer),
            _ => Part::Port(local),
        }
    }
}

fn port(end: End<'_>) -> Part {
    match end {
        End::Inet(end) if end.port != 0 => Part::Port(end.port),
        _ => Part::None,
    }
}

/// The index of the last of so many.
fn index(len: usize) -> u32 {
    u32::try_from(len - 1).expect("fewer than four thousand million names")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{Cookie, Family, Inet, InetEnd, InetExt, NetnsId, Timer};

    fn tcp(state: State, local: (&str, u16), peer: (&str, u16), inode: u32) -> Socket<'static> {
        let end = |(addr, port): (&str, u16)| InetEnd { addr: addr.parse().unwrap(), port };
        Socket::Inet(Inet {
            table: Table::Tcp,
            family: Family::Inet,
            state,
            local: end(local),
            peer: end(peer),
            ifindex: 0,
            cookie: Cookie(1),
            recv_queue: 0,
            send_queue: 0,
            uid: 7,
            inode: Inode(inode),
            timer: Timer::default(),
            ext: InetExt::default(),
        })
    }

    fn counted(by: &[Key], top: Option<usize>, owners: Option<&Owners>) -> Vec<(Vec<Part>, u64)> {
        let ephemeral = EphemeralPorts(32768..=60999);
        let grouping = Grouping { by: by.to_vec(), top };
        let mut counts = Counts::new(grouping, owners, ephemeral, Place::default());
        for socket in [
            tcp(State::Listen, ("0.0.0.0", 80), ("0.0.0.0", 0), 1),
            tcp(State::Established, ("10.0.0.1", 80), ("10.0.0.2", 40000), 2),
            tcp(State::Established, ("10.0.0.1", 80), ("10.0.0.2", 40001), 3),
            tcp(State::CloseWait, ("10.0.0.1", 50000), ("10.0.0.3", 443), 4),
            tcp(State::TimeWait, ("10.0.0.1", 50001), ("10.0.0.3", 443), 0),
        ] {
            counts.add(&socket);
        }
        assert_eq!(counts.total().sockets, 5);
        counts.groups().into_iter().map(|(group, count)| (group.to_vec(), count.sockets)).collect()
    }

    #[test]
    fn the_largest_group_is_first() {
        let states = counted(&[Key::State], Some(1), None);
        assert_eq!(states, [(vec![Part::State(State::Established)], 2)]);
    }

    #[test]
    fn the_port_of_a_service_is_the_one_that_is_not_ephemeral() {
        assert_eq!(
            counted(&[Key::Port], None, None),
            [(vec![Part::Port(80)], 3), (vec![Part::Port(443)], 2)]
        );
    }

    #[test]
    fn a_socket_of_several_processes_counts_once() {
        let mut owners = Owners::default();
        let master = owners.add_task(10, 10, b"web", None);
        owners.add_descriptor(Inode(1), master, 3);
        owners.add_descriptor(Inode(2), master, 4);
        let worker = owners.add_task(11, 11, b"web", None);
        owners.add_descriptor(Inode(1), worker, 3);
        let by_process = counted(&[Key::Process], None, Some(&owners));
        assert_eq!(by_process, [(vec![Part::None], 3), (vec![Part::Process(0)], 2)]);
    }

    #[test]
    fn namespaces_are_told_apart_by_the_place_that_was_entered() {
        let place = |id| Place { id: Some(NetnsId(id)), name: None };
        let grouping = Grouping { by: vec![Key::Netns], top: None };
        let mut counts = Counts::new(grouping, None, EphemeralPorts(32768..=60999), place(7));
        let socket = tcp(State::Listen, ("0.0.0.0", 80), ("0.0.0.0", 0), 1);
        counts.add(&socket);
        counts.enter(place(8));
        counts.add(&socket);
        counts.add(&socket);
        let groups = counts.groups().into_iter();
        let groups: Vec<_> = groups.map(|(group, count)| (group[0], count.sockets)).collect();
        assert_eq!(groups, [(Part::Netns(1), 2), (Part::Netns(0), 1)]);
        assert_eq!(counts.place(1), &place(8));
    }

    #[test]
    fn keys_combine_in_their_order() {
        let groups = counted(&[Key::Peer, Key::State], Some(2), None);
        let peer = Part::Addr("10.0.0.2".parse().unwrap());
        assert_eq!(groups[0], (vec![peer, Part::State(State::Established)], 2));
    }
}
