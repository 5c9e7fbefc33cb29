//! How much is held back for widths that hold for all, as `ss` counts it.

use super::column::{COUNT, Column, Columns};

/// Fields are held back until they would fill this many blocks of this size in `ss`: it begins
/// another one where a field does not fit, and lays out when it has begun the last.
pub(super) const BLOCKS: usize = 5;
const BLOCK: usize = (1 << 20) - 16;
/// What a held field costs there beside its text, which is padded to an even length.
const FIELD_OVERHEAD: usize = 2;

pub(super) struct Held {
    shown: Columns,
    blocks: usize,
    /// Of the last block.
    used: usize,
    /// The lengths of the last row's fields, and what they cost together.
    lengths: [usize; COUNT],
    row: usize,
}

impl Held {
    pub(super) fn new(shown: Columns) -> Held {
        let row = shown.iter().map(|_| cost(0)).sum();
        Held { shown, blocks: 1, used: 0, lengths: [0; COUNT], row }
    }

    /// How long the last row's field is.
    pub(super) fn length(&self, column: Column) -> usize {
        self.lengths[column as usize]
    }

    /// Tells how long a field of the next row is, if not as that of the last one.
    #[inline]
    pub(super) fn set_length(&mut self, column: Column, length: usize) {
        let before = std::mem::replace(&mut self.lengths[column as usize], length);
        self.row = self.row - cost(before) + cost(length);
    }

    /// Adds a row.
    #[inline]
    pub(super) fn add_row(&mut self) {
        if self.used + self.row <= BLOCK {
            self.used += self.row;
            return;
        }
        for column in self.shown.iter() {
            let length = self.lengths[column as usize];
            if self.used + FIELD_OVERHEAD + length > BLOCK {
                self.blocks += 1;
                self.used = 0;
            }
            self.used += cost(length);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.blocks >= BLOCKS
    }
}

fn cost(length: usize) -> usize {
    FIELD_OVERHEAD + length.next_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let columns = Column::ALL.into_iter().zip(fields);
            let shown =
                columns.clone().fold(Columns::EMPTY, |shown, (column, _)| shown.with(column));
            let mut held = Held::new(shown);
            columns.for_each(|(column, length)| held.set_length(column, *length));
            let mut count = 0;
            while !held.is_full() {
                held.add_row();
                count += 1;
            }
            assert_eq!(count, rows, "{fields:?}");
        }
    }
}
