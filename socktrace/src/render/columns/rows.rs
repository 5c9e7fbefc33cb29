//! Rows that wait for their widths, each held as the fields in which it differs from the one above:
//! most fields of a long listing are the same.

use std::ops::Range;

use super::column::{COUNT, Column, Columns};

/// What a field is written from: as long as it is the same, so is the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value(pub u128, pub u64);

/// The rows that are held, and the one that is being written.
pub(super) struct Rows {
    shown: Columns,
    held: Differences,
    /// Where in the text each column's last field is, and what it was written from, if that is known.
    fields: [Range<usize>; COUNT],
    values: [Option<Value>; COUNT],
    /// The column that is being written, and where its text begins.
    open: Option<Column>,
    start: usize,
    /// Of the current row: what has been written, and what of it differs from the row above.
    written: Columns,
    different: Columns,
}

impl Rows {
    pub(super) fn new(shown: Columns) -> Rows {
        Rows {
            shown,
            held: Differences::default(),
            fields: Default::default(),
            values: [None; COUNT],
            open: None,
            start: 0,
            written: Columns::EMPTY,
            different: Columns::EMPTY,
        }
    }

    /// The text of a column to append to.
    #[inline]
    pub(super) fn field(&mut self, column: Column) -> &mut Vec<u8> {
        if self.open != Some(column) {
            debug_assert!(self.open < Some(column), "columns are written from the left");
            self.close_field();
            self.open = Some(column);
            self.start = self.held.text.len();
            self.written = self.written.with(column);
            self.values[column as usize] = None;
        }
        &mut self.held.text
    }

    /// As [`Rows::field`], of a field that nothing but `value` decides; `None` if there is nothing to
    /// write.
    #[inline]
    pub(super) fn field_of(&mut self, column: Column, value: Value) -> Option<&mut Vec<u8>> {
        if !self.shown.contains(column) {
            return None;
        }
        if self.values[column as usize] == Some(value) {
            self.written = self.written.with(column);
            return None;
        }
        self.field(column);
        self.values[column as usize] = Some(value);
        Some(&mut self.held.text)
    }

    /// Ends the row, and hands over the length of each field that differs from the one above.
    #[inline]
    pub(super) fn end_row(&mut self, each: &mut impl FnMut(Column, usize)) {
        self.close_field();
        for column in self.shown.without(self.written).iter() {
            self.field(column);
            self.close_field();
        }
        self.held.rows.extend_from_slice(&self.different.to_bytes());
        for column in self.different.iter() {
            let length = self.fields[column as usize].len();
            push_length(&mut self.held.rows, length);
            each(column, length);
        }
        self.written = Columns::EMPTY;
        self.different = Columns::EMPTY;
    }

    fn close_field(&mut self) {
        let Some(column) = self.open.take() else { return };
        let (above, field) = self.held.text.split_at(self.start);
        let last = &mut self.fields[column as usize];
        if !self.shown.contains(column) || above[last.clone()] == *field {
            self.held.text.truncate(self.start);
        } else {
            *last = self.start..self.held.text.len();
            self.different = self.different.with(column);
        }
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        self.held.iter()
    }

    /// The one row that is held, which is not held then.
    pub(super) fn take(&mut self) -> Row {
        let Differences { text, rows } = &self.held;
        let row = Row { text: text.as_slice().into(), differences: rows.as_slice().into() };
        self.clear();
        row
    }

    /// Holds nothing any more.
    pub(super) fn clear(&mut self) {
        self.held.text.clear();
        self.held.rows.clear();
        self.fields = Default::default();
        self.forget_values();
    }

    /// From here on, the same value may be written as another text.
    pub(super) fn forget_values(&mut self) {
        self.values = [None; COUNT];
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &[u8] {
        &self.held.text
    }
}

/// The fields of one row, or any text that is compared whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    text: Box<[u8]>,
    /// A row of its own has none above it: its fields are those that are not empty.
    differences: Box<[u8]>,
}

impl Row {
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { text: &self.text, rows: &self.differences }
    }
}

/// Rows, each as what it differs in from the one above it.
#[derive(Default)]
struct Differences {
    /// The fields that differ, one after the other.
    text: Vec<u8>,
    /// Row by row: of which columns they are, and how long each of them is.
    rows: Vec<u8>,
}

impl Differences {
    fn iter(&self) -> Iter<'_> {
        Iter { text: &self.text, rows: &self.rows }
    }
}

pub(super) struct Iter<'a> {
    text: &'a [u8],
    rows: &'a [u8],
}

impl<'a> Iter<'a> {
    /// The columns in which the next row differs. [`Iter::next_field`] has a field for each.
    #[inline]
    pub(super) fn next_row(&mut self) -> Option<Columns> {
        let (columns, rest) = self.rows.split_first_chunk()?;
        self.rows = rest;
        Some(Columns::from_bytes(*columns))
    }

    #[inline]
    pub(super) fn next_field(&mut self) -> &'a [u8] {
        let length = pop_length(&mut self.rows);
        let (field, rest) = self.text.split_at(length);
        self.text = rest;
        field
    }
}

/// Appends a length in as few bytes as it takes: seven bits in a byte, the lowest first, and the
/// eighth if there are more. Nearly all take one.
#[inline]
fn push_length(bytes: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    while rest > 0x7f {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

#[inline]
fn pop_length(bytes: &mut &[u8]) -> usize {
    let (mut length, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_back() {
        let all = [0, 1, 126, 127, 128, 300, 16_383, 16_384, 1 << 20, usize::MAX];
        let mut bytes = Vec::new();
        all.into_iter().for_each(|length| push_length(&mut bytes, length));
        let mut rest = &bytes[..];
        for length in all {
            assert!(!rest.is_empty());
            assert_eq!(pop_length(&mut rest), length);
        }
        assert!(rest.is_empty());
    }
}
