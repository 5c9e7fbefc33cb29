//! Who holds a socket.

use super::home::home;
use super::write::Object;
use crate::render::known::Known;
use crate::render::users::HolderStyle;
use crate::socket::{Inode, PastOwner};

/// `owners` of a socket that is no more.
pub fn past(object: &mut Object<'_>, owner: Option<PastOwner<'_>>) {
    let mut list = object.array("owners");
    if let Some(PastOwner { pid, comm, .. }) = owner {
        let mut owner = list.object();
        owner.value("pid", pid);
        owner.bytes("comm", comm);
    }
}

/// What is told of each owner on request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras {
    /// The pid in its own pid namespace.
    pub inner_pids: bool,
    /// Its container, pod or unit.
    pub homes: bool,
}

/// `owners` of one socket, or of several that are one service: a list, empty where nobody is known
/// to hold any.
pub fn owners(
    object: &mut Object<'_>,
    known: &Known<'_>,
    inodes: impl IntoIterator<Item = Inode>,
    style: HolderStyle,
    extras: Extras,
) {
    let mut list = object.array("owners");
    for holder in inodes.into_iter().flat_map(|inode| known.holders(inode)) {
        let mut owner = list.object();
        owner.value("pid", holder.pid);
        let inner_pid = known.homes.filter(|_| extras.inner_pids);
        owner.known("nspid", inner_pid.and_then(|homes| homes.inner_pid(holder.pid)));
        if style == HolderStyle::Thread {
            owner.value("tid", holder.tid);
        }
        owner.bytes("comm", holder.comm);
        owner.value("fd", holder.fd);
        for (key, context) in
            [("process_context", holder.process_context), ("socket_context", holder.socket_context)]
        {
            if let Some(context) = context {
                owner.bytes(key, context);
            }
        }
        let place = known.homes.filter(|_| extras.homes);
        if let Some(place) = place.and_then(|homes| homes.of_process(holder.pid)) {
            home(&mut owner, &place);
        }
    }
}
