//! Records from anywhere on their way to text, as those of the ring go: for the fuzzer.

use std::convert::Infallible;
use std::time::Duration;

use super::Pipeline;
use super::lives::Lives;
use super::settle::Settling;
use super::tally::Tally;
use crate::event::{Event, SinceBoot};
use crate::render::event::{EventPrinter, Format, Layout, Shown, TimeStyle};
use crate::trace::{Decoder, Generations};

/// Prints what a trace would print of these records.
pub fn replay<'a>(
    records: impl Iterator<Item = &'a [u8]>,
    layout: Layout,
    format: Format,
    out: &mut Vec<u8>,
) {
    let decoder = Decoder { tick: Duration::from_millis(4), has_reset_reason: true };
    let mut generations = Generations::default();
    let mut printer = EventPrinter::new(layout, format, TimeStyle::Wall, Shown::default(), None);
    let mut pipeline = match layout {
        Layout::Life => Pipeline::Join(Lives::default()),
        _ => Pipeline::Settle(Settling::default()),
    };
    let mut tally = (layout == Layout::Counts).then(Tally::default);
    let mut show = |event: &Event| -> Result<(), Infallible> {
        match &mut tally {
            Some(tally) => tally.take(event),
            None => printer.event(out, event),
        }
        Ok(())
    };
    for bytes in records {
        let Ok(()) = pipeline.take(decoder.record(bytes, &mut generations), &mut show);
    }
    let Ok(()) = pipeline.show_until(SinceBoot { nanos: u64::MAX }, &mut show);
    let Ok(()) = pipeline.rest().iter().try_for_each(show);
}
