//! A row laid out: the line of the row above it, with what differs written over.

use super::column::{COUNT, Column, Columns};

pub(super) struct Line {
    text: Vec<u8>,
    cells: [Cell; COUNT],
}

/// Where a column is in the line.
#[derive(Clone, Copy, Default)]
struct Cell {
    start: usize,
    length: usize,
    /// How long it is at least, with the delimiter at its beginning.
    width: usize,
    delimiter: usize,
    is_right_aligned: bool,
}

impl Line {
    /// An empty one. Nothing follows `unpadded` where it ends.
    pub(super) fn new(shown: Columns, widths: &[usize; COUNT], unpadded: Option<Column>) -> Line {
        let mut line = Line { text: Vec::new(), cells: [Cell::default(); COUNT] };
        let first = shown.iter().next();
        for column in Column::ALL {
            line.cells[column as usize] = Cell {
                start: line.text.len(),
                length: 0,
                width: if Some(column) == unpadded { 0 } else { widths[column as usize] },
                delimiter: if Some(column) == first { 0 } else { column.delimiter() },
                is_right_aligned: column.is_right_aligned(),
            };
            if shown.contains(column) {
                line.set(column, b"");
            }
        }
        line
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    #[inline]
    pub(super) fn set(&mut self, column: Column, field: &[u8]) {
        let Cell { start, length: before, width, delimiter, is_right_aligned } =
            self.cells[column as usize];
        let length = width.max(delimiter + field.len());
        if length != before {
            self.resize(column, length);
        }
        let cell = &mut self.text[start..start + length];
        cell.fill(b' ');
        let at = if is_right_aligned { length - field.len() } else { delimiter };
        cell[at..at + field.len()].copy_from_slice(field);
    }

    /// Makes room in place of a cell, and moves what is behind it.
    fn resize(&mut self, column: Column, length: usize) {
        let (_, from_here) = self.cells.split_at_mut(column as usize);
        let Some((cell, behind)) = from_here.split_first_mut() else { return };
        let (old_end, new_end) = (cell.start + cell.length, cell.start + length);
        cell.length = length;
        for cell in behind {
            cell.start = cell.start + new_end - old_end;
        }
        let old_length = self.text.len();
        let new_length = old_length + new_end - old_end;
        self.text.resize(old_length.max(new_length), b' ');
        self.text.copy_within(old_end..old_length, new_end);
        self.text.truncate(new_length);
    }
}
