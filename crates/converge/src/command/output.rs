//! What a program prints: passed on by lines, and its end kept for an error.

/// How much of the output is kept, its end: errors are there.
const KEPT_BYTES: usize = 64 << 10;
/// Longest line that is passed on in one piece.
const MAX_LINE_BYTES: usize = 8 << 10;

/// Output as lines, and its end.
pub(super) struct Output<'a> {
    line: &'a mut dyn FnMut(&str),
    pending: Vec<u8>,
    kept: Vec<u8>,
}

impl<'a> Output<'a> {
    pub(super) fn new(line: &'a mut dyn FnMut(&str)) -> Self {
        Self { line, pending: Vec::new(), kept: Vec::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        // Twice the limit before it is cut: not once for each read.
        if self.kept.len() > 2 * KEPT_BYTES {
            self.kept.drain(..self.kept.len() - KEPT_BYTES);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.pending.len() >= MAX_LINE_BYTES {
                self.pass_on();
            }
        }
    }

    fn pass_on(&mut self) {
        (self.line)(clean(&self.pending).trim_end());
        self.pending.clear();
    }

    pub(super) fn finish(mut self) -> String {
        if !self.pending.is_empty() {
            self.pass_on();
        }
        let from = self.kept.len().saturating_sub(KEPT_BYTES);
        clean(&self.kept[from..])
    }
}

/// Returns text without what would drive a terminal.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_passed_on_and_the_end_is_kept() {
        let mut lines = Vec::new();
        let mut tell = |line: &str| lines.push(line.to_owned());
        let mut output = Output::new(&mut tell);
        for piece in [&b"a\n\x1b[31mr"[..], b"ed\r\n", b"last"] {
            output.push(piece);
        }
        assert_eq!(output.finish(), "a\n[31mred\nlast");
        assert_eq!(lines, ["a", "[31mred", "last"]);
    }

    #[test]
    fn only_the_end_of_much_is_kept() {
        let mut count = 0;
        let mut tell = |_: &str| count += 1;
        let mut output = Output::new(&mut tell);
        for _ in 0..100 {
            output.push(&[b'x'; 8192]);
        }
        output.push(b"the end");
        let kept = output.finish();
        assert_eq!(kept.len(), KEPT_BYTES);
        assert!(kept.ends_with("the end"));
        assert_eq!(count, 101);
    }
}
