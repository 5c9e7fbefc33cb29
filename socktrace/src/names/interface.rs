//! Interfaces by index and by name, as the kernel of this network namespace knows them.

use std::cell::{OnceCell, RefCell};
use std::os::fd::OwnedFd;

use rustc_hash::FxHashMap;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice};

use super::number;

#[derive(Debug, Default)]
pub(super) struct Interfaces {
    socket: OnceCell<Option<OwnedFd>>,
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

    fn socket(&self) -> Option<&OwnedFd> {
        let open = || {
            let flags = SocketFlags::CLOEXEC;
            // Not a UNIX socket: it would stand in a listing of those.
            rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).ok()
        };
        self.socket.get_or_init(open).as_ref()
    }
}
