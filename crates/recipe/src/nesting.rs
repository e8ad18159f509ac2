//! Refuses files whose expressions nest so deep that parsing or compiling them would take all of
//! the native stack: the interpreter has no bound for that.
//!
//! It reads no more of the language than it must: brackets, text, comments, and what can follow
//! each other without brackets (`1 + 1 + …`, `not not …`, `a.b.c…`, `elif`). A comma or a new
//! statement begins anew.

use starlark::codemap::{CodeMap, Pos, Span};
use starlark::{Error, ErrorKind};

use crate::complaint::Complaint;
use crate::limits::{MAX_BRACKETS, MAX_CHAIN};

/// Words that nest what follows them.
const WORDS: &[&str] = &["not", "if", "else", "and", "or", "in", "lambda", "for"];

/// Checks a text before it is parsed.
pub(crate) fn check(file: &str, text: &str) -> starlark::Result<()> {
    let mut scan = Scan { text, at: 0, open: vec![Open::default()], chain: 0, branches: 0 };
    let Err(reason) = scan.run() else { return Ok(()) };
    let mut error = Error::new_kind(ErrorKind::Native(Complaint::limit(reason).into()));
    let codemap = CodeMap::new(file.to_owned(), text.to_owned());
    let at = Pos::new(u32::try_from(scan.at).unwrap_or(u32::MAX));
    error.set_span(Span::new(at, at), &codemap);
    Err(error)
}

/// A bracket that is open; the first stands for the statement itself.
#[derive(Default)]
struct Open {
    /// What nests in it, since the last comma.
    chain: usize,
    /// The f-string that goes on behind it.
    within: Option<Quote>,
}

/// How a text ends, and whether expressions are in it.
#[derive(Clone, Copy)]
struct Quote {
    mark: u8,
    triple: bool,
    format: bool,
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    open: Vec<Open>,
    /// The sum over all that is open.
    chain: usize,
    /// `elif`s of the file: each nests in the one before.
    branches: usize,
}

impl Scan<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(byte) = self.byte(0) {
            match byte {
                b'#' => self.at = self.line_end(),
                b'\'' | b'"' => self.quote(byte)?,
                // A line that goes on.
                b'\\' => self.at += 2,
                b'\n' | b';' if self.open.len() == 1 => self.anew(),
                b',' => self.anew(),
                b'(' | b'[' | b'{' => self.begin(None)?,
                b')' | b']' | b'}' => self.end()?,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word()?,
                b'+' | b'-' | b'*' | b'/' | b'%' | b'~' | b'|' | b'&' | b'^' | b'<' | b'>'
                | b'.' => {
                    self.at += 1;
                    self.longer()?;
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn line_end(&self) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
    }

    /// Begins what does not nest in what was before.
    fn anew(&mut self) {
        self.at += 1;
        if let Some(open) = self.open.last_mut() {
            self.chain -= open.chain;
            open.chain = 0;
        }
    }

    /// Counts something that nests.
    fn longer(&mut self) -> Result<(), String> {
        if let Some(open) = self.open.last_mut() {
            open.chain += 1;
            self.chain += 1;
        }
        match self.chain > MAX_CHAIN {
            true => Err(format!("more than {MAX_CHAIN} operators in one expression")),
            false => Ok(()),
        }
    }

    fn begin(&mut self, within: Option<Quote>) -> Result<(), String> {
        self.at += 1;
        self.longer()?;
        self.open.push(Open { chain: 0, within });
        match self.open.len() > MAX_BRACKETS {
            true => Err(format!("brackets nest deeper than {MAX_BRACKETS}")),
            false => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        self.at += 1;
        // A bracket that was not opened is the parser's to refuse.
        if self.open.len() == 1 {
            return Ok(());
        }
        let closed = self.open.pop().unwrap_or_default();
        self.chain -= closed.chain;
        match closed.within {
            Some(quote) => self.text(quote),
            None => Ok(()),
        }
    }

    fn word(&mut self) -> Result<(), String> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let word = &self.text[self.at..self.at + length];
        self.at += length;
        if word == "elif" {
            self.branches += 1;
            if self.branches > MAX_CHAIN {
                return Err(format!("more than {MAX_CHAIN} `elif`"));
            }
        }
        match self.byte(0) {
            // The prefix of a text: `f"…"`, `rb'…'`.
            Some(mark @ (b'\'' | b'"')) if word.len() <= 2 => {
                let format = word.contains(['f', 'F']);
                self.begin_text(mark, format)
            }
            _ if WORDS.contains(&word) => self.longer(),
            _ => Ok(()),
        }
    }

    fn quote(&mut self, mark: u8) -> Result<(), String> {
        self.begin_text(mark, false)
    }

    fn begin_text(&mut self, mark: u8, format: bool) -> Result<(), String> {
        let triple = self.byte(1) == Some(mark) && self.byte(2) == Some(mark);
        self.at += if triple { 3 } else { 1 };
        self.text(Quote { mark, triple, format })
    }

    /// Goes on in a text, up to its end or to an expression in it.
    fn text(&mut self, quote: Quote) -> Result<(), String> {
        while let Some(byte) = self.byte(0) {
            match byte {
                b'\\' => self.at += 2,
                // A text that is not ended is the parser's to refuse.
                b'\n' if !quote.triple => return Ok(()),
                b'{' if quote.format && self.byte(1) == Some(b'{') => self.at += 2,
                b'{' if quote.format => return self.begin(Some(quote)),
                byte if byte == quote.mark => {
                    let ends =
                        !quote.triple || (self.byte(1) == Some(byte) && self.byte(2) == Some(byte));
                    self.at += if ends && quote.triple { 3 } else { 1 };
                    if ends {
                        return Ok(());
                    }
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<String> {
        let error = check("x.star", text).err()?;
        Some(error.without_diagnostic().to_string())
    }

    #[test]
    fn what_people_write_passes() {
        let list = format!("x = [{}]", "f(a + b, -c.d[0]),\n".repeat(20_000));
        let text = format!("x = '''{}'''\ny = f\"{}\"", "a.b (".repeat(5000), "a + ".repeat(3000));
        let lines = "x = a.b + 'it\\'s' # (((\n".repeat(5000);
        for text in [&list, &text, &lines, "x = \"\\\"(\"", "", "'", "f'{", "\\", "}", "é"] {
            assert_eq!(refused(text), None);
        }
    }

    #[test]
    fn what_nests_without_end_is_refused() {
        let operators = format!("more than {MAX_CHAIN} operators in one expression");
        for text in [
            format!("x = 1{}", "+1".repeat(3000)),
            format!("x = {}1", "not ".repeat(3000)),
            format!("x = {}1", "-".repeat(3000)),
            format!("x = {}1", "lambda: ".repeat(3000)),
            format!("x = y{}", ".a".repeat(3000)),
            format!("x = y{}", "()".repeat(3000)),
            format!("x = y{}", "[0]".repeat(3000)),
            format!("x = f'{{1{}}}'", "+1".repeat(3000)),
            format!("x = 1{}", "+\\\n1".repeat(3000)),
            format!("x = {}1{}", format!("({}", "-".repeat(30)).repeat(100), ")".repeat(100)),
        ] {
            assert_eq!(refused(&text).as_deref(), Some(operators.as_str()), "{}", &text[..20]);
        }
        assert!(refused(&"(".repeat(300)).unwrap().starts_with("brackets"));
        assert!(refused(&"elif 1:\n pass\n".repeat(3000)).unwrap().contains("elif"));
    }
}
