//! How wide the columns of a listing are.

use super::column::{COUNT, Column, Columns};

/// The widths for these longest fields, each with the delimiter before it; on a screen, its width is
/// filled.
pub(super) fn widths(
    widest: &[usize; COUNT],
    shown: Columns,
    screen: Option<usize>,
) -> [usize; COUNT] {
    let mut widths = [0; COUNT];
    let mut first = true;
    for column in shown.iter() {
        let widest = widest[column as usize];
        if widest == 0 {
            continue;
        }
        let delimiter = if first { 0 } else { column.delimiter() };
        widths[column as usize] = (widest + delimiter).min(screen.unwrap_or(usize::MAX));
        first = false;
    }
    if let Some(screen) = screen {
        spread(&mut widths, screen);
    }
    widths
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
