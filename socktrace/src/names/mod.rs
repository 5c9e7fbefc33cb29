//! Numbers to names and back: services, hosts, interfaces, cgroups, protocols.
//!
//! Everything is read from the system when it is first needed, and kept. The methods that take a
//! number append its name, as `ss` shows it, to the caller's buffer, so that a listing allocates
//! nothing per socket. Nothing here knows of sockets or columns.
//!
//! Not done, though `ss -r` does it: asking rpcbind for the names of RPC services.

mod cgroup;
mod database;
mod ethernet;
mod group;
mod host;
mod interface;
mod netlink;

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::FileType;

use self::cgroup::Cgroups;
pub use self::cgroup::mount_point as cgroup_mount_point;
pub(crate) use self::cgroup::unescape as unescape_mount;
use self::database::{Protocols, Services};
use self::group::Groups;
use self::host::Hosts;
use self::interface::Interfaces;
use self::netlink::{NetlinkProtocols, Processes};
use crate::filter::{EphemeralPorts, Facts, Lookup, Transport};
use crate::netns;
use crate::socket::UnixFile;

#[derive(Debug, Clone)]
pub struct NameOptions {
    /// `-n`: services, protocols and netlink ports as numbers.
    pub numeric: bool,
    /// `-r`: hosts by name.
    pub resolve_hosts: bool,
    /// Where procfs is: `/proc`, or what PROC_ROOT says.
    pub proc_root: PathBuf,
}

/// The names of the system, as far as they have been asked for.
#[derive(Debug)]
pub struct Names {
    options: NameOptions,
    services: OnceCell<Services>,
    protocols: OnceCell<Protocols>,
    ephemeral: OnceCell<EphemeralPorts>,
    hosts: Hosts,
    interfaces: Interfaces,
    cgroups: Cgroups,
    netlink_protocols: OnceCell<NetlinkProtocols>,
    processes: Processes,
    groups: Groups,
}

impl Names {
    pub fn new(options: NameOptions) -> Names {
        Names {
            options,
            services: OnceCell::new(),
            protocols: OnceCell::new(),
            ephemeral: OnceCell::new(),
            hosts: Hosts::default(),
            interfaces: Interfaces::default(),
            cgroups: Cgroups::default(),
            netlink_protocols: OnceCell::new(),
            processes: Processes::default(),
            groups: Groups::default(),
        }
    }

    /// A port: `*` for 0, the name of the service unless numeric or ephemeral, else the number.
    pub fn port(&self, port: u16, transport: Transport, out: &mut Vec<u8>) {
        if port == 0 {
            return out.push(b'*');
        }
        match self.service(port, transport) {
            Some(name) => out.extend_from_slice(name),
            None => number(port, out),
        }
    }

    /// The service that a port is known for, unless numbers are wanted or the port is ephemeral.
    pub fn service(&self, port: u16, transport: Transport) -> Option<&[u8]> {
        if port == 0 || self.options.numeric || self.ephemeral_ports().contains(port) {
            return None;
        }
        self.services().name(port, transport)
    }

    /// The IP protocol of a RAW socket, in place of its port.
    pub fn ip_protocol(&self, protocol: u16, out: &mut Vec<u8>) {
        if protocol == 0 {
            return out.push(b'*');
        }
        if self.options.numeric {
            return number(protocol, out);
        }
        match self.ip_protocol_name(protocol) {
            Some(name) => out.extend_from_slice(name),
            None => {
                out.extend_from_slice(b"ipproto-");
                number(protocol, out);
            }
        }
    }

    pub fn ip_protocol_name(&self, protocol: u16) -> Option<&[u8]> {
        if self.options.numeric {
            return None;
        }
        self.protocols().name(u8::try_from(protocol).ok()?)
    }

    /// The name of the host with this address, if names of hosts are wanted and it has one; whether
    /// it was appended.
    pub fn host(&self, address: IpAddr, out: &mut Vec<u8>) -> bool {
        self.options.resolve_hosts && self.hosts.name(address, out)
    }

    /// An interface, `if` and its index if it is gone.
    pub fn interface(&self, ifindex: u32, out: &mut Vec<u8>) {
        self.interfaces.name(ifindex, out);
    }

    /// Forgets what changes with time: interfaces, cgroups and processes.
    pub fn refresh(&mut self) {
        self.interfaces = Interfaces::default();
        self.cgroups = Cgroups::default();
        self.processes = Processes::default();
    }

    /// Forgets what holds in one network namespace only.
    pub fn leave_namespace(&self) {
        self.interfaces.forget();
    }

    /// The path of a cgroup below the root of its hierarchy.
    pub fn cgroup(&self, id: u64, out: &mut Vec<u8>) {
        match self.cgroups.path(id) {
            Some(path) => out.extend_from_slice(path),
            None => {
                // Writing to a Vec does not fail.
                let _ = write!(out, "unreachable:{id:x}");
            }
        }
    }

    pub fn cgroup_path(&self, id: u64) -> Option<&[u8]> {
        self.cgroups.path(id)
    }

    /// The Ethernet protocol of a PACKET socket.
    pub fn ethernet_protocol(&self, protocol: u16, out: &mut Vec<u8>) {
        ethernet::name(protocol, self.options.numeric, out);
    }

    pub fn ethernet_protocol_name(&self, protocol: u16) -> Option<&'static str> {
        if self.options.numeric { None } else { ethernet::name_of(protocol) }
    }

    pub fn netlink_protocol(&self, protocol: u8, out: &mut Vec<u8>) {
        match self.netlink_protocol_name(protocol) {
            Some(name) => out.extend_from_slice(name),
            None => number(protocol, out),
        }
    }

    pub fn netlink_protocol_name(&self, protocol: u8) -> Option<&[u8]> {
        if self.options.numeric { None } else { self.netlink_protocols().name(protocol) }
    }

    /// The port id of a NETLINK socket: the process that has it, if it is a process's.
    pub fn netlink_port(&self, port_id: u32, out: &mut Vec<u8>) {
        let port_id = port_id as i32;
        if port_id == -1 {
            return out.push(b'*');
        }
        if !self.options.numeric {
            if port_id == 0 {
                return out.extend_from_slice(b"kernel");
            }
            if self.netlink_process(port_id, out) {
                out.push(b'/');
            }
        }
        number(port_id, out);
    }

    /// The name of the process that a netlink port id is the pid of; whether it was appended.
    pub fn netlink_process(&self, port_id: i32, out: &mut Vec<u8>) -> bool {
        !self.options.numeric
            && port_id > 0
            && self.processes.name(&self.options.proc_root, port_id, out)
    }

    /// The ports that the kernel gives to sockets that ask for none.
    pub fn ephemeral_ports(&self) -> &EphemeralPorts {
        self.ephemeral.get_or_init(|| {
            let path = self.options.proc_root.join("sys/net/ipv4/ip_local_port_range");
            std::fs::read(path).ok().and_then(|text| ephemeral(&text)).unwrap_or_default()
        })
    }

    fn services(&self) -> &Services {
        self.services.get_or_init(Services::read)
    }

    fn protocols(&self) -> &Protocols {
        self.protocols.get_or_init(Protocols::read)
    }

    fn netlink_protocols(&self) -> &NetlinkProtocols {
        self.netlink_protocols.get_or_init(NetlinkProtocols::read)
    }
}

impl Lookup for Names {
    fn service(&self, name: &[u8], transport: Transport) -> Option<u16> {
        self.services().port(name, transport)
    }

    fn host(&self, name: &[u8]) -> Vec<IpAddr> {
        host::addresses(name)
    }

    fn interface(&self, name: &[u8]) -> Option<u32> {
        self.interfaces.index(name)
    }

    fn cgroup(&self, path: &OsStr) -> io::Result<u64> {
        cgroup::id(path)
    }

    fn netlink_protocol(&self, name: &[u8]) -> Option<u8> {
        self.netlink_protocols().number(name)
    }

    fn ethernet_protocol(&self, name: &[u8]) -> Option<u16> {
        ethernet::number_of(name)
    }

    fn ip_protocol(&self, name: &[u8]) -> Option<u8> {
        // The two that people look for, under the names that listings and people give them.
        match name {
            b"icmp" => Some(1),
            b"icmp6" | b"icmpv6" => Some(58),
            name => self.protocols().number(name),
        }
    }

    fn user(&self, name: &[u8]) -> Option<u32> {
        uzers::get_user_by_name(OsStr::from_bytes(name)).map(|user| user.uid())
    }

    fn group(&self, name: &[u8]) -> Option<u32> {
        uzers::get_group_by_name(OsStr::from_bytes(name)).map(|group| group.gid())
    }

    fn netns(&self, name: &[u8]) -> Option<u64> {
        let netns = match name {
            b"self" => netns::current(),
            name => netns::named(OsStr::from_bytes(name)),
        };
        netns.map(|netns| netns.0)
    }

    fn socket_file(&self, path: &OsStr) -> Option<UnixFile> {
        let status = rustix::fs::stat(path).ok()?;
        let (major, minor) = (rustix::fs::major(status.st_dev), rustix::fs::minor(status.st_dev));
        let is_socket = FileType::from_raw_mode(status.st_mode) == FileType::Socket;
        // sock_diag gives the low half of the inode, and the device as the kernel has it.
        is_socket.then_some(UnixFile { inode: status.st_ino as u32, device: major << 20 | minor })
    }
}

impl Facts for Names {
    fn cgroup_path(&self, id: u64) -> Option<&[u8]> {
        self.cgroups.path(id)
    }

    fn group_of(&self, pid: u32) -> Option<u32> {
        self.groups.of(&self.options.proc_root, pid)
    }
}

fn ephemeral(text: &[u8]) -> Option<EphemeralPorts> {
    let mut ports = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    Some(EphemeralPorts(ports.next()?.parse().ok()?..=ports.next()?.parse().ok()?))
}

fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests;
