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
use crate::listeners::{Listeners, Place, Queue, Service};
use crate::netns::{self, Namespace};
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
        let place = Place { id: netns::current(), name: None };
        let listeners = Listeners::default();
        ServicePrinter { out, form, known, place, shows_netns: false, listeners }
    }

    /// What follows is of this network namespace.
    pub fn enter(&mut self, namespace: &Namespace) {
        self.shows_netns = true;
        self.place = Place { id: Some(namespace.id), name: namespace.name.clone() };
    }

    pub fn socket(&mut self, socket: &Socket<'_>) {
        self.known.add_listener(&mut self.listeners, &self.place, socket);
    }

    pub fn heading(&self) -> Vec<(String, Align)> {
        let netns = self.shows_netns.then_some("Netns");
        let names = netns.into_iter().chain(HEADINGS);
        names.map(|name| (name.to_owned(), Align::Left)).collect()
    }

    /// What [`ServicePrinter::finish`] would write, line by line.
    pub fn into_records(mut self) -> Vec<(Key, Record)> {
        let services = std::mem::take(&mut self.listeners).into_services();
        let keys = services.iter().map(|service| Key::Service(service.key()));
        match self.form {
            Form::Columns(_) => {
                let rows = self.rows(&services, Header::Hidden).into_iter();
                let text = |cell: &Vec<u8>| String::from_utf8_lossy(cell).into_owned();
                keys.zip(rows.map(|row| Record::Cells(row.iter().map(text).collect()))).collect()
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
                columns(self.rows(&services, header), &mut text);
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

    fn rows(&self, services: &[Service], header: Header) -> Vec<Vec<Vec<u8>>> {
        let mut rows: Vec<Vec<Vec<u8>>> = Vec::new();
        if header == Header::Shown {
            let mut row: Vec<_> = HEADINGS.map(|name| name.as_bytes().to_vec()).into();
            if self.shows_netns {
                row.insert(0, b"Netns".to_vec());
            }
            rows.push(row);
        }
        rows.extend(services.iter().map(|service| {
            let mut row = row(service, &self.known);
            if self.shows_netns {
                row.insert(0, field(|out| netns(&service.place, out)));
            }
            row
        }));
        rows
    }
}

const HEADINGS: [&str; 8] =
    ["Netid", "Local", "Service", "Reach", "Queue", "Sockets", "Container", "Process"];

fn columns(rows: Vec<Vec<Vec<u8>>>, out: &mut Vec<u8>) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let (last, others) = row.split_last().unwrap_or((const { &Vec::new() }, &[]));
        for (field, width) in others.iter().zip(&widths) {
            out.extend_from_slice(field);
            out.resize(out.len() + width - field.len() + 1, b' ');
        }
        out.extend_from_slice(last);
        out.push(b'\n');
    }
}

/// The services of one namespace.
pub fn table(services: &[Service], known: &Known<'_>) -> Table {
    let mut table = Table::new(HEADINGS.map(|name| (name.to_owned(), Align::Left)));
    for service in services {
        let cells = row(service, known).into_iter();
        table.row(cells.map(|cell| String::from_utf8_lossy(&cell).into_owned()));
    }
    table
}

/// No field is empty, none has a blank inside.
fn field(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut text = Vec::new();
    write(&mut text);
    if text.is_empty() {
        text.push(b'-');
    }
    text.iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'_');
    text
}

fn netns(place: &Place, out: &mut Vec<u8>) {
    match (&place.name, place.id) {
        (Some(name), _) => escape::path(out, name),
        (None, Some(id)) => write_to(out, format_args!("{}", id.0)),
        (None, None) => {}
    }
}

fn row(service: &Service, known: &Known<'_>) -> Vec<Vec<u8>> {
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
    vec![
        field(|out| out.extend_from_slice(service.table.netid().as_bytes())),
        field(local),
        field(name),
        field(|out| out.extend_from_slice(service.reach().name().as_bytes())),
        field(queue),
        field(|out| write_to(out, format_args!("{}", service.inodes.len()))),
        field(container),
        field(|out| holders(&service.inodes, known, out)),
    ]
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
