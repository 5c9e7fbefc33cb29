//! What comes out of the ring: the first byte chooses what is printed of it, then each record has
//! two bytes of length in front.

#![no_main]

use libfuzzer_sys::fuzz_target;
use socktrace::live::replay;
use socktrace::render::event::{Format, Layout};

fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_at_checked(2)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let (record, after) = after.split_at(length.min(after.len()));
        rest = after;
        Some(record)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let layout = match choice % 4 {
        0 => Layout::Trace,
        1 => Layout::Life,
        2 => Layout::Retransmissions,
        _ => Layout::Counts,
    };
    let format = if choice & 4 == 0 { Format::Columns } else { Format::Json };
    let mut out = Vec::new();
    replay(records(bytes), layout, format, &mut out);
    let is_control = |byte: &u8| *byte < 0x20 && *byte != b'\n';
    assert!(!out.iter().any(is_control), "{}", out.escape_ascii());
});
