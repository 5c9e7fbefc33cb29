//! Plan -> page -> render, for `socktrace report`: what a ticket about this host needs.
//!
//! Of processes it knows name, number and user. Arguments and environments are never read: a page
//! that is passed on must not carry a password.

pub mod page;
pub mod talkers;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};

use self::page::{Host, Page};
use self::talkers::Talkers;
use crate::audit::{self, AuditPlan, audited};
use crate::cli::plan::Scope;
use crate::container::Homes;
use crate::counts::{Counts, Grouping, Key};
use crate::diag::ahead::each_inet;
use crate::diag::inet::Extensions;
use crate::diag::{DiagError, DiagSocket, unix};
use crate::diagnose::gather::of_the_host;
use crate::diagnose::rule::Overrides;
use crate::diagnose::rules::RULES;
use crate::listeners::Listeners;
use crate::names::{NameOptions, Names};
use crate::netns::Place;
use crate::owner::Owners;
use crate::procfs;
use crate::procfs::summary::Summary;
use crate::render;
use crate::render::audit::Style;
use crate::render::known::Known;
use crate::snapshot::scope;
use crate::socket::{Inet, Socket, State, StateSet, Table, TableSet};

/// What goes onto the page, and how it is written.
pub struct ReportPlan {
    /// For how long the findings watch; `None` for a snapshot.
    pub watch: Option<Duration>,
    pub netns: Scope,
    /// How many of the connections that carried most.
    pub top: usize,
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Markdown,
    /// One object.
    Json,
}

/// Makes the page and writes it.
pub fn run(plan: &ReportPlan, out: &mut dyn Write, style: Style) -> Result<()> {
    let homes = Homes::new(procfs::root());
    let host = of_the_host();
    scope::enter(&plan.netns, &homes)?;
    let judging = AuditPlan {
        rules: RULES.to_vec(),
        overrides: Overrides::default(),
        watch: plan.watch,
        netns: Scope::Here,
        format: audit::Format::Text,
    };
    let (mut audited, owners) = audited(&judging, host, &homes)?;
    audited.list_in(plan.netns.word());
    let names =
        Names::new(NameOptions { numeric: false, resolve_hosts: false, proc_root: procfs::root() });
    let known = Known { names: &names, owners: Some(&owners), homes: Some(&homes) };
    let (summary, problems) = Summary::read();
    let mut unseen = audited.unseen.clone();
    unseen.extend(problems.iter().map(ToString::to_string));
    let tables = Tables::list(plan.top, known, &owners, &mut unseen)?;
    let page = Page {
        host: Host::this(),
        summary,
        states: tables.states,
        services: tables.listeners.into_services(),
        talkers: tables.talkers.into_most(),
        audited,
        rules: judging.rules,
        unseen,
        known,
    };
    let mut text = Vec::new();
    match plan.format {
        Format::Text => render::report::text(&mut text, &page, style),
        Format::Markdown => render::report::markdown(&mut text, &page),
        Format::Json => render::json::report::page(&mut text, &page),
    }
    out.write_all(&text).and_then(|()| out.flush()).context("cannot write the report")
}

/// What the sockets come to as they stream by, each table once.
struct Tables<'a> {
    known: Known<'a>,
    place: Place,
    states: Counts<'a>,
    listeners: Listeners,
    talkers: Talkers,
}

impl<'a> Tables<'a> {
    /// A table that cannot be listed is told in `unseen`; without TCP there is no page.
    fn list(
        top: usize,
        known: Known<'a>,
        owners: &'a Owners,
        unseen: &mut Vec<String>,
    ) -> Result<Tables<'a>> {
        let by = Grouping { by: vec![Key::Netid, Key::State], top: None };
        let ports = known.names.ephemeral_ports().clone();
        let mut tables = Tables {
            known,
            place: Place::here(),
            states: Counts::new(by, Some(owners), ports, Place::here()),
            listeners: Listeners::default(),
            talkers: Talkers::new(top),
        };
        let info = Extensions::INFO;
        each_inet(Table::Tcp, StateSet::ALL, info, &mut |socket| tables.tcp(socket))
            .context("cannot list the TCP sockets")?;
        let none = Extensions::default();
        let listening = StateSet::of(&[State::Listen]);
        let mptcp = each_inet(Table::Mptcp, listening, none, &mut |socket| {
            tables.listener(&Socket::Inet(socket.clone()));
        });
        let udp = each_inet(Table::Udp, StateSet::ALL, none, &mut |socket| tables.udp(socket));
        let unix = tables.unix();
        for (what, result) in [("MPTCP", mptcp), ("UDP", udp), ("UNIX", unix)] {
            let Err(error) = result else { continue };
            let is_missing = error.downcast_ref().is_some_and(DiagError::is_missing_table);
            if what != "MPTCP" || !is_missing {
                unseen.push(format!("{what} sockets: {error:#}"));
            }
        }
        Ok(tables)
    }

    fn tcp(&mut self, socket: &Inet<'_>) {
        self.talkers.add(socket);
        let socket = Socket::Inet(socket.clone());
        self.states.add(&socket);
        self.listener(&socket);
    }

    fn udp(&mut self, socket: &Inet<'_>) {
        let socket = Socket::Inet(socket.clone());
        self.states.add(&socket);
        self.listener(&socket);
    }

    fn listener(&mut self, socket: &Socket<'_>) {
        self.known.add_listener(&mut self.listeners, &self.place, socket);
    }

    fn unix(&mut self) -> Result<()> {
        let request = unix::Request {
            tables: TableSet::of(&[Table::UnixStream, Table::UnixDgram, Table::UnixSeqpacket]),
            states: StateSet::ALL,
            extensions: unix::Extensions::default(),
        };
        let end = request.dump(&mut DiagSocket::open()?, &mut |socket| {
            self.states.add(socket);
            Ok(())
        });
        Ok(end.map(drop)?)
    }
}
