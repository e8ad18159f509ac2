//! Questions on the terminal.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use report::{Failure, Kind};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::error::{Error, Result};

/// Returns whether somebody is there to answer.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question; anything but a yes is a no.
pub(crate) fn confirm(question: &str) -> Result<bool> {
    prompt(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| unreadable(&error))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a line without showing it.
///
/// The terminal is read key by key and not by its own line editor: with that, Ctrl-C would end the
/// program while the terminal shows nothing any more. It is restored in every case but `kill -9`.
pub(crate) fn ask_hidden(question: &str) -> Result<String> {
    /// As long as a variable's value may be.
    const MAX_BYTES: usize = 128 << 10;
    let stdin = io::stdin();
    let hidden = Hidden::begin(&stdin)?;
    prompt(question);
    let mut line = Vec::new();
    let end = loop {
        let mut byte = [0];
        match stdin.lock().read(&mut byte) {
            Ok(0) => break End::Line,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(&error)),
        }
        match edit(&mut line, byte[0]) {
            Some(end) => break end,
            None if line.len() > MAX_BYTES => break End::Interrupt,
            None => {}
        }
    };
    drop(hidden);
    prompt("\n");
    match end {
        End::Interrupt => {
            Err(Failure::new(Kind::Interrupted, "interrupted; nothing is set").into())
        }
        End::Line => String::from_utf8(line)
            .map_err(|error| Failure::new(Kind::Usage, "not UTF-8").because(&error).into()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Line,
    Interrupt,
}

/// What one key does to a hidden line.
fn edit(line: &mut Vec<u8>, key: u8) -> Option<End> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    match key {
        b'\n' | b'\r' | CTRL_D => return Some(End::Line),
        CTRL_C => return Some(End::Interrupt),
        CTRL_U => line.clear(),
        8 | 127 => {
            // One character, however many bytes it has.
            while line.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {}
        }
        other => line.push(other),
    }
    None
}

/// A terminal that shows nothing, until dropped.
struct Hidden<'a> {
    stdin: &'a io::Stdin,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn begin(stdin: &'a io::Stdin) -> Result<Self> {
        let before = tcgetattr(stdin.as_fd()).map_err(|errno| unreadable(&errno.into()))?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        hidden.input_modes.remove(InputModes::ICRNL);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin.as_fd(), OptionalActions::Flush, &hidden)
            .map_err(|errno| unreadable(&errno.into()))?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // There is nothing else to try if the terminal has gone.
        let _ = tcsetattr(self.stdin.as_fd(), OptionalActions::Now, &self.before);
    }
}

fn prompt(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn unreadable(error: &io::Error) -> Error {
    Failure::new(Kind::Usage, "failed to read the answer from the terminal").because(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> (String, Option<End>) {
        let mut line = Vec::new();
        let end = keys.iter().find_map(|key| edit(&mut line, *key));
        (String::from_utf8(line).unwrap(), end)
    }

    #[test]
    fn a_hidden_line_can_be_corrected() {
        assert_eq!(typed("sé\x7fe\r".as_bytes()), ("se".to_owned(), Some(End::Line)));
        assert_eq!(typed(b"wrong\x15right\n"), ("right".to_owned(), Some(End::Line)));
        assert_eq!(typed(b"abc\x03"), ("abc".to_owned(), Some(End::Interrupt)));
        assert_eq!(typed(b"\x08\x08"), (String::new(), None));
    }
}
