//! Places in files that the user wrote.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A file's name and text: turns byte offsets into positions and excerpts.
#[derive(Debug, Clone)]
pub struct SourceText {
    name: String,
    text: String,
}

impl SourceText {
    /// Wraps a text under the name that messages use.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Returns the whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns where a byte offset is; offsets behind the end are at the end.
    pub fn position(&self, offset: usize) -> Position {
        let (line_start, line) = self.line_of(offset);
        let upto = self.floor(offset);
        Position { line, column: self.text[line_start..upto].chars().count() + 1 }
    }

    /// Returns an excerpt that underlines `span` (cut to its first line) and says `label` there.
    pub fn excerpt(&self, span: Range<usize>, label: impl Into<String>) -> Excerpt {
        let start = self.floor(span.start);
        let (line_start, _) = self.line_of(start);
        let rest = &self.text[line_start..];
        let line = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let end = self.floor(span.end.max(start)).min(line_start + line.len()).max(start);
        let width = self.text[start..end].chars().count().max(1);
        Excerpt {
            file: self.name.clone(),
            position: self.position(start),
            line: line.chars().take(MAX_LINE_CHARS).collect(),
            width,
            label: label.into(),
        }
    }

    fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    fn line_of(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (start, before.matches('\n').count() + 1)
    }
}

/// Longest part of a user's line that is shown.
const MAX_LINE_CHARS: usize = 160;

/// One line of a file with a part underlined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The file's name as the user knows it.
    pub file: String,
    /// Where the underlined part starts.
    pub position: Position,
    /// The line's text.
    pub line: String,
    /// Underlined characters.
    pub width: usize,
    /// What is said beside the underline; may be empty.
    pub label: String,
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{margin}--> {}:{line}:{column}", self.file)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.line)?;
        let pad: String = self
            .line
            .chars()
            .take(column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "{margin} | {pad}{} {}", "^".repeat(self.width), self.label)
    }
}

/// Returns the one of `known` that `word` was probably meant to be.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this two words have little to do with each other.
    const ENOUGH: f64 = 0.8;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score >= ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_count_characters_not_bytes() {
        let source = SourceText::new("skep.toml", "a = 1\nné = \"x\"\n");
        let excerpt = source.excerpt(12..15, "not a number");
        assert_eq!(
            excerpt.to_string(),
            " --> skep.toml:2:6\n  |\n2 | né = \"x\"\n  |      ^^^ not a number"
        );
    }

    #[test]
    fn an_offset_behind_the_end_is_the_end() {
        let source = SourceText::new("f", "ab");
        assert_eq!(source.position(99), Position { line: 1, column: 3 });
        assert_eq!(source.excerpt(5..9, "").width, 1);
    }
}
