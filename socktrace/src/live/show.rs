//! Where events end: the one place where it is decided whether they are shown.

use std::io::Write;
use std::os::fd::AsFd;

use super::filter::Judge;
use super::output::Output;
use super::tally::Tally;
use crate::event::Event;

pub(super) struct Show<W> {
    pub(super) judge: Option<Judge>,
    pub(super) output: Output<W>,
    /// In place of each event, if that is wanted.
    pub(super) tally: Option<Tally>,
    /// Events still to be shown; `None` for all.
    pub(super) left: Option<u64>,
}

impl<W: Write + AsFd> Show<W> {
    /// Whether as many were shown as were asked for.
    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    pub(super) fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        let is_wanted = self.judge.as_ref().is_none_or(|judge| judge.lets_through(event));
        if self.is_done() || !is_wanted {
            return Ok(());
        }
        self.left = self.left.map(|left| left - 1);
        match &mut self.tally {
            Some(tally) => tally.take(event),
            None => self.output.event(event)?,
        }
        Ok(())
    }

    /// What takes the place of the events, now that they are all there.
    pub(super) fn sums(&mut self) -> anyhow::Result<()> {
        for counted in self.tally.take().into_iter().flat_map(Tally::into_sorted) {
            self.output.counted(&counted)?;
        }
        Ok(())
    }
}
