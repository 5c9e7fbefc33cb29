//! The lines of events, for people and for programs.

mod clock;
mod json;
mod life;
mod places;
mod retrans;
mod row;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::BTreeMap;
use std::time::Duration;

pub use clock::{TimeStyle, since_boot};

pub use self::places::Shown;

use self::clock::Clock;
use self::life::Paths;
use self::places::Places;
use self::row::{Column, Row};
use crate::event::{Counted, Event, Loss, ResetReason, What};
use crate::names::Names;

/// What is shown, and so which columns there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Trace,
    Life,
    Retransmissions,
    /// Retransmissions by connection.
    Counts,
}

impl Layout {
    fn columns(self) -> &'static [Column] {
        match self {
            Layout::Trace => &trace::COLUMNS,
            Layout::Life => &life::COLUMNS,
            Layout::Retransmissions => &retrans::COLUMNS,
            Layout::Counts => &retrans::COUNT_COLUMNS,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Columns,
    /// An object per line.
    Json,
}

/// Prints events into a buffer.
pub struct EventPrinter {
    layout: Layout,
    format: Format,
    clock: Clock,
    json_clock: super::json::time::Clock,
    places: Places,
    paths: Paths,
    names: Option<Names>,
    reasons: BTreeMap<u32, String>,
}

impl EventPrinter {
    /// `names` turns addresses and ports into names.
    pub fn new(
        layout: Layout,
        format: Format,
        time: TimeStyle,
        shown: Shown,
        names: Option<Names>,
    ) -> EventPrinter {
        EventPrinter {
            layout,
            format,
            clock: Clock::new(time),
            json_clock: super::json::time::Clock::default(),
            places: Places::new(shown),
            paths: Paths::default(),
            names,
            reasons: BTreeMap::new(),
        }
    }

    /// What the kernel calls its reasons for resets.
    pub fn set_reset_reasons<'a>(&mut self, reasons: impl Iterator<Item = (ResetReason, &'a str)>) {
        self.reasons = reasons.map(|(reason, name)| (reason.0, name.to_owned())).collect();
    }

    pub fn header(&self, out: &mut Vec<u8>) {
        if self.format == Format::Columns {
            row::header(out, self.layout.columns(), self.places.shown);
        }
    }

    pub fn event(&mut self, out: &mut Vec<u8>, event: &Event) {
        if self.format == Format::Json {
            return self.json_event(out, event);
        }
        match &event.what {
            What::Transition(step) => self.transition(out, event, step),
            What::Retransmission(again) if self.layout == Layout::Retransmissions => {
                self.retransmission(out, event, again);
            }
            What::Retransmission(again) => self.traced_retransmission(out, event, again),
            What::Reset(reset) => self.reset(out, event, reset),
            What::Life(life) => self.life(out, event, life),
        }
    }

    /// How often a connection sent something again.
    pub fn counted(&mut self, out: &mut Vec<u8>, counted: &Counted) {
        match self.format {
            Format::Columns => self.count_row(out, counted),
            Format::Json => self.json_counted(out, counted),
        }
    }

    /// What was lost: for programs only, people are told on stderr.
    pub fn loss(&mut self, out: &mut Vec<u8>, loss: &Loss) {
        if self.format == Format::Json {
            self.json_loss(out, loss);
        }
    }

    /// What the kernel calls a reason, or its number.
    #[inline(always)]
    fn reset_reason<'r, 'a>(&self, row: &'r mut Row<'a>, reason: ResetReason) -> &'r mut Row<'a> {
        match self.reason(reason) {
            Some(name) => row.text(name),
            None => row.number(reason.0.into()),
        }
    }

    fn reason(&self, reason: ResetReason) -> Option<&String> {
        self.reasons.get(&reason.0)
    }
}

/// What the system calls an errno.
fn errno(errno: u16) -> Option<&'static str> {
    Some(match i32::from(errno) {
        libc::EPIPE => "EPIPE",
        libc::EPROTO => "EPROTO",
        libc::EACCES => "EACCES",
        libc::ENOPROTOOPT => "ENOPROTOOPT",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::ENETDOWN => "ENETDOWN",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ENETRESET => "ENETRESET",
        libc::ECONNABORTED => "ECONNABORTED",
        libc::ECONNRESET => "ECONNRESET",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EHOSTDOWN => "EHOSTDOWN",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        _ => return None,
    })
}

fn micros(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros())
}
