//! The view of `socktrace listen`: a line per service.

use std::io::{self, Write};

use super::escape;
use super::inet::{host, transport};
use super::json::listing::Framing;
use super::json::service;
use super::json::write::Object;
use super::known::Known;
use super::number::write_to;
use super::record::Record;
use super::show::Header;
use super::table::{Align, Table};
use crate::changes::Key;
use crate::listeners::{Listeners, Queue, Service};
use crate::netns::{Namespace, Place};
use crate::socket::{Inode, Socket};

/// How many holders of one service are named.
const NAMED_HOLDERS: usize = 3;

/// What the lines are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Columns(Header),
    Json(Framing),
}

/// Collects services, and prints them at the end.
pub struct ServicePrinter<'a, 'w> {
    out: &'w mut dyn Write,
    form: Form,
    known: Known<'a>,
    place: Place,
    /// Whether there may be services of several namespaces.
    shows_netns: bool,
    listeners: Listeners,
}

impl<'a, 'w> ServicePrinter<'a, 'w> {
    pub fn new(out: &'w mut dyn Write, form: Form, known: Known<'a>) -> ServicePrinter<'a, 'w> {
        let (place, listeners) = (Place::here(), Listeners::default());
        ServicePrinter { out, form, known, place, shows_netns: false, listeners }
    }

    /// What follows is of this network namespace.
    pub fn enter(&mut self, namespace: &Namespace) {
        self.shows_netns = true;
        self.place = namespace.place();
    }

    pub fn socket(&mut self, socket: &Socket<'_>) {
        self.known.add_listener(&mut self.listeners, &self.place, socket);
    }

    pub fn heading(&self) -> Vec<(String, Align)> {
        heading(self.shows_netns)
    }

    /// What [`ServicePrinter::finish`] would write, line by line.
    pub fn into_records(mut self) -> Vec<(Key, Record)> {
        let services = std::mem::take(&mut self.listeners).into_services();
        let keys = services.iter().map(|service| Key::Service(service.key()));
        match self.form {
            Form::Columns(_) => {
                let rows = services.iter().map(|one| row(one, &self.known, self.shows_netns));
                keys.zip(rows.map(Record::Cells)).collect()
            }
            Form::Json(_) => {
                let objects = services.iter().map(|service| {
                    let mut text = Vec::new();
                    service::service(&mut Object::new(&mut text), service, &self.known);
                    Record::Object(text)
                });
                keys.zip(objects).collect()
            }
        }
    }

    pub fn finish(&mut self) -> io::Result<()> {
        let services = std::mem::take(&mut self.listeners).into_services();
        let mut text = Vec::new();
        match self.form {
            Form::Columns(header) => {
                let table = table(&services, &self.known, self.shows_netns);
                table.write(&mut text, "", header == Header::Shown);
            }
            Form::Json(framing) => {
                for (i, service) in services.iter().enumerate() {
                    text.extend_from_slice(framing.before(i == 0));
                    service::service(&mut Object::new(&mut text), service, &self.known);
                    text.extend_from_slice(framing.after());
                }
                text.extend_from_slice(framing.end(services.is_empty()));
            }
        }
        self.out.write_all(&text)?;
        self.out.flush()
    }
}

const HEADINGS: [&str; 8] =
    ["Netid", "Local", "Service", "Reach", "Queue", "Sockets", "Container", "Process"];

fn heading(shows_netns: bool) -> Vec<(String, Align)> {
    let names = shows_netns.then_some("Netns").into_iter().chain(HEADINGS);
    names.map(|name| (name.to_owned(), Align::Left)).collect()
}

pub fn table(services: &[Service], known: &Known<'_>, shows_netns: bool) -> Table {
    let mut table = Table::new(heading(shows_netns));
    services.iter().for_each(|service| table.row(row(service, known, shows_netns)));
    table
}

/// No field is empty, none has a blank inside.
fn field(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut text = Vec::new();
    write(&mut text);
    if text.is_empty() {
        text.push(b'-');
    }
    String::from_utf8_lossy(&text).replace(' ', "_")
}

fn row(service: &Service, known: &Known<'_>, shows_netns: bool) -> Vec<String> {
    let local = |out: &mut Vec<u8>| {
        host(out, known.names, service.local.addr);
        if let Some((_, name)) = &service.interface {
            out.push(b'%');
            escape::path(out, name);
        }
        write_to(out, format_args!(":{}", service.local.port));
    };
    let name = |out: &mut Vec<u8>| {
        let name = transport(service.table)
            .and_then(|transport| known.names.service(service.local.port, transport));
        escape::path(out, name.unwrap_or_default());
    };
    let queue = |out: &mut Vec<u8>| match service.queue {
        Queue::Accept { waiting, limit } => write_to(out, format_args!("{waiting}/{limit}")),
        Queue::Bytes(bytes) => write_to(out, format_args!("{bytes}B")),
    };
    let container = |out: &mut Vec<u8>| {
        let label = service.home.as_ref().and_then(|home| home.label());
        escape::path(out, label.unwrap_or_default().as_bytes());
    };
    let netns = shows_netns.then(|| field(|out| escape::path(out, &service.place.label())));
    let cells = [
        field(|out| out.extend_from_slice(service.table.netid().as_bytes())),
        field(local),
        field(name),
        field(|out| out.extend_from_slice(service.reach().name().as_bytes())),
        field(queue),
        field(|out| write_to(out, format_args!("{}", service.inodes.len()))),
        field(container),
        field(|out| holders(&service.inodes, known, out)),
    ];
    netns.into_iter().chain(cells).collect()
}

/// The processes that hold any of these, each once: `nginx[7],nginx[8],+2`.
pub(super) fn holders(inodes: &[Inode], known: &Known<'_>, out: &mut Vec<u8>) {
    let mut pids: Vec<u32> = Vec::new();
    for holder in inodes.iter().flat_map(|inode| known.holders(*inode)) {
        if pids.contains(&holder.pid) {
            continue;
        }
        pids.push(holder.pid);
        if pids.len() <= NAMED_HOLDERS {
            if pids.len() > 1 {
                out.push(b',');
            }
            escape::process_name(out, holder.comm);
            write_to(out, format_args!("[{}]", holder.pid));
        }
    }
    if pids.len() > NAMED_HOLDERS {
        write_to(out, format_args!(",+{}", pids.len() - NAMED_HOLDERS));
    }
}
