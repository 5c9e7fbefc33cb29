//! The connections that end within a stretch of time, for whoever lists what there was.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::TICK;
use super::lives::Lives;
use super::signals::HeldSignals;
use crate::event::{Event, SinceBoot};
use crate::render::event::since_boot;
use crate::trace::{Losses, Refusal, Seeding, TracePlan, Tracer};

pub struct Window {
    tracer: Tracer,
    /// Goes on beside it: whose older sockets are.
    seeding: Option<Seeding>,
    lives: Lives,
    ended: Vec<Event>,
}

impl Window {
    /// From here on, connections are seen to end.
    pub fn open(plan: &TracePlan) -> Result<Window, Refusal> {
        let (tracer, seeding) = Tracer::start(plan)?;
        Ok(Window { tracer, seeding, lives: Lives::default(), ended: Vec::new() })
    }

    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Lets so much time pass, or less if a signal comes.
    pub fn wait(&mut self, duration: Duration, signals: &HeldSignals) {
        let end = Instant::now().checked_add(duration);
        loop {
            self.drain();
            self.seeding.iter_mut().for_each(Seeding::report);
            let left = end.map_or(TICK, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() || signals.come_within(left.min(TICK)) {
                return;
            }
        }
    }

    /// The connections that have ended in the meantime, in that order, and what was lost of them.
    pub fn close(mut self) -> Result<(Vec<Event>, Losses), Refusal> {
        self.tracer.detach();
        self.drain();
        self.take_due(SinceBoot { nanos: u64::MAX });
        self.ended.extend(self.lives.rest());
        Ok((self.ended, self.tracer.losses()?))
    }

    fn drain(&mut self) {
        while let Some(record) = self.tracer.next_record() {
            self.ended.extend(self.lives.take(record.decode()));
        }
        self.take_due(since_boot());
    }

    fn take_due(&mut self, now: SinceBoot) {
        while self.lives.due(now).is_some() {
            self.ended.extend(self.lives.pop());
        }
    }
}
