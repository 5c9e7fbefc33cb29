//! What is known besides the sockets themselves.

use std::rc::Rc;

use crate::container::{Home, Homes};
use crate::listeners::Listeners;
use crate::names::Names;
use crate::netns::Place;
use crate::owner::{Holder, Owners};
use crate::socket::{Inode, Socket};

/// The cgroup of what was made before there were others.
const ROOT_CGROUP: u64 = 1;

#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub names: &'a Names,
    /// Where holders are shown, or homes looked up by them.
    pub owners: Option<&'a Owners>,
    /// Where containers, or pids inside of them, are shown.
    pub homes: Option<&'a Homes>,
}

impl<'a> Known<'a> {
    pub fn names(names: &'a Names) -> Known<'a> {
        Known { names, owners: None, homes: None }
    }

    /// The container or unit that a socket was made in, or that its newest holder runs in.
    pub(crate) fn home(&self, socket: &Socket<'_>) -> Option<Rc<Home>> {
        let homes = self.homes?;
        let cgroup = socket.cgroup_id().filter(|id| *id > ROOT_CGROUP);
        let made_in = cgroup.and_then(|id| Some(homes.of_cgroup(self.names.cgroup_path(id)?)));
        made_in.filter(|home| **home != Home::default()).or_else(|| {
            let holder = self.owners?.holders(socket.inode()).next()?;
            homes.of_process(holder.pid)
        })
    }

    /// Adds a socket to the listeners, if it is one, with the names that belong to it.
    pub(crate) fn add_listener(
        &self,
        listeners: &mut Listeners,
        place: &Place,
        socket: &Socket<'_>,
    ) {
        let interface = |index| {
            let mut name = Vec::new();
            self.names.interface(index, &mut name);
            name
        };
        listeners.add(place, socket, interface, || self.home(socket));
    }

    pub(super) fn holders(&self, inode: Inode) -> impl Iterator<Item = Holder<'a>> {
        self.owners.into_iter().flat_map(move |owners| owners.holders(inode))
    }
}
