//! What a server's own options say: how it treats connections, and whether it knows where to listen.

use crate::model::Command;

use super::table::IN_FLIGHT_CONCURRENT;
use super::{IN_FLIGHT_ONE_BY_ONE, Profile, Recognised};

/// The proxy lets go of an idle connection this long before the server would: longer than a
/// request needs to get there.
const IDLE_MARGIN_SECONDS: u64 = 1;

/// Longest time an idle connection to a slot is kept; beyond this it saves nothing.
const MAX_IDLE_SECONDS: u64 = 30;

/// What the options of a server mean for the connections it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections {
    /// How long an idle one may be kept.
    pub(crate) idle_ms: u64,
    /// How many requests at once.
    pub(crate) in_flight: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self { idle_ms: 0, in_flight: IN_FLIGHT_ONE_BY_ONE }
    }
}

/// Returns how a server with these words treats connections. `configured` says that a file may
/// say otherwise: then nothing is assumed.
pub(crate) fn connections(profile: &Profile, words: &[String], configured: bool) -> Connections {
    let keep_alive = &profile.keep_alive;
    let seconds = match option(words, &[keep_alive.option]) {
        Some(text) => text.parse().unwrap_or(0),
        None => keep_alive.seconds,
    };
    let idle_seconds = seconds.saturating_sub(IDLE_MARGIN_SECONDS).min(MAX_IDLE_SECONDS);
    let assumed = Connections { idle_ms: idle_seconds * 1000, in_flight: profile.in_flight };
    if profile.name != "gunicorn" {
        return assumed;
    }
    let class = option(words, &["--worker-class", "-k"]).unwrap_or("sync");
    let threads: u32 = option(words, &["--threads"]).map_or(1, |text| text.parse().unwrap_or(1));
    let threaded = class == "gthread" || (class == "sync" && threads > 1);
    if configured || (class == "sync" && !threaded) {
        return Connections::default();
    }
    let in_flight = if threaded { IN_FLIGHT_ONE_BY_ONE } else { IN_FLIGHT_CONCURRENT };
    Connections { in_flight, ..assumed }
}

/// Returns whether the words name a configuration file of the server's.
pub(crate) fn names_configuration(words: &[String]) -> bool {
    option(words, &["-c", "--config"]).is_some()
}

/// Returns `command` with the words its server needs to listen on `$PORT`, and what was added; it
/// is left alone where the user already says where to listen.
pub(crate) fn with_arguments(command: &Command, found: &Recognised) -> Option<(Command, String)> {
    let arguments = found.profile.arguments.as_ref()?;
    if command.shell.is_some() {
        return None;
    }
    let behind = command.words.get(found.position + 1..)?;
    let said = behind.iter().any(|word| {
        (arguments.unless_positional && !word.starts_with('-'))
            || arguments.unless.iter().any(|option| is_option(word, option))
    });
    if said {
        return None;
    }
    let added: Vec<String> = arguments.words.iter().map(|word| (*word).to_owned()).collect();
    let text = added.join(" ");
    let mut command = command.clone();
    command.words.splice(found.position + 1..=found.position, added);
    Some((command, text))
}

fn is_option(word: &str, option: &str) -> bool {
    match word.strip_prefix(option) {
        None => false,
        Some(rest) if option.starts_with("--") => rest.is_empty() || rest.starts_with('='),
        // `-b0.0.0.0:80` is `-b 0.0.0.0:80`.
        Some(_) => !word.starts_with("--"),
    }
}

/// Returns the value of the last of these options, written `--name value`, `--name=value`,
/// `-n value` or `-nvalue`.
fn option<'a>(words: &'a [String], names: &[&str]) -> Option<&'a str> {
    let mut value = None;
    for (index, word) in words.iter().enumerate() {
        for name in names.iter().filter(|name| !name.is_empty() && is_option(word, name)) {
            let rest = &word[name.len()..];
            value = if rest.is_empty() {
                words.get(index + 1).map(String::as_str)
            } else {
                Some(rest.trim_start_matches('='))
            };
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::recognise;

    #[test]
    fn idle_connections_are_let_go_before_the_server_does() {
        let of = |text: &str, configured| {
            let command = Command::parse(text).unwrap();
            let found = recognise(&command).unwrap();
            let Connections { idle_ms, in_flight } =
                connections(found.profile, &command.words, configured);
            (idle_ms, in_flight)
        };
        for (text, expected) in [
            ("gunicorn a", (0, 64)),
            ("gunicorn --threads 1 a", (0, 64)),
            ("gunicorn --threads=4 a", (1000, 64)),
            ("gunicorn -kgevent --keep-alive 10 a", (9000, 512)),
            ("gunicorn -k uvicorn.workers.UvicornWorker a", (1000, 512)),
            ("gunicorn --threads 4 --keep-alive 1 a", (0, 64)),
            ("uvicorn a:b", (4000, 512)),
            ("uvicorn a:b --timeout-keep-alive=90", (30_000, 512)),
            ("uvicorn a:b --timeout-keep-alive x", (0, 512)),
            ("waitress-serve a:b", (30_000, 64)),
            ("flask run", (0, 64)),
        ] {
            assert_eq!(of(text, false), expected, "{text:?}");
        }
        assert_eq!(of("gunicorn --threads 4 a", true), (0, 64));
    }

    #[test]
    fn arguments_are_added_only_where_nothing_is_said() {
        let of = |text: &str| {
            let command = Command::parse(text).unwrap();
            let found = recognise(&command).unwrap();
            with_arguments(&command, &found).map(|(command, _)| command.words.join(" "))
        };
        for (text, expected) in [
            ("hypercorn a:b", Some("hypercorn --bind 127.0.0.1:${PORT} a:b")),
            ("hypercorn a:b -b 0.0.0.0:$PORT", None),
            ("hypercorn --bind=[::]:$PORT a:b", None),
            (
                "waitress-serve --call a:b",
                Some("waitress-serve --listen=127.0.0.1:${PORT} --call a:b"),
            ),
            ("waitress-serve --port=$PORT a:b", None),
            ("daphne a:b", Some("daphne -b 127.0.0.1 -p ${PORT} a:b")),
            ("daphne -p$PORT a:b", None),
            (
                "python manage.py runserver",
                Some("python manage.py runserver --noreload 127.0.0.1:${PORT}"),
            ),
            ("python manage.py runserver $PORT", None),
            ("gunicorn a", None),
            ("cd x && hypercorn a:b", None),
        ] {
            assert_eq!(of(text).as_deref(), expected, "{text:?}");
        }
    }
}
