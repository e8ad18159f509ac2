//! Lists as columns.

use super::paint::{Paint, Style};
use super::untrusted;

/// One field.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Returns a cell in the colours of `style`.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::Plain }
    }
}

/// Longest field for which a whole column is made wide, in characters: a longer one pushes what stands
/// behind it in its own row only.
const WIDE_MAX: usize = 48;

/// Rows under headings; an empty field is shown as `-`, columns without any field are left out.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Returns a table without rows.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as there are headings.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Returns the lines, headings first; none when there are no rows.
    pub(crate) fn lines(&self, paint: Paint) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let columns: Vec<usize> = (0..self.headings.len())
            .filter(|&column| {
                self.rows
                    .iter()
                    .any(|row| row.get(column).is_some_and(|cell| !cell.text.is_empty()))
            })
            .collect();
        let headings: Vec<Cell> =
            self.headings.iter().map(|heading| Cell::styled(*heading, Style::Dim)).collect();
        let widths: Vec<usize> = columns
            .iter()
            .map(|&column| {
                std::iter::once(&headings)
                    .chain(&self.rows)
                    .filter_map(|row| row.get(column))
                    .map(|cell| shown(cell).chars().count())
                    .filter(|&width| width <= WIDE_MAX)
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        std::iter::once(&headings)
            .chain(&self.rows)
            .map(|row| {
                let mut line = String::new();
                for (&column, &width) in columns.iter().zip(&widths) {
                    let Some(cell) = row.get(column) else { continue };
                    let text = shown(cell);
                    let pad = width.saturating_sub(text.chars().count()) + 2;
                    line.push_str(&paint.paint(cell.style, &text));
                    line.extend(std::iter::repeat_n(' ', pad));
                }
                line.truncate(line.trim_end().len());
                line
            })
            .collect()
    }
}

fn shown(cell: &Cell) -> String {
    if cell.text.is_empty() { "-".to_owned() } else { untrusted::visible(&cell.text).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new(&["APP", "NOTE", "STATE"]);
        assert!(table.lines(Paint::Plain).is_empty());
        table.row(["shop".into(), "".into(), Cell::styled("running", Style::Good)]);
        table.row(["guestbook".into(), "".into(), "".into()]);
        insta::assert_snapshot!(table.lines(Paint::Plain).join("\n"), @r"
        APP        STATE
        shop       running
        guestbook  -
        ");
        assert!(table.lines(Paint::Colours)[1].ends_with("\x1b[32mrunning\x1b[0m"));
    }

    #[test]
    fn one_long_field_does_not_push_every_row() {
        let long = "x".repeat(WIDE_MAX + 1);
        let mut table = Table::new(&["NAME", "VALUE", "FROM"]);
        table.row(["A".into(), "1".into(), "skep".into()]);
        table.row(["B".into(), long.clone().into(), "skep".into()]);
        let lines = table.lines(Paint::Plain);
        assert_eq!(lines[1], "A     1      skep");
        assert_eq!(lines[2], format!("B     {long}  skep"));
    }
}
