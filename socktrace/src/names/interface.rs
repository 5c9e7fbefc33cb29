//! Interfaces by index and by name, as the kernel of this network namespace knows them.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice};

use super::number;

#[derive(Debug, Default)]
pub(super) struct Interfaces {
    socket: RefCell<Option<Rc<OwnedFd>>>,
    names: RefCell<FxHashMap<u32, Option<Box<str>>>>,
}

impl Interfaces {
    pub(super) fn name(&self, ifindex: u32, out: &mut Vec<u8>) {
        let mut names = self.names.borrow_mut();
        let name = names.entry(ifindex).or_insert_with(|| {
            Some(netdevice::index_to_name(self.socket()?, ifindex).ok()?.into_boxed_str())
        });
        match name {
            Some(name) => out.extend_from_slice(name.as_bytes()),
            None => {
                out.extend_from_slice(b"if");
                number(ifindex, out);
            }
        }
    }

    pub(super) fn index(&self, name: &[u8]) -> Option<u32> {
        netdevice::name_to_index(self.socket()?, std::str::from_utf8(name).ok()?).ok()
    }

    /// Both the names and the socket are of one network namespace.
    pub(super) fn forget(&self) {
        self.names.borrow_mut().clear();
        *self.socket.borrow_mut() = None;
    }

    fn socket(&self) -> Option<Rc<OwnedFd>> {
        let mut socket = self.socket.borrow_mut();
        if socket.is_none() {
            let flags = SocketFlags::CLOEXEC;
            // Not a UNIX socket: it would stand in a listing of those.
            let opened =
                rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None);
            *socket = opened.ok().map(Rc::new);
        }
        socket.clone()
    }
}
