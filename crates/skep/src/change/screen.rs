//! Lines that stay and lines that move, on one terminal.
//!
//! The moving lines are always the last ones; each drawing erases them, prints what has settled
//! and draws them again. Wrapping is switched off while they are drawn, so that each takes one row
//! whatever the terminal's width, and erasing is exact.

use std::fmt::Write;

use crate::output::Output;

/// Wrapping off and on again (DECAWM).
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// The end of standard error's terminal; on anything else only settled lines are printed.
#[derive(Debug)]
pub(crate) struct Screen<'a> {
    output: &'a Output,
    drawn: usize,
}

impl<'a> Screen<'a> {
    /// Returns a screen without moving lines.
    pub(crate) fn new(output: &'a Output) -> Self {
        Self { output, drawn: 0 }
    }

    /// Prints settled lines and replaces the moving ones.
    pub(crate) fn draw(&mut self, settled: &[String], moving: &[String]) {
        if !self.output.says_progress() {
            return;
        }
        if !self.output.can_redraw() {
            if !settled.is_empty() {
                self.output.progress(&format!("{}\n", settled.join("\n")));
            }
            return;
        }
        let text = frame(self.drawn, settled, moving);
        self.drawn = moving.len();
        if !text.is_empty() {
            self.output.progress(&text);
        }
    }

    /// Erases the moving lines, so that something else can print.
    pub(crate) fn clear(&mut self) {
        self.draw(&[], &[]);
    }
}

/// Returns what turns a terminal that shows `drawn` moving lines into one that shows `moving`.
fn frame(drawn: usize, settled: &[String], moving: &[String]) -> String {
    let mut text = String::new();
    if drawn > 0 {
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "\x1b[{drawn}A\r\x1b[J");
    }
    for line in settled {
        let _ = writeln!(text, "{line}");
    }
    if !moving.is_empty() {
        text.push_str(NO_WRAP);
        for line in moving {
            let _ = writeln!(text, "{line}");
        }
        text.push_str(WRAP);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_lines_are_replaced_by_settled_ones() {
        let lines = |text: &str| vec![text.to_owned()];
        assert_eq!(frame(0, &[], &lines("a")), "\x1b[?7la\n\x1b[?7h");
        assert_eq!(frame(2, &lines("done"), &[]), "\x1b[2A\r\x1b[Jdone\n");
        assert_eq!(frame(0, &[], &[]), "");
    }
}
