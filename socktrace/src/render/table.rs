//! Small tables: a heading, and columns that line up. For what is short enough to be held whole.

use super::markdown;

/// On which side the cells of a column line up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Cells in rows, all of them printable.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    cells: Vec<String>,
}

impl Table {
    pub fn new(columns: impl IntoIterator<Item = (String, Align)>) -> Table {
        Table { columns: columns.into_iter().collect(), cells: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let before = self.cells.len();
        self.cells.extend(cells);
        debug_assert_eq!(self.cells.len() - before, self.columns.len());
    }

    /// Writes heading and rows, each line after `indent`. Nothing stands behind the last cell.
    pub fn write(&self, out: &mut Vec<u8>, indent: &str, has_heading: bool) {
        let count = self.columns.len();
        let width = |column: usize| {
            let cells = self.cells.iter().skip(column).step_by(count.max(1));
            let heading = if has_heading { self.columns[column].0.chars().count() } else { 0 };
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(heading)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        let mut line = |cells: &mut dyn Iterator<Item = &String>| {
            let start = out.len();
            out.extend_from_slice(indent.as_bytes());
            for (number, cell) in cells.enumerate() {
                if number > 0 {
                    out.extend_from_slice(b"  ");
                }
                let pad = widths[number].saturating_sub(cell.chars().count());
                let align = self.columns[number].1;
                if align == Align::Right {
                    out.resize(out.len() + pad, b' ');
                }
                out.extend_from_slice(cell.as_bytes());
                if align == Align::Left {
                    out.resize(out.len() + pad, b' ');
                }
            }
            while out.len() > start && out.last() == Some(&b' ') {
                out.pop();
            }
            out.push(b'\n');
        };
        if has_heading {
            line(&mut self.columns.iter().map(|(name, _)| name));
        }
        self.cells.chunks(count.max(1)).for_each(|row| line(&mut row.iter()));
    }

    /// The same in Markdown.
    pub fn markdown(&self, out: &mut Vec<u8>) {
        markdown::row(out, self.columns.iter().map(|(name, _)| name.as_str()));
        for (_, align) in &self.columns {
            out.extend_from_slice(match align {
                Align::Left => b"|---",
                Align::Right => b"|--:",
            });
        }
        out.extend_from_slice(b"|\n");
        let rows = self.cells.chunks(self.columns.len().max(1));
        rows.for_each(|row| markdown::row(out, row.iter().map(String::as_str)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new([
            ("name".into(), Align::Left),
            ("n".into(), Align::Right),
            ("x".into(), Align::Left),
        ]);
        table.row(["é".into(), "10".into(), "a".into()]);
        table.row(["longer".into(), "7".into(), String::new()]);
        let mut out = Vec::new();
        table.write(&mut out, "  ", true);
        let expected = "  name     n  x\n  é       10  a\n  longer   7\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
