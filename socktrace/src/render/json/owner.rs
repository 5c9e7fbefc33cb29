//! Who holds a socket.

use super::write::Object;
use crate::container::Homes;
use crate::owner::Holder;
use crate::render::users::HolderStyle;
use crate::socket::PastOwner;

/// `owners` of a socket that is no more.
pub fn past(object: &mut Object<'_>, owner: Option<PastOwner<'_>>) {
    let mut list = object.array("owners");
    if let Some(PastOwner { pid, comm, .. }) = owner {
        let mut owner = list.object();
        owner.value("pid", pid);
        owner.bytes("comm", comm);
    }
}

/// `owners`: a list, empty where nobody is known to hold the socket. With `inside`, each has the pid
/// in its own namespace too.
pub fn owners<'a>(
    object: &mut Object<'_>,
    holders: impl Iterator<Item = Holder<'a>>,
    style: HolderStyle,
    inside: Option<&Homes>,
) {
    let mut list = object.array("owners");
    for holder in holders {
        let mut owner = list.object();
        owner.value("pid", holder.pid);
        if let Some(pid) = inside.and_then(|homes| homes.inner_pid(holder.pid)) {
            owner.value("nspid", pid);
        }
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
    }
}
