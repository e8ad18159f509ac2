//! Log lines: when, which slot, what.

use std::hash::{DefaultHasher, Hash, Hasher};

use api::{LogLine, LogStream};

use super::paint::{Paint, Style};
use super::quantity::time_of_day;
use super::untrusted;

/// How much of a line's origin is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `web.0`: all lines are of one app.
    Slot,
    /// `shop/web.0`.
    App,
}

/// Returns a log line for people. Without colours (not on a terminal) the app's own text is left
/// byte for byte as it is; on a terminal it may keep its colours and nothing else.
pub(crate) fn line(line: &LogLine, origin: Origin, paint: Paint) -> String {
    let service = match origin {
        Origin::App => line.service.as_str(),
        Origin::Slot => line.service.split_once('/').map_or("", |(_, service)| service),
    };
    let mut hasher = DefaultHasher::new();
    (&line.service, line.slot).hash(&mut hasher);
    let source = Style::Source(hasher.finish() as usize);
    let time = paint.paint(Style::Dim, &time_of_day(&line.at));
    let name = paint.paint(source, &format!("{service}.{}", line.slot));
    let gap = if line.gap {
        paint.paint(Style::Warning, "(lines are missing here) ")
    } else {
        String::new()
    };
    let text = match (line.stream, paint) {
        (LogStream::Shim, _) => {
            paint.paint(Style::Dim, &format!("-- {}", untrusted::visible(&line.text)))
        }
        (_, Paint::Colours) => untrusted::coloured(&line.text).into_owned(),
        (_, Paint::Plain) => line.text.clone(),
    };
    let more = if line.partial { paint.paint(Style::Dim, " …") } else { String::new() };
    format!("{time} {name} {gap}{text}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_when_and_where_from() {
        let mut sample = LogLine {
            at: "2026-03-05T10:42:06.812345Z".to_owned(),
            service: "shop/web".to_owned(),
            slot: 2,
            pid: 4123,
            release: "v14".to_owned(),
            stream: LogStream::Stdout,
            text: "order \x1b[31m8812\x1b[0m".to_owned(),
            partial: false,
            gap: true,
        };
        assert_eq!(
            line(&sample, Origin::App, Paint::Plain),
            "10:42:06.812 shop/web.2 (lines are missing here) order \x1b[31m8812\x1b[0m"
        );
        sample.gap = false;
        sample.stream = LogStream::Shim;
        sample.text = "exit 3".to_owned();
        assert_eq!(line(&sample, Origin::Slot, Paint::Plain), "10:42:06.812 web.2 -- exit 3");
    }
}
