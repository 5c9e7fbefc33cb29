//! Where events happen: the names of network namespaces, and the containers of owners. A trace goes
//! on for days, so names that are given meanwhile are found, and those taken away are forgotten.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::time::{ClockId, clock_gettime};

use super::row::Word;
use crate::container::{Home, Homes};
use crate::event::{Learnt, Owner, SinceBoot, Subject};
use crate::names::{NameOptions, Names};
use crate::netns::{self, GivenNames};
use crate::procfs;
use crate::render::number::unsigned;
use crate::render::{address, escape};
use crate::socket::NetnsId;

/// Which columns are there that need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// Where there may be more than one.
    pub netns: bool,
    /// On request.
    pub container: bool,
}

pub(super) struct Places {
    pub(super) shown: Shown,
    /// That of the first process, which containers may share.
    host: Option<u64>,
    given: GivenNames,
    /// Those named after the container whose they are.
    learnt: FxHashMap<u32, Vec<u8>>,
    cgroups: Names,
    homes: Homes,
    by_cgroup: FxHashMap<u64, Rc<Home>>,
    /// The second in which names were read, and the namespaces that were met in it.
    read: i64,
    met: FxHashSet<u32>,
    /// What was written last of each that has this place: most events share theirs with one of
    /// those before.
    owners: [Written<Owner, OwnerText>; OWNERS],
    addresses: [Written<Ipv4Addr, Word>; ADDRESSES],
    netns: Written<NetnsKey, Field>,
}

/// All that the name of a namespace depends on: its number, the second, and the control group.
type NetnsKey = (u32, u64, Option<u64>);

/// A name of 16 bytes, a number of ten digits in brackets, and a mark; blanks; and how long it is
/// without them.
type OwnerText = ([u8; 32], usize);

const OWNERS: usize = 32;
const ADDRESSES: usize = 64;

impl Places {
    pub(super) fn new(shown: Shown) -> Places {
        let proc_root = procfs::root();
        let host = fs::metadata(proc_root.join("1/ns/net")).ok().map(|file| file.ino());
        let options =
            NameOptions { numeric: true, resolve_hosts: false, proc_root: proc_root.clone() };
        Places {
            shown,
            host,
            given: GivenNames::default(),
            learnt: FxHashMap::default(),
            cgroups: Names::new(options),
            homes: Homes::new(proc_root),
            by_cgroup: FxHashMap::default(),
            read: i64::MIN,
            met: FxHashSet::default(),
            owners: [const { Written { of: None, text: ([b' '; 32], 0) } }; OWNERS],
            addresses: [const { Written { of: None, text: ([b' '; 16], 0) } }; ADDRESSES],
            netns: Written { of: None, text: Field::Long(Vec::new()) },
        }
    }

    /// The name of the socket's namespace, or its number; one word.
    #[inline(always)]
    pub(super) fn netns(&mut self, socket: &Subject, at: SinceBoot) -> &Field {
        let second = at.nanos / 1_000_000_000;
        // What is learnt from another group is written in between.
        let key = (socket.netns, second, socket.owner.as_ref().map(|owner| owner.cgroup_id));
        if self.netns.of != Some(key) {
            self.netns = Written { of: Some(key), text: self.netns_field(socket) };
        }
        &self.netns.text
    }

    #[cold]
    fn netns_field(&mut self, socket: &Subject) -> Field {
        let mut text = Vec::new();
        match (self.netns_name(socket), socket.netns) {
            (Some(name), _) => word(&mut text, name),
            (None, 0) => text.push(b'-'),
            (None, id) => unsigned(&mut text, id.into()),
        }
        Field::of(text)
    }

    /// What `ip netns` calls it, or else the container or pod whose it is.
    pub(super) fn netns_name(&mut self, socket: &Subject) -> Option<&[u8]> {
        if socket.netns == 0 || !self.shown.netns {
            return None;
        }
        self.renew(socket.netns);
        let id = NetnsId(socket.netns.into());
        if self.given.of(id).is_none()
            && self.host != Some(id.0)
            && !self.learnt.contains_key(&socket.netns)
            && let Some(home) = socket.owner.as_ref().and_then(|owner| self.home(owner))
            && let Some(name) = netns::network_name(&home)
        {
            self.learnt.insert(socket.netns, name);
        }
        self.given.of(id).or_else(|| self.learnt.get(&socket.netns).map(Vec::as_slice))
    }

    /// See [`owner_text`].
    #[inline(always)]
    pub(super) fn owner(&mut self, owner: &Owner) -> &OwnerText {
        // A process is told as the owner of a listener and as one by itself, in turn.
        let place = owner.pid as usize * 2 + usize::from(owner.learnt == Learnt::Listener);
        let written = &mut self.owners[place % OWNERS];
        if written.of.as_ref() != Some(owner) {
            *written = Written { of: Some(*owner), text: owner_text(owner) };
        }
        &written.text
    }

    /// See [`address::ipv4_text`].
    #[inline(always)]
    pub(super) fn ipv4(&mut self, addr: Ipv4Addr) -> &Word {
        // A hash: those of one network, and the first of several networks, have places of their own.
        let place = u32::from_ne_bytes(addr.octets()).wrapping_mul(0x9e37_79b1) >> 16;
        let written = &mut self.addresses[place as usize % ADDRESSES];
        if written.of != Some(addr) {
            *written = Written { of: Some(addr), text: address::ipv4_text(&addr) };
        }
        &written.text
    }

    /// The container, pod or unit of an owner; one word.
    pub(super) fn container(&mut self, out: &mut Vec<u8>, owner: Option<&Owner>) {
        let home = owner.and_then(|owner| self.home(owner));
        match home.and_then(|home| home.label()) {
            Some(label) => word(out, label.as_bytes()),
            None => out.push(b'-'),
        }
    }

    /// Where an owner is at home, which was asked for or not.
    fn home(&mut self, owner: &Owner) -> Option<Rc<Home>> {
        if let Some(home) = self.by_cgroup.get(&owner.cgroup_id) {
            return Some(home.clone());
        }
        let home = match self.cgroups.cgroup_path(owner.cgroup_id) {
            Some(path) => self.homes.of_cgroup(path),
            // A cgroup that is newer than the names: its process may still be there.
            None => self.homes.of_process(owner.pid)?,
        };
        self.by_cgroup.insert(owner.cgroup_id, home.clone());
        Some(home)
    }

    /// Where an owner is at home, if that was asked for.
    pub(super) fn home_to_tell(&mut self, owner: &Owner) -> Option<Rc<Home>> {
        if self.shown.container { self.home(owner) } else { None }
    }

    /// Reads the names of namespaces anew, but not for each event: when a second has gone, or for a
    /// namespace that was not met in it.
    fn renew(&mut self, id: u32) {
        let second = second();
        if second != self.read {
            self.met.clear();
            self.learnt.clear();
        }
        if self.met.insert(id) {
            self.read = second;
            self.given = GivenNames::read();
        }
    }
}

/// The text of a field.
pub(super) enum Field {
    /// With blanks behind it, and how long it is: copied in one piece, and without a call.
    Short([u8; 32], usize),
    Long(Vec<u8>),
}

impl Field {
    fn of(text: Vec<u8>) -> Field {
        let mut short = [b' '; 32];
        match short.get_mut(..text.len()) {
            Some(start) => {
                start.copy_from_slice(&text);
                Field::Short(short, text.len())
            }
            None => Field::Long(text),
        }
    }
}

/// The second that goes by.
fn second() -> i64 {
    clock_gettime(ClockId::MonotonicCoarse).tv_sec
}

/// A text, and what it was written for.
pub(super) struct Written<T, Text> {
    pub(super) of: Option<T>,
    pub(super) text: Text,
}

/// The process; one word.
#[cold]
pub(super) fn owner_text(owner: &Owner) -> OwnerText {
    // Anybody can choose the name of a process: it must neither split lines nor steer a terminal.
    let comm = owner.comm.map(|byte| match byte {
        b'!'..=b'~' => byte,
        b' ' => b'_',
        0..=0x7f => b'.',
        _ => b'?',
    });
    let name = &comm[..owner.comm().len()];
    let mut pid = itoa::Buffer::new();
    let pid = pid.format(owner.pid).as_bytes();
    let mark: &[u8] = if owner.learnt == Learnt::Listener { b"*" } else { b"" };
    let (mut text, mut length) = ([b' '; 32], 0);
    for part in [name, b"[", pid, b"]", mark] {
        text[length..][..part.len()].copy_from_slice(part);
        length += part.len();
    }
    (text, length)
}

/// Names that others chose, without a blank or anything that steers a terminal.
fn word(out: &mut Vec<u8>, name: &[u8]) {
    let start = out.len();
    escape::path(out, name);
    out[start..].iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'_');
    if out.len() == start {
        out.push(b'-');
    }
}
