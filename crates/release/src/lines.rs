//! A program's output as lines that are safe to show.

/// Longest line that is passed on in one piece.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// Splits bytes into lines and cleans them.
///
/// A carriage return starts the line over, as on a terminal, so that a progress bar is one line.
/// Escape sequences and other control characters are taken out: what a build prints is shown on a
/// person's terminal.
pub(crate) struct Lines<'a> {
    sink: &'a mut dyn FnMut(&str),
    pending: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(sink: &'a mut dyn FnMut(&str)) -> Self {
        Self { sink, pending: Vec::new() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.pending.len() >= MAX_LINE_BYTES {
                self.flush();
            }
        }
    }

    pub(crate) fn finish(mut self) {
        if !self.pending.is_empty() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let text = String::from_utf8_lossy(&self.pending);
        let text = text.trim_end_matches(['\n', '\r']);
        (self.sink)(&clean(text.rsplit('\r').next().unwrap_or_default()));
        self.pending.clear();
    }
}

/// Takes out escape sequences (ECMA-48 CSI and OSC, and two-character ones) and control characters.
fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next() {
                Some('[') => {
                    // Parameters and intermediates, then one final byte.
                    while characters.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
                    characters.next();
                }
                Some(']') => {
                    while characters.next_if(|c| *c != '\u{7}' && *c != '\u{1b}').is_some() {}
                    characters.next();
                }
                _ => {}
            },
            '\t' => clean.push('\t'),
            character if character.is_control() => {}
            character => clean.push(character),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut sink = |line: &str| found.push(line.to_owned());
        let mut lines = Lines::new(&mut sink);
        for piece in pieces {
            lines.push(piece);
        }
        lines.finish();
        found
    }

    #[test]
    fn lines_are_joined_across_reads_and_the_last_needs_no_end() {
        assert_eq!(lines(&[b"a\nb", b"c\r\n\nd"]), ["a", "bc", "", "d"]);
    }

    #[test]
    fn terminals_are_not_driven_by_a_build() {
        assert_eq!(
            lines(&[b"10%\r20%\rdone\n\x1b[31mred\x1b[0m\x1b]0;title\x07!\x07\n"]),
            ["done", "red!"]
        );
    }

    #[test]
    fn endless_lines_are_cut() {
        let pieces = [[b'x'; MAX_LINE_BYTES].as_slice(); 3];
        assert_eq!(lines(&pieces).len(), 3);
    }
}
