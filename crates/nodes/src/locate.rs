//! From byte offsets to lines and columns, for every value of a file.

use report::Position;

/// Bytes between two places that are known beforehand: finding a position reads at most so many,
/// however long the file or one of its lines is.
const STRIDE: usize = 512;

/// Finds positions in one text.
#[derive(Debug)]
pub(crate) struct Locator<'t> {
    text: &'t str,
    /// The first character at or behind each multiple of the stride.
    known: Vec<(usize, Position)>,
}

impl<'t> Locator<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let mut known = Vec::with_capacity(text.len() / STRIDE + 1);
        let mut position = Position { line: 1, column: 1 };
        for (offset, character) in text.char_indices() {
            if offset >= known.len() * STRIDE {
                known.push((offset, position));
            }
            position = behind(position, character);
        }
        Self { text, known }
    }

    /// Returns where an offset is; one behind the end is at the end.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let next = self.known.partition_point(|(known, _)| *known <= offset);
        let start = Position { line: 1, column: 1 };
        let (from, mut position) =
            next.checked_sub(1).map_or((0, start), |before| self.known[before]);
        for (index, character) in self.text[from..].char_indices() {
            if from + index >= offset {
                break;
            }
            position = behind(position, character);
        }
        position
    }
}

fn behind(position: Position, character: char) -> Position {
    match character {
        '\n' => Position { line: position.line + 1, column: 1 },
        _ => Position { column: position.column + 1, ..position },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::SourceText;

    #[test]
    fn positions_are_those_of_a_plain_count() {
        let text =
            format!("{}\nzwölf {}\n\n{}é", "x".repeat(700), "ä".repeat(900), "y\n".repeat(40));
        let (locator, plain) = (Locator::new(&text), SourceText::new("f", text.clone()));
        for (offset, _) in text.char_indices().chain([(text.len(), ' '), (text.len() + 9, ' ')]) {
            assert_eq!(locator.position(offset), plain.position(offset), "{offset}");
        }
        assert_eq!(Locator::new("").position(0), Position { line: 1, column: 1 });
    }
}
