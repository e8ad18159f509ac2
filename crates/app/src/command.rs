//! Command lines: split as a POSIX shell would, but run without one.
//!
//! A shell between Skep and a server costs the server its socket: `LISTEN_PID` names the shell, so
//! descriptor 3 is ignored, and signals end the shell instead of the server. So a command is
//! split here and exec'ed as it is. Variables do not need a shell either: they are expanded when
//! the process starts, from the environment that Skep constructed. What does need one (`&&`, pipes,
//! redirections, patterns, `cd` …) is run by `/bin/sh -c`, and [`Command::shell`] says why.
//!
//! # Words
//!
//! In [`Command::words`] quotes are gone and each expansion has one of two forms:
//!
//! - `$NAME` as a whole word stood unquoted and alone: its value is split at blanks, and nothing is
//!   left of it when it is empty, as in a shell (`gunicorn $OPTIONS shop.wsgi`);
//! - `${NAME}` anywhere is replaced by its value as it is. Unlike in a shell, the value is not
//!   split when the expansion is only a part of an unquoted word (`0.0.0.0:$PORT`).
//!
//! A dollar sign that is to stay one (`'$5'`, `\$`) makes the command a shell's, so that every `$`
//! in `words` is an expansion. A variable that is not set is an error, never an empty word.

mod scan;

use crate::model::Command;

use self::scan::{Scanned, Word, scan};

/// Longest command line. The kernel takes 128 KiB a word; this is far below and far above need.
pub const MAX_COMMAND_BYTES: usize = 16 * 1024;

/// Why a text is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nothing but blanks.
    #[error("the command is empty")]
    Empty,
    /// Nothing but `NAME=value` words.
    #[error("the command names no program")]
    NoProgram,
    /// A quote that never ends.
    #[error("this quote never ends: {0}")]
    Unterminated(char),
    /// A NUL byte, which no argument can hold.
    #[error("the command holds a NUL character")]
    Nul,
    /// Over [`MAX_COMMAND_BYTES`].
    #[error("the command is longer than {} KiB", MAX_COMMAND_BYTES / 1024)]
    TooLong,
}

/// A command uses a variable that its environment lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not set, but the command uses it: `{command}`")]
pub struct UnsetVariable {
    /// The variable.
    pub name: String,
    /// The command as the user wrote it.
    pub command: String,
}

impl Command {
    /// Reads a command line.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        if text.len() > MAX_COMMAND_BYTES {
            return Err(CommandError::TooLong);
        }
        if text.contains('\0') {
            return Err(CommandError::Nul);
        }
        let text = text.trim();
        let Scanned { mut words, mut shell } = scan(text)?;
        let mut assignments = Vec::new();
        while let Some(assignment) = words.first().and_then(Word::assignment) {
            assignments.push(assignment);
            words.remove(0);
        }
        let first = words.first().map(|word| word.text.clone()).unwrap_or_default();
        if shell.is_none() {
            if words.is_empty() && assignments.is_empty() {
                return Err(CommandError::Empty);
            }
            if first.is_empty() {
                return Err(CommandError::NoProgram);
            }
            if SHELL_WORDS.contains(&first.as_str()) {
                shell = Some(format!("`{first}` is a word of the shell"));
            }
        }
        if shell.is_some() {
            return Ok(Self {
                text: text.to_owned(),
                words: vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()],
                assignments: Vec::new(),
                shell,
            });
        }
        // Without a shell every command is exec'ed.
        if first == "exec" && words.len() > 1 {
            words.remove(0);
        }
        let words = words.into_iter().map(|word| word.text).collect();
        Ok(Self { text: text.to_owned(), words, assignments, shell: None })
    }

    /// Returns the words to exec, with every variable replaced by what `lookup` returns for it. A
    /// shell command is returned as it is: the shell expands it, from the same environment.
    pub fn expand(
        &self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, UnsetVariable> {
        if self.shell.is_some() {
            return Ok(self.words.clone());
        }
        let mut expanded = Vec::with_capacity(self.words.len());
        for word in &self.words {
            match lone_name(word) {
                Some(name) => {
                    let value = lookup(name).ok_or_else(|| self.unset(name))?;
                    expanded.extend(value.split_ascii_whitespace().map(str::to_owned));
                }
                None => expanded.push(self.replace(word, &lookup)?),
            }
        }
        Ok(expanded)
    }

    /// Returns the leading `NAME=value` words with their variables replaced.
    pub fn expand_assignments(
        &self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, String)>, UnsetVariable> {
        self.assignments
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.replace(value, &lookup)?)))
            .collect()
    }

    /// Returns the variables that [`Self::expand`] and [`Self::expand_assignments`] will ask for.
    pub fn variables(&self) -> Vec<&str> {
        if self.shell.is_some() {
            return Vec::new();
        }
        let mut names = Vec::new();
        let texts = self.words.iter().chain(self.assignments.iter().map(|(_, value)| value));
        for text in texts {
            if let Some(name) = lone_name(text) {
                names.push(name);
            }
            names.extend(pieces(text).filter_map(|piece| match piece {
                Piece::Variable(name) => Some(name),
                Piece::Text(_) => None,
            }));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    fn replace(
        &self,
        text: &str,
        lookup: &impl Fn(&str) -> Option<String>,
    ) -> Result<String, UnsetVariable> {
        let mut replaced = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => replaced.push_str(text),
                Piece::Variable(name) => {
                    replaced.push_str(&lookup(name).ok_or_else(|| self.unset(name))?);
                }
            }
        }
        Ok(replaced)
    }

    fn unset(&self, name: &str) -> UnsetVariable {
        UnsetVariable { name: name.to_owned(), command: self.text.clone() }
    }
}

/// Returns whether `name` can be the name of a variable.
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.starts_with(starts_name) && name.chars().all(continues_name)
}

/// Words that mean something only to a shell when a command starts with them.
const SHELL_WORDS: &[&str] = &[
    "!", ".", ":", "[", "{", "case", "cd", "command", "eval", "export", "for", "if", "read", "set",
    "source", "test", "trap", "ulimit", "umask", "unset", "until", "wait", "while",
];

/// A part of a word of [`Command::words`].
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

fn pieces(mut rest: &str) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, behind)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}'))
        {
            rest = behind;
            return Some(Piece::Variable(name));
        }
        // From the second character on, so that a `$` that starts nothing is passed over.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find("${").map_or(rest.len(), |at| first + at);
        let (text, behind) = rest.split_at(end);
        rest = behind;
        Some(Piece::Text(text))
    })
}

fn lone_name(word: &str) -> Option<&str> {
    word.strip_prefix('$').filter(|name| is_variable_name(name))
}

fn starts_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn continues_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let command = Command::parse(text).unwrap();
        assert_eq!(command.shell, None, "{text}");
        command.words
    }

    #[test]
    fn words_are_split_as_a_shell_would() {
        for (text, expected) in [
            ("gunicorn shop.wsgi", &["gunicorn", "shop.wsgi"][..]),
            ("  gunicorn\t'flaskr:create_app()' ", &["gunicorn", "flaskr:create_app()"]),
            (r#"a "b c" 'd e' f\ g """#, &["a", "b c", "d e", "f g", ""]),
            ("exec gunicorn x", &["gunicorn", "x"]),
            ("gunicorn -b [::]:$PORT x", &["gunicorn", "-b", "[::]:${PORT}", "x"]),
            ("gunicorn $OPTS x", &["gunicorn", "$OPTS", "x"]),
            ("gunicorn ${OPTS} x", &["gunicorn", "$OPTS", "x"]),
            ("gunicorn \"$OPTS\" x", &["gunicorn", "${OPTS}", "x"]),
            ("a $B$C ${D}e ''$F", &["a", "${B}${C}", "${D}e", "${F}"]),
            ("a b#c x=~y", &["a", "b#c", "x=~y"]),
            ("a \\\n b", &["a", "b"]),
            ("echo {a,b}", &["echo", "{a,b}"]),
            (r#"a "b\n\"c\\""#, &["a", r#"b\n"c\"#]),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn leading_assignments_are_taken_off() {
        let command = Command::parse("A=1 B=\"$C x\" _d= prog E=2").unwrap();
        assert_eq!(command.words, ["prog", "E=2"]);
        let expected = [("A", "1"), ("B", "${C} x"), ("_d", "")];
        assert_eq!(command.assignments, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(Command::parse("1A=2 x").unwrap().words, ["1A=2", "x"]);
        assert_eq!(Command::parse("\"A\"=1 x").unwrap().words, ["A=1", "x"]);
    }

    #[test]
    fn what_needs_a_shell_says_why() {
        for (text, reason) in [
            ("cd src && gunicorn x", "`&&`"),
            ("cd src", "`cd` is a word of the shell"),
            ("A=1 export B", "`export` is a word of the shell"),
            ("a || b", "`||`"),
            ("a | b", "`|`"),
            ("a & b", "`&`"),
            ("a; b", "`;`"),
            ("(a)", "`(`"),
            ("a > log", "a redirection"),
            ("a 2>&1", "a redirection"),
            ("a < x", "a redirection"),
            ("a `b`", "a backtick"),
            ("a \"`b`\"", "a backtick"),
            ("a $(b \"c)\")", "`$(…)`"),
            ("a ${B:-c}", "`${…}` with an operator"),
            ("a $1", "`$1`"),
            ("a $$", "`$$`"),
            ("a '$5'", "a `$` that is not a variable"),
            ("a \\$5", "a `$` that is not a variable"),
            ("a 5$", "a `$` that is not a variable"),
            ("a *.py", "the pattern character `*`"),
            ("a x?", "the pattern character `?`"),
            ("a x[12]", "the pattern character `[`"),
            ("[ -f x ]", "`[` is a word of the shell"),
            ("a ~/x", "`~`"),
            ("a # b's", "a comment"),
            ("a\nb", "a line break"),
        ] {
            let command = Command::parse(text).unwrap();
            assert_eq!(command.shell.as_deref(), Some(reason), "{text:?}");
            assert_eq!(command.words, ["/bin/sh", "-c", text], "{text:?}");
            assert!(command.assignments.is_empty() && command.variables().is_empty());
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for (text, error) in [
            ("", CommandError::Empty),
            (" \n", CommandError::Empty),
            ("A=1", CommandError::NoProgram),
            ("'' x", CommandError::NoProgram),
            ("a 'b", CommandError::Unterminated('\'')),
            ("a \"b", CommandError::Unterminated('"')),
            ("a\0b", CommandError::Nul),
        ] {
            assert_eq!(Command::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn variables_are_expanded_at_start() {
        let command =
            Command::parse("A=$HOST gunicorn $OPTS -b $HOST:${PORT} \"$NONE\" $NONE").unwrap();
        let lookup = |name: &str| match name {
            "OPTS" => Some("--threads 2  -q".to_owned()),
            "HOST" => Some("::1".to_owned()),
            "PORT" => Some("20001".to_owned()),
            "NONE" => Some(String::new()),
            _ => None,
        };
        let expected = ["gunicorn", "--threads", "2", "-q", "-b", "::1:20001", ""];
        assert_eq!(command.expand(lookup).unwrap(), expected);
        assert_eq!(command.expand_assignments(lookup).unwrap(), [("A".into(), "::1".into())]);
        assert_eq!(command.variables(), ["HOST", "NONE", "OPTS", "PORT"]);
        let error = Command::parse("a $MISSING").unwrap().expand(lookup).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`MISSING` is not set, but the command uses it: `a $MISSING`"
        );
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        let command = Command::parse("a $B x${B}").unwrap();
        let expanded = command.expand(|_| Some("${B}".to_owned())).unwrap();
        assert_eq!(expanded, ["a", "${B}", "x${B}"]);
    }

    proptest! {
        /// Where no shell is needed and nothing is expanded, the words are those of `shell_words`.
        #[test]
        fn words_agree_with_shell_words(text in r#"[a-c"'\\ =/.,:-]{0,24}"#) {
            if let Ok(command) = Command::parse(&format!("p {text}"))
                && command.shell.is_none()
            {
                let expected = shell_words::split(&command.text).unwrap();
                prop_assert_eq!(command.words, expected);
            }
        }

        #[test]
        fn parsing_and_expanding_never_panic(text in any::<String>()) {
            if let Ok(command) = Command::parse(&text) {
                let _ = command.expand(|name| Some(name.repeat(2)));
                for name in command.variables() {
                    prop_assert!(is_variable_name(name), "{}", name);
                }
            }
        }
    }
}
