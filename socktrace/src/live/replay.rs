//! Records from anywhere on their way to text, as those of the ring go: for the fuzzer.

use std::time::Duration;

use super::Pipeline;
use super::lives::Lives;
use super::settle::Settling;
use super::tally::Tally;
use crate::event::{Event, SinceBoot};
use crate::render::event::{EventPrinter, Format, Layout, Shown, TimeStyle};
use crate::trace::{Decoder, Generations, Record};

/// Prints what a trace would print of these records.
#[inline(never)]
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
    let mut show = |event: &Event| match &mut tally {
        Some(tally) => tally.take(event),
        None => printer.event(out, event),
    };
    for bytes in records {
        let Some(record) = decoder.record(bytes, &mut generations) else { continue };
        match &record {
            Record::Event { event, .. } if pipeline.is_complete(event) => {
                show(event);
                continue;
            }
            _ => {}
        }
        let at = record.at();
        if let Some(event) = pipeline.take(record) {
            show(&event);
        }
        while let Some(event) = at.and_then(|at| pipeline.due(at)) {
            show(event);
            pipeline.drop_first();
        }
    }
    while let Some(event) = pipeline.due(SinceBoot { nanos: u64::MAX }) {
        show(event);
        pipeline.drop_first();
    }
    pipeline.rest().iter().for_each(show);
}
