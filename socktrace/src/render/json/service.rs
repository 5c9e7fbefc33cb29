//! A line of `socktrace listen`.

use super::netns::netns;
use super::owner::Extras;
use super::write::Object;
use super::{address, home, owner};
use crate::listeners::{Queue, Service};
use crate::render::inet::transport;
use crate::render::known::Known;
use crate::render::users::HolderStyle;
use crate::socket::Family;

pub fn service(object: &mut Object<'_>, service: &Service, known: &Known<'_>) {
    object.value("netid", service.table.netid());
    object.value("family", if service.family == Family::Inet6 { "inet6" } else { "inet" });
    {
        let mut local = object.object("local");
        address::inet_end(&mut local, &service.local);
        let transport = transport(service.table);
        let name = transport.and_then(|t| known.names.service(service.local.port, t));
        if let Some(name) = name {
            local.bytes("service", name);
        }
        if let Some((index, name)) = &service.interface {
            local.value("ifindex", index);
            local.bytes("interface", name);
        }
    }
    object.known("v6only", service.v6only);
    object.value("reach", service.reach().name());
    object.value("sockets", service.inodes.len());
    match service.queue {
        Queue::Accept { waiting, limit } => {
            object.value("accept_queue", waiting);
            object.value("accept_limit", limit);
        }
        Queue::Bytes(bytes) => object.value("queue_bytes", bytes),
    }
    object.value("uid", service.uid);
    netns(object, &service.place);
    if let Some(place) = &service.home {
        home::home(object, place);
    }
    let extras = Extras { inner_pids: true, homes: true };
    owner::owners(object, known, service.inodes.iter().copied(), HolderStyle::Process, extras);
}
