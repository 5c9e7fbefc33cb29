//! `--watch`: a listing again and again, with what changed since the one before.
//!
//! On a terminal it is redrawn in place, on a pipe each is a block with its time, and JSON has a
//! line per change.

mod screen;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use self::screen::Screen;
use super::{CANNOT_WRITE, Session, hidden};
use crate::changes::{Change, Changes, Line};
use crate::cli::plan::Format;
use crate::live::has_lost_reader;
use crate::render::Printer;
use crate::render::columns::{Column, Listing, Row};
use crate::render::json::Object;
use crate::render::json::listing::{Framing, JsonListing};
use crate::render::json::time::{Clock, now_unix_us};
use crate::render::known::Known;
use crate::render::output::{Form, Output, Recorder};
use crate::render::show::Header;

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

struct Watch<'w> {
    out: &'w mut dyn Write,
    every: Duration,
    screen: Option<Screen>,
    clock: Clock,
    listed: Option<i64>,
    changes: Changes<Row>,
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
            changes: Changes::default(),
        })
    }

    /// Takes the next listing.
    fn look(&mut self, session: &mut Session) -> Result<()> {
        session.refresh();
        let ahead = session.read_ahead()?;
        let owners = session.read_owners()?;
        let known =
            Known { names: &session.names, owners: owners.as_ref(), homes: Some(&session.homes) };
        let mut nowhere = io::sink();
        let plan = &session.plan;
        let form = match plan.format {
            Format::Columns => Form::Columns(Printer::new(
                Listing::new(&mut nowhere, None, hidden(plan).without(Column::Mark)),
                plan.show,
                known,
            )),
            Format::Json(_) => {
                Form::Json(JsonListing::new(&mut nowhere, Framing::Array, plan.show, known))
            }
        };
        let mut output = Output::Recorder(Recorder::new(form));
        session.list(owners.as_ref(), ahead, &mut output)?;
        if let Output::Recorder(recorder) = output {
            self.changes.next(recorder.into_rows());
        }
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
                        self.headline(&mut text);
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
    fn headline(&self, out: &mut Vec<u8>) {
        let lines = self.changes.lines();
        let count = |change| lines.iter().filter(|line| line.change == change).count();
        let (appeared, vanished, changed) =
            (count(Change::Appeared), count(Change::Vanished), count(Change::Changed));
        let text = format!(
            "  every {:?}  {} sockets  +{appeared} -{vanished} ~{changed}\n",
            self.every,
            lines.len() - vanished
        );
        out.extend_from_slice(text.as_bytes());
    }

    fn rows(
        &self,
        session: &Session,
        lines: &[Line<'_, Row>],
        screen: Option<usize>,
    ) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let hidden = hidden(&session.plan).without(Column::Mark);
        let mut listing = Listing::new(&mut text, screen, hidden);
        let mut write = || {
            if session.plan.show.header == Header::Shown {
                listing.header()?;
            }
            for line in lines {
                listing.row(line.change.mark(), line.row)?;
            }
            listing.finish()
        };
        write().context(CANNOT_WRITE)?;
        Ok(text)
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
            head.members_of(row.text());
            drop(head);
            out.push(b'\n');
        }
    }
}
