//! The column layout of `ss`: fields are collected until the widths are known, then laid out.
//!
//! On a terminal the spare width is spread over the columns, and columns that do not fit begin a
//! line of their own; elsewhere a column is as wide as its longest field. Knows nothing of sockets.

mod column;
mod held;
mod line;
mod rows;
#[cfg(test)]
mod tests;
mod widths;

use std::io::{self, Write};

use column::{COUNT, Columns};
pub use column::{Column, Hidden};
use held::Held;
use line::Line;
use rows::Rows;
pub use rows::{Row, Value};

const WRITE_BYTES: usize = 32 << 10;

/// Rows of columns on their way to `out`.
pub struct Listing<'w> {
    out: &'w mut dyn Write,
    /// The width to fill; `None` lays out compactly.
    screen: Option<usize>,
    shown: Columns,
    widest: [usize; COUNT],
    rows: Rows,
    held: Held,
    laid_out: Vec<u8>,
}

impl<'w> Listing<'w> {
    pub fn new(out: &'w mut dyn Write, screen: Option<usize>, hidden: Hidden) -> Listing<'w> {
        let shown = hidden.shown();
        Listing {
            out,
            screen,
            shown,
            widest: [0; COUNT],
            rows: Rows::new(shown),
            held: Held::new(shown),
            laid_out: Vec::new(),
        }
    }

    pub fn shows(&self, column: Column) -> bool {
        self.shown.contains(column)
    }

    pub fn header(&mut self) -> io::Result<()> {
        for column in Column::ALL {
            self.field(column).extend_from_slice(column.header().as_bytes());
        }
        self.end_row()
    }

    /// Moves to a column of the current row, to the right only, and gives the text to append to.
    /// Columns passed over stay empty; what is written to a hidden column is dropped.
    #[inline]
    pub fn field(&mut self, column: Column) -> &mut Vec<u8> {
        self.rows.field(column)
    }

    /// As [`Listing::field`], for the whole of a field that nothing but `value` decides: `None` where
    /// the column is hidden, or was written from the same value in the row above.
    #[inline]
    pub fn field_of(&mut self, column: Column, value: Value) -> Option<&mut Vec<u8>> {
        self.rows.field_of(column, value)
    }

    /// From here on, the same value may be written as another text.
    pub fn forget_values(&mut self) {
        self.rows.forget_values();
    }

    pub fn end_row(&mut self) -> io::Result<()> {
        let Listing { rows, held, widest, .. } = self;
        // The last row's details widen their column only when another row follows: so does `ss`.
        let details = &mut widest[Column::Ext as usize];
        *details = held.length(Column::Ext).max(*details);
        rows.end_row(&mut |column, length| {
            held.set_length(column, length);
            if column != Column::Ext {
                widest[column as usize] = widest[column as usize].max(length);
            }
        });
        held.add_row();
        if held.is_full() {
            self.lay_out()?;
        }
        Ok(())
    }

    /// The current row, which is not held then.
    pub fn take_row(&mut self) -> Row {
        self.rows.end_row(&mut |_, _| {});
        self.rows.take()
    }

    /// Adds a row of a listing with the same columns, with a mark before it.
    pub fn row(&mut self, mark: &str, row: &Row) -> io::Result<()> {
        self.field(Column::Mark).extend_from_slice(mark.as_bytes());
        let mut row = row.iter();
        for column in row.next_row().unwrap_or_default().iter() {
            self.field(column).extend_from_slice(row.next_field());
        }
        self.end_row()
    }

    /// Lays out what is held and writes all of it.
    pub fn finish(&mut self) -> io::Result<()> {
        self.lay_out()?;
        write_out(self.out, &mut self.laid_out)?;
        self.out.flush()
    }

    fn lay_out(&mut self) -> io::Result<()> {
        let widths = widths::widths(&self.widest, self.shown, self.screen);
        // Nothing follows the last of the named columns on its line, so off a terminal it is not
        // padded.
        let unpadded = match self.screen {
            None => self.shown.iter().filter(|column| *column < Column::Ext).last(),
            Some(_) => None,
        };
        let mut line = Line::new(self.shown, &widths, unpadded);
        let mut rows = self.rows.iter();
        while let Some(different) = rows.next_row() {
            for column in different.iter() {
                line.set(column, rows.next_field());
            }
            self.laid_out.extend_from_slice(line.text());
            self.laid_out.push(b'\n');
            if self.laid_out.len() >= WRITE_BYTES {
                write_out(self.out, &mut self.laid_out)?;
            }
        }
        self.rows.clear();
        self.held = Held::new(self.shown);
        Ok(())
    }
}

fn write_out(out: &mut dyn Write, laid_out: &mut Vec<u8>) -> io::Result<()> {
    out.write_all(laid_out)?;
    laid_out.clear();
    Ok(())
}
