//! The view of `socktrace listen`: a line per service.

use std::io::{self, Write};

use super::escape;
use super::inet::{host, transport};
use super::json::listing::Framing;
use super::json::service;
use super::json::write::Object;
use super::known::Known;
use super::number::write_to;
use super::show::Header;
use crate::listeners::{Listeners, Place, Queue, Service};
use crate::netns::{self, Namespace};
use crate::socket::Socket;

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
        let known = self.known;
        let interface = |index| {
            let mut name = Vec::new();
            known.names.interface(index, &mut name);
            name
        };
        self.listeners.add(&self.place, socket, interface, || known.home(socket));
    }

    pub fn finish(&mut self) -> io::Result<()> {
        let services = std::mem::take(&mut self.listeners).into_services();
        let mut text = Vec::new();
        match self.form {
            Form::Columns(header) => self.columns(&services, header, &mut text),
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

    fn columns(&self, services: &[Service], header: Header, out: &mut Vec<u8>) {
        let mut rows: Vec<Vec<Vec<u8>>> = Vec::new();
        if header == Header::Shown {
            let mut row: Vec<_> = ["Netid", "Local", "Service", "Reach", "Queue", "Sockets"]
                .into_iter()
                .chain(["Container", "Process"])
                .map(|name| name.as_bytes().to_vec())
                .collect();
            if self.shows_netns {
                row.insert(0, b"Netns".to_vec());
            }
            rows.push(row);
        }
        rows.extend(services.iter().map(|service| self.row(service)));
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

    /// No field is empty, none has a blank inside.
    fn row(&self, service: &Service) -> Vec<Vec<u8>> {
        let mut row = Vec::new();
        let mut field = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut text = Vec::new();
            write(&mut text);
            if text.is_empty() {
                text.push(b'-');
            }
            text.iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'_');
            row.push(text);
        };
        if self.shows_netns {
            field(&|out| match (&service.place.name, service.place.id) {
                (Some(name), _) => escape::path(out, name),
                (None, Some(id)) => write_to(out, format_args!("{}", id.0)),
                (None, None) => {}
            });
        }
        field(&|out| out.extend_from_slice(service.table.netid().as_bytes()));
        field(&|out| {
            host(out, self.known.names, service.local.addr);
            if let Some((_, name)) = &service.interface {
                out.push(b'%');
                escape::path(out, name);
            }
            write_to(out, format_args!(":{}", service.local.port));
        });
        field(&|out| {
            let transport = transport(service.table);
            let name = transport
                .and_then(|transport| self.known.names.service(service.local.port, transport));
            escape::path(out, name.unwrap_or_default());
        });
        field(&|out| out.extend_from_slice(service.reach().name().as_bytes()));
        field(&|out| match service.queue {
            Queue::Accept { waiting, limit } => write_to(out, format_args!("{waiting}/{limit}")),
            Queue::Bytes(bytes) => write_to(out, format_args!("{bytes}B")),
        });
        field(&|out| write_to(out, format_args!("{}", service.inodes.len())));
        field(&|out| {
            let label = service.home.as_ref().and_then(|home| home.label());
            escape::path(out, label.unwrap_or_default().as_bytes());
        });
        field(&|out| self.holders(service, out));
        row
    }

    /// The processes that hold it, each once: `nginx[7],nginx[8],+2`.
    fn holders(&self, service: &Service, out: &mut Vec<u8>) {
        let mut pids: Vec<u32> = Vec::new();
        let holders = service.inodes.iter().flat_map(|inode| self.known.holders(*inode));
        for holder in holders {
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
}
