//! `--watch`: a listing again and again, with what changed since the one before.
//!
//! On a terminal it is redrawn in place, on a pipe each is a block with its time, and JSON has a
//! line per change.

mod screen;

use std::io::{self, IsTerminal, Write};
use std::iter;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use self::screen::Screen;
use super::{CANNOT_WRITE, Session, hidden};
use crate::changes::{Change, Changes, Line};
use crate::cli::plan::{Format, View};
use crate::live::has_lost_reader;
use crate::owner::Owners;
use crate::render::Printer;
use crate::render::columns::{Column, Listing};
use crate::render::json::Object;
use crate::render::json::listing::{Framing, JsonListing};
use crate::render::json::time::{Clock, now_unix_us};
use crate::render::known::Known;
use crate::render::output::Output;
use crate::render::record::{Form, Record, Recorder};
use crate::render::show::Header;
use crate::render::table::{Align, Table};

/// Lists until a signal, or until nobody reads.
pub(super) fn run(session: Session, every: Duration, out: &mut dyn Write) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(follow(session, every, out))
}

async fn follow(mut session: Session, every: Duration, out: &mut dyn Write) -> Result<()> {
    let handle = |kind| signal(kind).context("cannot handle signals");
    let mut interrupt = handle(SignalKind::interrupt())?;
    let mut terminate = handle(SignalKind::terminate())?;
    let mut resized = handle(SignalKind::window_change())?;
    let mut watch = Watch::new(&session, every, out)?;
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = tick.tick() => {
                // Where nothing changes nothing is written, by which it would be noticed.
                if has_lost_reader(io::stdout().as_fd()) {
                    return Ok(());
                }
                watch.look(&mut session)?;
            }
            _ = resized.recv() => {}
        }
        watch.show(&session)?;
    }
}

/// Keeps sockets in the form that the plan asks for.
fn recorder<'a, 'w>(
    session: &'a Session,
    owners: Option<&'a Owners>,
    nowhere: &'w mut io::Sink,
) -> Recorder<'a, 'w> {
    let plan = &session.plan;
    let known = Known { names: &session.names, owners, homes: Some(&session.homes) };
    Recorder::new(match plan.format {
        Format::Columns => {
            let listing = Listing::new(nowhere, None, hidden(plan).without(Column::Mark));
            Form::Columns(Printer::new(listing, plan.show, known))
        }
        Format::Json(_) => Form::Json(JsonListing::new(nowhere, Framing::Array, plan.show, known)),
    })
}

struct Watch<'w> {
    out: &'w mut dyn Write,
    every: Duration,
    screen: Option<Screen>,
    clock: Clock,
    listed: Option<i64>,
    /// That of the small table, where the listing is one.
    heading: Vec<(String, Align)>,
    changes: Changes<Record>,
}

impl<'w> Watch<'w> {
    fn new(session: &Session, every: Duration, out: &'w mut dyn Write) -> Result<Watch<'w>> {
        let on_terminal = session.plan.format == Format::Columns && io::stdout().is_terminal();
        Ok(Watch {
            screen: on_terminal.then(Screen::enter).transpose().context(CANNOT_WRITE)?,
            out,
            every,
            clock: Clock::default(),
            listed: None,
            heading: Vec::new(),
            changes: Changes::default(),
        })
    }

    /// Takes the next listing.
    fn look(&mut self, session: &mut Session) -> Result<()> {
        session.refresh();
        let ahead = session.read_ahead()?;
        let owners = session.read_owners()?;
        let mut nowhere = io::sink();
        let mut output = match session.plan.view {
            View::Sockets => Output::Recorder(recorder(session, owners.as_ref(), &mut nowhere)),
            View::Services | View::Counts(_) => {
                session.output(&mut nowhere, None, owners.as_ref()).context(CANNOT_WRITE)?
            }
        };
        session.list(owners.as_ref(), ahead, &mut output)?;
        self.heading = output.heading();
        self.changes.next(output.into_records());
        self.listed = Some(now_unix_us());
        Ok(())
    }

    fn show(&mut self, session: &Session) -> Result<()> {
        let Some(listed) = self.listed else { return Ok(()) };
        let mut text = Vec::new();
        match session.plan.format {
            Format::Json(_) => self.objects(listed, &mut text),
            Format::Columns => {
                self.clock.rfc3339(&mut text, listed);
                match &self.screen {
                    Some(screen) => {
                        let (width, height) = screen.size();
                        self.headline(session, &mut text);
                        let mut lines = self.changes.lines();
                        let mut rows = self.rows(session, &lines, Some(width))?;
                        if rows.iter().filter(|byte| **byte == b'\n').count() + 1 > height {
                            // What changed must not be below the edge.
                            lines.sort_by_key(|line| line.change);
                            rows = self.rows(session, &lines, Some(width))?;
                        }
                        text.extend_from_slice(&rows);
                        return screen.draw(&text, height).context(CANNOT_WRITE);
                    }
                    None => {
                        text.push(b'\n');
                        let rows = self.rows(session, &self.changes.lines(), None)?;
                        text.extend_from_slice(&rows);
                        text.push(b'\n');
                    }
                }
            }
        }
        self.out.write_all(&text).and_then(|()| self.out.flush()).context(CANNOT_WRITE)
    }

    /// How much changed, behind the time.
    fn headline(&self, session: &Session, out: &mut Vec<u8>) {
        let lines = self.changes.lines();
        let count = |change| lines.iter().filter(|line| line.change == change).count();
        let (appeared, vanished, changed) =
            (count(Change::Appeared), count(Change::Vanished), count(Change::Changed));
        let what = match session.plan.view {
            _ if session.lists_summaries_only() => "lines",
            View::Sockets => "sockets",
            View::Services => "services",
            View::Counts(_) => "groups",
        };
        let text = format!(
            "  every {:?}  {} {what}  +{appeared} -{vanished} ~{changed}\n",
            self.every,
            lines.len() - vanished
        );
        out.extend_from_slice(text.as_bytes());
    }

    fn rows(
        &self,
        session: &Session,
        lines: &[Line<'_, Record>],
        screen: Option<usize>,
    ) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let has_header = session.plan.show.header == Header::Shown;
        self.table(lines, has_header, &mut text);
        if session.plan.view != View::Sockets || session.lists_summaries_only() {
            return Ok(text);
        }
        let hidden = hidden(&session.plan).without(Column::Mark);
        let mut listing = Listing::new(&mut text, screen, hidden);
        let mut write = || {
            if has_header {
                listing.header()?;
            }
            for line in lines {
                if let Record::Row(row) = line.row {
                    listing.row(line.change.mark(), row)?;
                }
            }
            listing.finish()
        };
        write().context(CANNOT_WRITE)?;
        Ok(text)
    }

    /// What is a small table: services, counts, or without a heading a summary.
    fn table(&self, lines: &[Line<'_, Record>], has_header: bool, out: &mut Vec<u8>) {
        let unnamed = || (String::new(), Align::Left);
        let heading = match self.heading.is_empty() {
            true => vec![unnamed()],
            false => self.heading.clone(),
        };
        let mut table = Table::new(iter::once(unnamed()).chain(heading));
        for line in lines {
            if let Record::Cells(cells) = line.row {
                table.row(iter::once(line.change.mark().to_owned()).chain(cells.iter().cloned()));
            }
        }
        table.write(out, "", has_header && !self.heading.is_empty());
    }

    /// A line for each change; in the first listing, for each socket.
    fn objects(&mut self, listed: i64, out: &mut Vec<u8>) {
        let is_first = self.changes.is_first();
        for Line { change, row } in self.changes.lines() {
            if change == Change::None && !is_first {
                continue;
            }
            let mut head = Object::new(out);
            head.value("change", change.name());
            self.clock.write(&mut head, listed);
            if let Record::Object(object) = row {
                head.members_of(object);
            }
            drop(head);
            out.push(b'\n');
        }
    }
}
