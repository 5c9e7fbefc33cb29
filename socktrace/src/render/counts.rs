//! Counts of sockets, as a table or as JSON.

use std::io::{self, Write};

use super::json::Object;
use super::json::address::ip;
use super::json::listing::Framing;
use super::json::local::unix_name;
use super::json::netns::netns;
use super::listeners::Form;
use super::record::Record;
use super::show::Header;
use super::table::{Align, Table};
use super::{address, escape};
use crate::changes as listed;
use crate::counts::{Count, Counts, Key, Part};
use crate::filter::Transport;
use crate::names::Names;
use crate::netns::Namespace;
use crate::socket::Socket;

/// Counts on their way to `out`, where they are written once all sockets are counted.
pub struct CountsListing<'a, 'w> {
    pub out: &'w mut dyn Write,
    pub counts: Counts<'a>,
    pub names: &'a Names,
    pub form: Form,
}

impl CountsListing<'_, '_> {
    /// What follows is of this network namespace.
    pub fn enter(&mut self, namespace: &Namespace) {
        self.counts.enter(namespace.place());
    }

    pub fn socket(&mut self, socket: &Socket<'_>) {
        self.counts.add(socket);
    }

    pub fn finish(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        match self.form {
            Form::Columns(header) => {
                let has_heading = header == Header::Shown;
                table(&self.counts, self.names).write(&mut text, "", has_heading);
            }
            Form::Json(framing) => self.json(&mut text, framing),
        }
        self.out.write_all(&text)?;
        self.out.flush()
    }

    /// What [`CountsListing::finish`] would write, line by line.
    pub fn into_records(self) -> Vec<(listed::Key, Record)> {
        let rows = rows(&self.counts, self.names);
        let keys = rows.iter().map(|(group, _)| listed::Key::Group(group.clone()));
        match self.form {
            Form::Columns(_) => {
                let cells = rows.iter().map(|(_, cells)| Record::Cells(cells.clone()));
                keys.zip(cells).collect()
            }
            Form::Json(_) => {
                let groups = self.counts.groups().into_iter().map(|(group, count)| {
                    let mut text = Vec::new();
                    json(&mut Object::new(&mut text), group, count, &self.counts, self.names);
                    Record::Object(text)
                });
                keys.zip(groups).collect()
            }
        }
    }

    fn json(&self, out: &mut Vec<u8>, framing: Framing) {
        let groups = self.counts.groups();
        let is_empty = groups.is_empty();
        for (number, (group, count)) in groups.into_iter().enumerate() {
            out.extend_from_slice(framing.before(number == 0));
            json(&mut Object::new(out), group, count, &self.counts, self.names);
            out.extend_from_slice(framing.after());
        }
        out.extend_from_slice(framing.end(is_empty));
    }
}

/// A row per group, and one for all of them if there are several.
pub fn table(counts: &Counts<'_>, names: &Names) -> Table {
    let mut table = Table::new(heading(counts));
    rows(counts, names).into_iter().for_each(|(_, row)| table.row(row));
    table
}

pub fn heading(counts: &Counts<'_>) -> Vec<(String, Align)> {
    let keys = counts.by().iter().map(|key| (column(*key), align(*key)));
    let numbers = [("Sockets", Align::Right), ("Share", Align::Right)];
    let states = (!counts.by().contains(&Key::State)).then_some(("States", Align::Left));
    let all = keys.chain(numbers).chain(states);
    all.map(|(name, align)| (name.to_owned(), align)).collect()
}

/// The cells that tell the group, and all of its row.
fn rows(counts: &Counts<'_>, names: &Names) -> Vec<(Vec<String>, Vec<String>)> {
    let has_states = !counts.by().contains(&Key::State);
    let total = counts.total();
    let row = |keys: Vec<String>, count: Count| {
        let share = format!("{:.1}%", share(count, total));
        let states = has_states.then(|| states(count));
        let numbers = [count.sockets.to_string(), share];
        let cells = keys.iter().cloned().chain(numbers).chain(states).collect();
        (keys, cells)
    };
    let groups = counts.groups().into_iter().map(|(group, count)| {
        row(group.iter().map(|part| text(*part, counts, names)).collect(), count)
    });
    let all = (counts.len() != 1).then(|| {
        let mut keys = vec![String::new(); counts.by().len()];
        keys[0] = "all".to_owned();
        row(keys, total)
    });
    groups.chain(all).collect()
}

fn column(key: Key) -> &'static str {
    match key {
        Key::Netns => "Netns",
        Key::Netid => "Netid",
        Key::State => "State",
        Key::Process => "Process",
        Key::User => "User",
        Key::Cgroup => "Cgroup",
        Key::Local => "Local",
        Key::Peer => "Peer",
        Key::Port => "Port",
        Key::LocalPort => "Local port",
        Key::PeerPort => "Peer port",
    }
}

fn align(key: Key) -> Align {
    match key {
        Key::User => Align::Right,
        _ => Align::Left,
    }
}

fn share(count: Count, total: Count) -> f64 {
    if total.sockets == 0 { 0.0 } else { count.sockets as f64 * 100.0 / total.sockets as f64 }
}

fn states(count: Count) -> String {
    let states = count.states().into_iter();
    states.map(|(state, count)| format!("{} {count}", state.name())).collect::<Vec<_>>().join(", ")
}

fn text(part: Part, counts: &Counts<'_>, names: &Names) -> String {
    let mut out = Vec::new();
    match part {
        Part::None => out.push(b'-'),
        Part::Netns(index) => escape::path(&mut out, &counts.place(index).label()),
        Part::Netid(table) => out.extend_from_slice(table.netid().as_bytes()),
        Part::State(state) => out.extend_from_slice(state.name().as_bytes()),
        Part::Process(index) => {
            let (pid, comm) = counts.process(index);
            escape::process_name(&mut out, comm);
            out.extend_from_slice(format!("[{pid}]").as_bytes());
        }
        Part::User(uid) => out.extend_from_slice(uid.to_string().as_bytes()),
        Part::Cgroup(id) => {
            let mut path = Vec::new();
            names.cgroup(id, &mut path);
            escape::path(&mut out, &path);
        }
        Part::Addr(addr) => {
            if !names.host(addr, &mut out) {
                address::ip(&mut out, &addr);
            }
        }
        Part::Name(index) => escape::path(&mut out, counts.name(index)),
        Part::Port(port) => names.port(port, Transport::Tcp, &mut out),
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One group as an object.
pub fn json(
    object: &mut Object<'_>,
    group: &[Part],
    count: Count,
    counts: &Counts<'_>,
    names: &Names,
) {
    let parts = || counts.by().iter().copied().zip(group.iter().copied());
    for (key, part) in parts() {
        if end_of(key).is_none() {
            member(object, part, counts, names);
        }
    }
    for end in ["local", "peer"] {
        let mut of_end = parts().filter(|(key, _)| end_of(*key) == Some(end)).peekable();
        if of_end.peek().is_some() {
            let mut object = object.object(end);
            of_end.for_each(|(_, part)| member(&mut object, part, counts, names));
        }
    }
    object.value("sockets", count.sockets);
    object.value("share_percent", (share(count, counts.total()) * 100.0).round() / 100.0);
    if !counts.by().contains(&Key::State) {
        let mut states = object.object("states");
        count.states().into_iter().for_each(|(state, count)| states.value(state.name(), count));
    }
}

/// The end of a socket that a key is about.
fn end_of(key: Key) -> Option<&'static str> {
    match key {
        Key::Local | Key::LocalPort => Some("local"),
        Key::Peer | Key::PeerPort => Some("peer"),
        _ => None,
    }
}

fn member(object: &mut Object<'_>, part: Part, counts: &Counts<'_>, names: &Names) {
    match part {
        Part::None => {}
        Part::Netns(index) => netns(object, counts.place(index)),
        Part::Netid(table) => object.value("netid", table.netid()),
        Part::State(state) => object.value("state", state.name()),
        Part::Process(index) => {
            let (pid, comm) = counts.process(index);
            let mut process = object.object("process");
            process.value("pid", pid);
            process.bytes("comm", comm);
        }
        Part::User(uid) => object.value("uid", uid),
        Part::Cgroup(id) => {
            let mut path = Vec::new();
            names.cgroup(id, &mut path);
            object.bytes("cgroup", &path);
        }
        Part::Addr(addr) => ip(object, "addr", &addr),
        Part::Name(index) => unix_name(object, Some(counts.name(index))),
        Part::Port(port) => object.value("port", port),
    }
}
