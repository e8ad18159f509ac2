//! What an agent said that does not come up: nobody is left who could be asked for its log.

use home::Home;
use logs::{Filter, Reader, Start, Stream};

use crate::bootstrap::agent_service;

/// Lines of the agent's log that are looked at; an agent that fails to start says a few.
const READ_LINES: usize = 40;

/// Returns what the agent wrote after its last start, oldest first; nothing where there is no log
/// or one may not read it.
pub fn last_words(home: &Home) -> Vec<String> {
    let directory = home.logs(&agent_service().file_name());
    let Ok(mut reader) = Reader::open(&directory, Start::Last(READ_LINES), Filter::default())
    else {
        return Vec::new();
    };
    let mut words = Vec::new();
    while let Ok(Some(entry)) = reader.read_next() {
        let text = String::from_utf8_lossy(entry.record.bytes);
        match entry.record.stream {
            Stream::Shim if text.starts_with("started") => words.clear(),
            Stream::Shim => {}
            _ => words.push(text.into_owned()),
        }
    }
    words
}
