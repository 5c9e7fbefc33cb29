//! The column layout of `ss`: fields are collected until the widths are known, then laid out.
//!
//! On a terminal the spare width is spread over the columns, and columns that do not fit begin a
//! line of their own; elsewhere a column is as wide as its longest field. Knows nothing of sockets.

use std::io::{self, Write};
use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Column {
    /// What changed since the last listing.
    Mark,
    Netns,
    Netid,
    State,
    RecvQ,
    SendQ,
    LocalAddress,
    LocalPort,
    PeerAddress,
    PeerPort,
    Container,
    Process,
    /// Everything without a column of its own: timer, details, the `-i` line.
    Ext,
}

const COUNT: usize = 13;

impl Column {
    const ALL: [Column; COUNT] = [
        Column::Mark,
        Column::Netns,
        Column::Netid,
        Column::State,
        Column::RecvQ,
        Column::SendQ,
        Column::LocalAddress,
        Column::LocalPort,
        Column::PeerAddress,
        Column::PeerPort,
        Column::Container,
        Column::Process,
        Column::Ext,
    ];

    fn header(self) -> &'static str {
        match self {
            Column::Netns => "Netns",
            Column::Netid => "Netid",
            Column::State => "State",
            Column::RecvQ => "Recv-Q",
            Column::SendQ => "Send-Q",
            Column::LocalAddress => "Local Address:",
            Column::PeerAddress => "Peer Address:",
            Column::LocalPort | Column::PeerPort => "Port",
            Column::Container => "Container",
            Column::Process => "Process",
            Column::Mark | Column::Ext => "",
        }
    }

    /// How far the column keeps from the one before it.
    fn delimiter(self) -> usize {
        match self {
            Column::Mark | Column::LocalPort | Column::PeerPort | Column::Process | Column::Ext => {
                0
            }
            _ => 1,
        }
    }

    /// Addresses are aligned to the right, so that the colons stand in one line.
    fn is_right_aligned(self) -> bool {
        matches!(self, Column::LocalAddress | Column::PeerAddress)
    }
}

/// The columns to leave out.
#[derive(Debug, Clone, Copy)]
pub struct Hidden(u16);

impl Default for Hidden {
    /// Those that `ss` does not have.
    fn default() -> Hidden {
        Hidden(0).and(Column::Mark).and(Column::Netns).and(Column::Container)
    }
}

impl Hidden {
    #[must_use]
    pub fn without(self, column: Column) -> Hidden {
        Hidden(self.0 & !(1 << column as u8))
    }

    #[must_use]
    pub fn and(self, column: Column) -> Hidden {
        Hidden(self.0 | 1 << column as u8)
    }

    fn contains(self, column: Column) -> bool {
        self.0 & (1 << column as u8) != 0
    }
}

/// Fields are held back for widths that hold for all, until they would fill this many blocks of
/// this size in `ss`: it begins another one where a field does not fit, and lays out when it has
/// begun the last.
const HELD_BLOCKS: usize = 5;
const HELD_BLOCK: usize = (1 << 20) - 16;
/// What a held field costs there beside its text, which is padded to an even length.
const FIELD_OVERHEAD: usize = 2;
const WRITE_BYTES: usize = 32 << 10;

/// The fields of one row, or any text that is compared whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    text: Box<[u8]>,
    lengths: Lengths,
}

/// Rows of columns on their way to `out`.
pub struct Listing<'w> {
    out: &'w mut dyn Write,
    /// The width to fill; `None` lays out compactly.
    screen: Option<usize>,
    hidden: Hidden,
    widest: [usize; COUNT],
    /// The fields that are held, but for those that are the same as in the row above.
    text: Vec<u8>,
    /// The length of each visible field, row by row.
    lengths: Lengths,
    /// Where in `text` each column's last field is.
    above: [Range<usize>; COUNT],
    held: Held,
    current: usize,
    field_start: usize,
    laid_out: Vec<u8>,
    /// The last row's `Ext`, which widens the column only when another row follows: so does `ss`.
    last_ext: usize,
}

impl<'w> Listing<'w> {
    pub fn new(out: &'w mut dyn Write, screen: Option<usize>, hidden: Hidden) -> Listing<'w> {
        Listing {
            out,
            screen,
            hidden,
            widest: [0; COUNT],
            text: Vec::new(),
            lengths: Lengths::default(),
            above: Default::default(),
            held: Held::default(),
            current: 0,
            field_start: 0,
            laid_out: Vec::new(),
            last_ext: 0,
        }
    }

    pub fn shows(&self, column: Column) -> bool {
        !self.hidden.contains(column)
    }

    pub fn header(&mut self) -> io::Result<()> {
        for column in Column::ALL {
            let text = column.header();
            self.field(column).extend_from_slice(text.as_bytes());
        }
        self.end_row()
    }

    /// Moves to a column of the current row and gives the text to append to. Columns passed over
    /// stay empty; what is written to a hidden column is dropped.
    pub fn field(&mut self, column: Column) -> &mut Vec<u8> {
        while self.current < column as usize {
            self.close_field();
        }
        &mut self.text
    }

    pub fn end_row(&mut self) -> io::Result<()> {
        while self.current < COUNT {
            self.close_field();
        }
        self.current = 0;
        if self.held.is_full() {
            self.lay_out()?;
        }
        Ok(())
    }

    /// The current row, which is not held then.
    pub fn take_row(&mut self) -> Row {
        while self.current < COUNT {
            self.close_field();
        }
        self.current = 0;
        let row = Row { text: self.text.as_slice().into(), lengths: self.lengths.clone() };
        self.forget();
        row
    }

    /// Adds a row of a listing with the same columns, with a mark before it.
    pub fn row(&mut self, mark: &str, row: &Row) -> io::Result<()> {
        let mut rest = &row.text[..];
        let mut lengths = row.lengths.iter();
        for column in Column::ALL.into_iter().filter(|c| self.shows(*c)).collect::<Vec<_>>() {
            // A row of its own has none above it.
            let (text, after) = rest.split_at(lengths.next_length().unwrap_or(0));
            rest = after;
            let text = if column == Column::Mark { mark.as_bytes() } else { text };
            self.field(column).extend_from_slice(text);
        }
        self.end_row()
    }

    /// Lays out what is held and writes all of it.
    pub fn finish(&mut self) -> io::Result<()> {
        self.lay_out()?;
        self.write_out()?;
        self.out.flush()
    }

    fn close_field(&mut self) {
        let len = self.text.len() - self.field_start;
        if self.hidden.contains(Column::ALL[self.current]) {
            self.text.truncate(self.field_start);
        } else {
            let counted = match Column::ALL[self.current] {
                Column::Ext => std::mem::replace(&mut self.last_ext, len),
                _ => len,
            };
            self.widest[self.current] = self.widest[self.current].max(counted);
            self.hold(len);
            self.held.add(len);
            self.field_start = self.text.len();
        }
        self.current += 1;
    }

    /// Holds the last `len` bytes as the current field.
    fn hold(&mut self, len: usize) {
        let (held, field) = self.text.split_at(self.field_start);
        let above = &mut self.above[self.current];
        if len > 0 && held[above.clone()] == *field {
            self.text.truncate(self.field_start);
            self.lengths.push_same();
        } else {
            *above = self.field_start..self.text.len();
            self.lengths.push(len);
        }
    }

    /// Holds nothing any more.
    fn forget(&mut self) {
        self.text.clear();
        self.lengths.clear();
        self.above = Default::default();
        self.field_start = 0;
        self.held = Held::default();
    }

    fn lay_out(&mut self) -> io::Result<()> {
        let widths = self.widths();
        let visible: Vec<Column> = Column::ALL.into_iter().filter(|c| self.shows(*c)).collect();
        // Nothing follows the last of the named columns on its line, so off a terminal it is not
        // padded.
        let unpadded = match self.screen {
            None => visible.iter().copied().rfind(|c| *c < Column::Ext),
            Some(_) => None,
        };
        let text = std::mem::take(&mut self.text);
        let lengths = std::mem::take(&mut self.lengths);
        let mut rest = &text[..];
        let mut fields = lengths.iter();
        let mut above: [&[u8]; COUNT] = [&[]; COUNT];
        while !fields.is_at_end() {
            for (i, column) in visible.iter().enumerate() {
                let field = &mut above[*column as usize];
                if let Some(length) = fields.next_length() {
                    (*field, rest) = rest.split_at(length);
                }
                let delimiter = if i == 0 { 0 } else { column.delimiter() };
                self.pad(delimiter);
                let spare = widths[*column as usize].saturating_sub(delimiter + field.len());
                if column.is_right_aligned() {
                    self.pad(spare);
                    self.laid_out.extend_from_slice(field);
                } else {
                    self.laid_out.extend_from_slice(field);
                    if Some(*column) != unpadded {
                        self.pad(spare);
                    }
                }
            }
            self.laid_out.push(b'\n');
            if self.laid_out.len() >= WRITE_BYTES {
                self.write_out()?;
            }
        }
        (self.text, self.lengths) = (text, lengths);
        self.forget();
        self.last_ext = 0;
        Ok(())
    }

    fn pad(&mut self, count: usize) {
        self.laid_out.resize(self.laid_out.len() + count, b' ');
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.out.write_all(&self.laid_out)?;
        self.laid_out.clear();
        Ok(())
    }

    fn widths(&self) -> [usize; COUNT] {
        let mut widths = [0; COUNT];
        let mut first = true;
        for column in Column::ALL {
            let widest = self.widest[column as usize];
            if widest == 0 || !self.shows(column) {
                continue;
            }
            let delimiter = if first { 0 } else { column.delimiter() };
            widths[column as usize] = (widest + delimiter).min(self.screen.unwrap_or(usize::MAX));
            first = false;
        }
        if let Some(screen) = self.screen {
            spread(&mut widths, screen);
        }
        widths
    }
}

/// Lengths of fields, each in as few bytes as it takes: seven bits in a byte, the lowest first, and
/// the eighth if there are more. Nearly all take one. They count from one: zero is a field that is
/// the same as the one above it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Lengths {
    bytes: Vec<u8>,
}

impl Lengths {
    fn push_same(&mut self) {
        self.bytes.push(0);
    }

    #[inline]
    fn push(&mut self, length: usize) {
        let mut rest = length + 1;
        while rest > 0x7f {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }

    fn iter(&self) -> LengthsIter<'_> {
        LengthsIter { rest: &self.bytes }
    }
}

struct LengthsIter<'a> {
    rest: &'a [u8],
}

impl LengthsIter<'_> {
    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// `None` for a field that is the same as the one above it.
    #[inline]
    fn next_length(&mut self) -> Option<usize> {
        if let Some((byte @ ..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return usize::from(*byte).checked_sub(1);
        }
        let (mut length, mut shift) = (0, 0);
        while let Some((byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        length.checked_sub(1)
    }
}

/// How much is held, as `ss` counts it.
struct Held {
    blocks: usize,
    /// Of the last block.
    used: usize,
}

impl Default for Held {
    fn default() -> Held {
        Held { blocks: 1, used: 0 }
    }
}

impl Held {
    fn add(&mut self, length: usize) {
        if self.used + FIELD_OVERHEAD + length > HELD_BLOCK {
            self.blocks += 1;
            self.used = 0;
        }
        self.used += FIELD_OVERHEAD + length.next_multiple_of(2);
    }

    fn is_full(&self) -> bool {
        self.blocks >= HELD_BLOCKS
    }
}

/// Groups columns into lines of at most `screen` and shares each line's spare width among its
/// columns, the remainder one each from the right.
fn spread(widths: &mut [usize; COUNT], screen: usize) {
    let mut start = 0;
    while let Some(begin) = (start..COUNT).find(|i| widths[*i] > 0) {
        let mut used = 0;
        let mut end = begin;
        for (i, width) in widths.iter().enumerate().skip(begin) {
            if used + width > screen {
                break;
            }
            used += width;
            end = i + 1;
        }
        // A mark is as wide as it is.
        let is_spread = |i: &usize| widths[*i] > 0 && *i != Column::Mark as usize;
        let line: Vec<usize> = (begin..end).filter(is_spread).collect();
        let spare = screen - used;
        for (from_right, i) in line.iter().rev().enumerate() {
            widths[*i] += spare / line.len() + usize::from(from_right < spare % line.len());
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(screen: Option<usize>, hidden: Hidden, rows: &[[&str; COUNT]]) -> String {
        let mut out = Vec::new();
        let mut listing = Listing::new(&mut out, screen, hidden);
        for row in rows {
            for (column, text) in Column::ALL.into_iter().zip(row) {
                listing.field(column).extend_from_slice(text.as_bytes());
            }
            listing.end_row().unwrap();
        }
        listing.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    const SHORT: [&str; COUNT] =
        ["", "", "tcp", "ESTAB", "0", "0", "1:", "2", "3:", "4", "", "", " x"];
    const LONG: [&str; COUNT] =
        ["", "", "u_str", "UNCONN", "0", "0", "1:", "2222", "3:", "4", "", " users", ""];

    #[test]
    fn off_a_terminal_columns_are_as_wide_as_their_longest_field() {
        assert_eq!(
            listing(None, Hidden::default(), &[SHORT, LONG]),
            "tcp   ESTAB  0 0 1:2    3:4 x\nu_str UNCONN 0 0 1:2222 3:4 users  \n"
        );
    }

    #[test]
    fn the_last_row_does_not_widen_its_details() {
        assert_eq!(
            listing(None, Hidden::default(), &[LONG, SHORT]),
            "u_str UNCONN 0 0 1:2222 3:4 users\ntcp   ESTAB  0 0 1:2    3:4 x\n"
        );
    }

    #[test]
    fn hidden_columns_leave_no_trace() {
        let hidden = Hidden::default().and(Column::Netid).and(Column::Process);
        assert_eq!(listing(None, hidden, &[LONG]), "UNCONN 0 0 1:2222 3:4\n");
    }

    #[test]
    fn on_a_terminal_each_line_is_filled() {
        for screen in [7, 11, 16, 20, 33, 60, 200] {
            let text = listing(Some(screen), Hidden::default(), &[SHORT, LONG]);
            for line in text.lines() {
                assert_eq!(line.len() % screen, 0, "width {screen}: {line:?}");
            }
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut sink = io::sink();
        let mut listing = Listing::new(&mut sink, None, Hidden::default());
        for row in 0..40 {
            let end = listing.field(Column::Ext).len() + (1 << 20);
            listing.field(Column::Ext).resize(end, row);
            listing.end_row().unwrap();
            assert!(listing.text.len() <= HELD_BLOCKS << 20);
        }
    }

    #[test]
    fn a_field_that_is_the_same_as_above_is_held_once() {
        let mut out = Vec::new();
        let mut listing = Listing::new(&mut out, None, Hidden::default());
        for (state, details) in
            [("ESTAB", ""), ("ESTAB", "x"), ("", "x"), ("", "y"), ("ESTAB", ""), ("LISTEN", "x")]
        {
            listing.field(Column::State).extend_from_slice(state.as_bytes());
            listing.field(Column::Ext).extend_from_slice(details.as_bytes());
            listing.end_row().unwrap();
        }
        assert_eq!(listing.text, b"ESTABxyESTABLISTENx");
        listing.finish().unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<Vec<_>> =
            out.lines().map(|line| line.split_whitespace().collect()).collect();
        let expected =
            [&["ESTAB"][..], &["ESTAB", "x"], &["x"], &["y"], &["ESTAB"], &["LISTEN", "x"]];
        assert_eq!(lines, expected);
    }

    #[test]
    fn as_many_rows_are_laid_out_together_as_in_ss() {
        // The lengths of the fields of a row, and after how many rows of them `ss` 7.3 lays out.
        for (fields, rows) in [
            (&[5, 10, 4, 10, 2, 0][..], 95_324),
            (&[5, 6, 6, 10, 4, 10, 2, 11], 58_254),
            (&[5, 6, 6, 10, 4, 10, 2, 16], 55_188),
            (&[5, 6, 6, 14, 5, 10, 2, 0], 63_549),
            (&[5, 14, 5, 10, 2, 14], 65_535),
        ] {
            let mut held = Held::default();
            let mut count = 0;
            while !held.is_full() {
                fields.iter().for_each(|length| held.add(*length));
                count += 1;
            }
            assert_eq!(count, rows, "{fields:?}");
        }
    }

    #[test]
    fn lengths_are_read_back() {
        let all = [0, 1, 126, 127, 128, 300, 16_383, 16_384, 1 << 20, usize::MAX - 1];
        let mut lengths = Lengths::default();
        for length in all {
            lengths.push(length);
            lengths.push_same();
        }
        let mut iter = lengths.iter();
        for length in all {
            assert!(!iter.is_at_end());
            assert_eq!(iter.next_length(), Some(length));
            assert_eq!(iter.next_length(), None);
        }
        assert!(iter.is_at_end());
    }
}
