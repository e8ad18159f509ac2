//! Splits a command line and finds what needs a shell, in one pass.
//!
//! Quoting is that of the POSIX shell (XCU §2.2). Words keep expansions in the two forms that
//! [`super`] describes.

use std::iter::Peekable;
use std::str::Chars;

use super::{CommandError, continues_name, is_variable_name};

/// What a command line consists of.
pub(super) struct Scanned {
    pub(super) words: Vec<Word>,
    /// The first thing found that needs a shell.
    pub(super) shell: Option<String>,
}

/// A word while it is read.
#[derive(Default)]
pub(super) struct Word {
    pub(super) text: String,
    /// The name, while the word is one unquoted expansion and nothing else.
    lone: Option<String>,
    /// Where the first quoted character stands: no name of an assignment reaches behind it.
    quoted_from: Option<usize>,
}

impl Word {
    fn push(&mut self, c: char) {
        self.restore();
        self.text.push(c);
    }

    fn quote(&mut self) {
        self.restore();
        self.quoted_from.get_or_insert(self.text.len());
    }

    fn expand(&mut self, name: String, quoted: bool) {
        self.restore();
        if self.text.is_empty() && self.quoted_from.is_none() && !quoted {
            self.lone = Some(name);
        } else {
            self.text.extend(["${", &name, "}"]);
        }
    }

    /// Gives up the lone form because something follows.
    fn restore(&mut self) {
        if let Some(name) = self.lone.take() {
            self.text.extend(["${", &name, "}"]);
        }
    }

    fn finish(mut self) -> Self {
        if let Some(name) = &self.lone {
            self.text = format!("${name}");
        }
        self
    }

    /// Returns the word as `NAME=value`, if its name is unquoted.
    pub(super) fn assignment(&self) -> Option<(String, String)> {
        let (name, value) = self.text.split_once('=')?;
        let unquoted = self.quoted_from.is_none_or(|from| from > name.len());
        (unquoted && is_variable_name(name)).then(|| (name.to_owned(), value.to_owned()))
    }
}

/// Splits a command line.
pub(super) fn scan(text: &str) -> Result<Scanned, CommandError> {
    let mut scanner = Scanner { chars: text.chars().peekable(), shell: None };
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    while let Some(c) = scanner.chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => {
                if c == '\n' {
                    scanner.needs("a line break");
                }
                words.extend(word.take().map(Word::finish));
            }
            '\'' | '"' => scanner.quoted(c, word.get_or_insert_default())?,
            '\\' => match scanner.chars.next() {
                Some('\n') => {}
                Some('$') => scanner.needs("a `$` that is not a variable"),
                Some(c) => {
                    let word = word.get_or_insert_default();
                    word.quote();
                    word.push(c);
                }
                None => scanner.needs("a `\\` at the end"),
            },
            '$' => scanner.dollar(word.get_or_insert_default(), false),
            '`' => scanner.needs("a backtick"),
            '<' | '>' => scanner.needs("a redirection"),
            ';' | '(' | ')' => scanner.needs(&format!("`{c}`")),
            '&' | '|' => {
                let double = scanner.chars.peek() == Some(&c);
                let operator = c.to_string().repeat(if double { 2 } else { 1 });
                scanner.needs(&format!("`{operator}`"));
                words.extend(word.take().map(Word::finish));
            }
            '#' if word.is_none() => {
                scanner.needs("a comment");
                break;
            }
            '~' if word.is_none() => {
                scanner.needs("`~`");
                word.get_or_insert_default().push(c);
            }
            '[' if is_address(&scanner.chars) => word.get_or_insert_default().push(c),
            '*' | '?' => {
                scanner.needs(&format!("the pattern character `{c}`"));
                word.get_or_insert_default().push(c);
            }
            '[' if word.is_some() || scanner.chars.peek().is_some_and(|c| !c.is_whitespace()) => {
                scanner.needs("the pattern character `[`");
                word.get_or_insert_default().push(c);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.map(Word::finish));
    Ok(Scanned { words, shell: scanner.shell })
}

struct Scanner<'a> {
    chars: Peekable<Chars<'a>>,
    shell: Option<String>,
}

impl Scanner<'_> {
    fn needs(&mut self, reason: &str) {
        self.shell.get_or_insert_with(|| reason.to_owned());
    }

    fn quoted(&mut self, quote: char, word: &mut Word) -> Result<(), CommandError> {
        word.quote();
        loop {
            match self.chars.next() {
                // Behind something that needs a shell the quotes may be nested in a way that only
                // a shell understands: it will say.
                None if self.shell.is_some() => return Ok(()),
                None => return Err(CommandError::Unterminated(quote)),
                Some(c) if c == quote => return Ok(()),
                Some('$') if quote == '\'' => self.needs("a `$` that is not a variable"),
                Some('$') => self.dollar(word, true),
                Some('`') if quote == '"' => self.needs("a backtick"),
                Some('\\') if quote == '"' => match self.chars.next() {
                    Some('$') => self.needs("a `$` that is not a variable"),
                    Some('\n') | None => {}
                    Some(c @ ('"' | '\\' | '`')) => word.push(c),
                    Some(c) => {
                        word.push('\\');
                        word.push(c);
                    }
                },
                Some(c) => word.push(c),
            }
        }
    }

    fn dollar(&mut self, word: &mut Word, quoted: bool) {
        let braced = self.chars.peek() == Some(&'{');
        let mut ahead = self.chars.clone();
        if braced {
            ahead.next();
        }
        let mut name = String::new();
        while let Some(c) = ahead.next_if(|c| continues_name(*c)) {
            name.push(c);
        }
        let closed = !braced || ahead.next() == Some('}');
        if closed && is_variable_name(&name) {
            self.chars = ahead;
            word.expand(name, quoted);
            return;
        }
        match self.chars.peek() {
            Some('(') => self.needs("`$(…)`"),
            Some('{') => self.needs("`${…}` with an operator"),
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(*c) => {
                let reason = format!("`${c}`");
                self.needs(&reason);
            }
            _ => self.needs("a `$` that is not a variable"),
        }
    }
}

/// Returns whether what follows a `[` makes it an address such as `[::]:8000`, not a pattern.
fn is_address(behind: &Peekable<Chars<'_>>) -> bool {
    let mut colons = 0;
    for c in behind.clone() {
        match c {
            ']' => return colons >= 2,
            ':' => colons += 1,
            '.' | '0'..='9' | 'a'..='f' | 'A'..='F' => {}
            _ => return false,
        }
    }
    false
}
