//! Who can be reached where: services, made from the sockets that wait for others to come.
//!
//! Knows neither source nor output.

use std::net::IpAddr;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::container::Home;
use crate::netns::Place;
use crate::socket::{Family, Inet, InetEnd, Inode, NetnsId, Socket, State, Table};

/// The interface of addresses that stay on this host.
const LOOPBACK_INDEX: u32 = 1;

/// What can be reached at one address and port: a socket, or several that share them.
#[derive(Debug, Clone)]
pub struct Service {
    pub place: Place,
    pub table: Table,
    pub family: Family,
    pub local: InetEnd,
    /// Where the socket is bound to an interface: its index, and its name in its namespace.
    pub interface: Option<(u32, Vec<u8>)>,
    pub v6only: Option<bool>,
    pub uid: u32,
    pub queue: Queue,
    /// The sockets that share the address, the first found first.
    pub inodes: Vec<Inode>,
    pub home: Option<Rc<Home>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Connections that wait for accept(), and how many may, over all sockets.
    Accept { waiting: u64, limit: u64 },
    /// Bytes that nobody has read.
    Bytes(u64),
}

/// From where a service can be reached, as far as its address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Loopback,
    Address,
    Interface,
    V4,
    V6,
    /// An IPv6 socket at any address that takes IPv4 too.
    V4AndV6,
}

impl Reach {
    pub fn name(self) -> &'static str {
        match self {
            Reach::Loopback => "loopback",
            Reach::Address => "address",
            Reach::Interface => "interface",
            Reach::V4 => "v4",
            Reach::V6 => "v6",
            Reach::V4AndV6 => "v4+v6",
        }
    }
}

impl Service {
    pub fn key(&self) -> ServiceKey {
        ServiceKey {
            netns: self.place.id,
            table: self.table,
            local: self.local,
            ifindex: self.interface.as_ref().map_or(0, |(index, _)| *index),
        }
    }

    pub fn reach(&self) -> Reach {
        let bound_to = self.interface.as_ref().map(|(index, _)| *index);
        if self.local.addr.to_canonical().is_loopback() || bound_to == Some(LOOPBACK_INDEX) {
            return Reach::Loopback;
        }
        match (self.local.addr, bound_to) {
            (addr, _) if !addr.to_canonical().is_unspecified() => Reach::Address,
            (_, Some(_)) => Reach::Interface,
            (IpAddr::V4(_), None) => Reach::V4,
            // ::ffff:0.0.0.0 takes IPv4 and nothing else.
            (IpAddr::V6(addr), None) if !addr.is_unspecified() => Reach::V4,
            (IpAddr::V6(_), None) if self.v6only == Some(false) => Reach::V4AndV6,
            (IpAddr::V6(_), None) => Reach::V6,
        }
    }
}

/// The services of the sockets that were added.
#[derive(Debug, Default)]
pub struct Listeners {
    services: Vec<Service>,
    places: FxHashMap<ServiceKey, usize>,
}

/// What tells a service from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceKey {
    netns: Option<NetnsId>,
    table: Table,
    local: InetEnd,
    ifindex: u32,
}

impl Listeners {
    /// Whether it is a socket that others can come to.
    pub fn is_one(socket: &Socket<'_>) -> bool {
        let Socket::Inet(socket) = socket else { return false };
        match socket.table {
            Table::Tcp | Table::Mptcp | Table::Sctp | Table::Dccp => socket.state == State::Listen,
            Table::Udp => socket.state == State::Close && socket.local.port != 0,
            _ => false,
        }
    }

    /// Adds a socket, if it is one. `interface` names the one that it is bound to.
    pub fn add(
        &mut self,
        place: &Place,
        socket: &Socket<'_>,
        interface: impl FnOnce(u32) -> Vec<u8>,
        home: impl FnOnce() -> Option<Rc<Home>>,
    ) {
        let Socket::Inet(inet) = socket else { return };
        if !Listeners::is_one(socket) {
            return;
        }
        let (netns, ifindex) = (place.id, inet.ifindex);
        let key = ServiceKey { netns, table: inet.table, local: inet.local, ifindex };
        if let Some(at) = self.places.get(&key) {
            let service = &mut self.services[*at];
            service.queue = service.queue.and(queue(inet));
            service.inodes.push(inet.inode);
            return;
        }
        self.places.insert(key, self.services.len());
        self.services.push(Service {
            place: place.clone(),
            table: inet.table,
            family: inet.family,
            local: inet.local,
            interface: (inet.ifindex != 0).then(|| (inet.ifindex, interface(inet.ifindex))),
            v6only: inet.ext.v6only,
            uid: inet.uid,
            queue: queue(inet),
            inodes: vec![inet.inode],
            home: home(),
        });
    }

    /// The services by namespace, port and protocol.
    pub fn into_services(self) -> Vec<Service> {
        let Listeners { mut services, places } = self;
        // An MPTCP listener has a TCP one beside it, which shares its inode or has none.
        let is_of_mptcp: Vec<bool> = services
            .iter()
            .map(|service| {
                let key = ServiceKey { table: Table::Mptcp, ..service.key() };
                let whole = places.get(&key).filter(|_| service.table == Table::Tcp);
                whole.is_some_and(|at| {
                    let of_whole = &services[*at].inodes;
                    let is_half = |inode: &Inode| *inode == Inode(0) || of_whole.contains(inode);
                    service.inodes.iter().all(is_half)
                })
            })
            .collect();
        let mut is_of_mptcp = is_of_mptcp.into_iter();
        services.retain(|_| !is_of_mptcp.next().unwrap_or_default());
        services.sort_by(|a, b| {
            let key = |s: &Service| (s.local.port, s.table, s.local.addr);
            a.place.cmp(&b.place).then_with(|| key(a).cmp(&key(b)))
        });
        services
    }
}

fn queue(socket: &Inet<'_>) -> Queue {
    match socket.state {
        State::Listen => {
            Queue::Accept { waiting: socket.recv_queue.into(), limit: socket.send_queue.into() }
        }
        _ => Queue::Bytes(socket.recv_queue.into()),
    }
}

impl Queue {
    fn and(self, other: Queue) -> Queue {
        match (self, other) {
            (Queue::Accept { waiting, limit }, Queue::Accept { waiting: w, limit: l }) => {
                Queue::Accept { waiting: waiting + w, limit: limit + l }
            }
            (Queue::Bytes(bytes), Queue::Bytes(others)) => Queue::Bytes(bytes + others),
            // Of one table, all are of one kind.
            (queue, _) => queue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{Cookie, InetExt, Timer};

    fn socket(table: Table, addr: &str, port: u16, ifindex: u32, v6only: bool) -> Socket<'static> {
        let addr: IpAddr = addr.parse().unwrap();
        let (family, any) = match addr {
            IpAddr::V4(_) => (Family::Inet, "0.0.0.0"),
            IpAddr::V6(_) => (Family::Inet6, "::"),
        };
        Socket::Inet(Inet {
            table,
            family,
            state: if table == Table::Udp { State::Close } else { State::Listen },
            local: InetEnd { addr, port },
            peer: InetEnd { addr: any.parse().unwrap(), port: 0 },
            ifindex,
            cookie: Cookie(1),
            recv_queue: 1,
            send_queue: 128,
            uid: 0,
            inode: Inode(port.into()),
            timer: Timer::default(),
            ext: InetExt { v6only: addr.is_ipv6().then_some(v6only), ..InetExt::default() },
        })
    }

    fn services(sockets: &[Socket<'_>]) -> Vec<Service> {
        let mut listeners = Listeners::default();
        for socket in sockets {
            listeners.add(&Place::default(), socket, |_| b"eth0".to_vec(), || None);
        }
        listeners.into_services()
    }

    #[test]
    fn reach_is_what_the_address_allows() {
        for (addr, ifindex, v6only, expected) in [
            ("127.0.0.1", 0, false, Reach::Loopback),
            ("127.8.8.8", 0, false, Reach::Loopback),
            ("::1", 0, false, Reach::Loopback),
            ("::ffff:127.0.0.1", 0, false, Reach::Loopback),
            ("0.0.0.0", 1, false, Reach::Loopback),
            ("::", 1, false, Reach::Loopback),
            ("192.0.2.1", 0, false, Reach::Address),
            ("2001:db8::1", 0, false, Reach::Address),
            ("fe80::1", 2, false, Reach::Address),
            ("0.0.0.0", 2, false, Reach::Interface),
            ("::", 2, true, Reach::Interface),
            ("0.0.0.0", 0, false, Reach::V4),
            ("::ffff:0.0.0.0", 0, false, Reach::V4),
            ("::", 0, true, Reach::V6),
            ("::", 0, false, Reach::V4AndV6),
        ] {
            let services = services(&[socket(Table::Tcp, addr, 80, ifindex, v6only)]);
            assert_eq!(services[0].reach(), expected, "{addr} {ifindex} {v6only}");
        }
    }

    #[test]
    fn sockets_that_share_an_address_are_one_service() {
        let shared = socket(Table::Tcp, "0.0.0.0", 80, 0, false);
        let services = services(&[
            shared.clone(),
            socket(Table::Udp, "0.0.0.0", 53, 0, false),
            shared,
            socket(Table::Tcp, "0.0.0.0", 53, 0, false),
        ]);
        let seen: Vec<_> = services.iter().map(|s| (s.local.port, s.table, s.queue)).collect();
        let one = Queue::Accept { waiting: 1, limit: 128 };
        let two = Queue::Accept { waiting: 2, limit: 256 };
        assert_eq!(
            seen,
            [(53, Table::Tcp, one), (53, Table::Udp, Queue::Bytes(1)), (80, Table::Tcp, two)]
        );
        assert_eq!(services[2].inodes.len(), 2);
    }

    #[test]
    fn the_tcp_half_of_an_mptcp_listener_is_not_told_twice() {
        for (inode, expected) in
            [(0, &[Table::Mptcp][..]), (80, &[Table::Mptcp]), (81, &[Table::Tcp, Table::Mptcp])]
        {
            let mut half = socket(Table::Tcp, "0.0.0.0", 80, 0, false);
            if let Socket::Inet(half) = &mut half {
                half.inode = Inode(inode);
            }
            let services = services(&[half, socket(Table::Mptcp, "0.0.0.0", 80, 0, false)]);
            assert_eq!(services.iter().map(|s| s.table).collect::<Vec<_>>(), expected, "{inode}");
        }
    }

    #[test]
    fn what_waits_for_nobody_is_left_out() {
        let mut connected = socket(Table::Udp, "0.0.0.0", 53, 0, false);
        if let Socket::Inet(connected) = &mut connected {
            connected.state = State::Established;
        }
        assert!(services(&[connected, socket(Table::Udp, "0.0.0.0", 0, 0, false)]).is_empty());
    }
}
