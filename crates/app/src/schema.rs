//! The keys of `skep.toml`, as one table.
//!
//! The reader refuses what is not in it and takes its defaults from it, suggestions are made from
//! it, and [`crate::reference`] prints the manual and the JSON Schema from it: none of them can
//! say something else than the others.

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What its absence means.
    pub absent: Absent,
    /// What it is for: Markdown, one paragraph.
    pub about: &'static str,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A string.
    Text,
    /// A command line.
    Command,
    /// `true` or `false`.
    Boolean,
    /// An integer of this range.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A duration such as `"30s"`, at least this many milliseconds.
    Duration {
        /// Shortest.
        min_ms: u64,
    },
    /// A size such as `"100MB"`.
    Size,
    /// A signal such as `"TERM"`.
    Signal,
    /// A list of strings.
    Texts,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// `"fd"`, `"path"`, `"port"`, `"none"` or `"tcp:5200"`.
    Listen,
    /// `"http"`, `"notify"` or a duration.
    Ready,
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table of tables with these keys, by names of the user's.
    Named(&'static [Key]),
    /// Variables: a string or a table with these keys, by name.
    Variables(&'static [Key]),
    /// Variables: strings by name.
    Values,
}

/// What the absence of a key means.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    /// An error.
    Required,
    /// This value, written as in the file, without quotes.
    Value(&'static str),
    /// What the text says.
    Means(&'static str),
}

const fn key(name: &'static str, kind: Kind, absent: Absent, about: &'static str) -> Key {
    Key { name, kind, absent, about }
}

/// Longest text of a name, path or host.
pub(crate) const MAX_TEXT_BYTES: usize = 4096;
/// Most entries of a list or a table of the user's; more is a mistake or an attack.
pub(crate) const MAX_ENTRIES: usize = 256;
/// Most slots of a service.
pub(crate) const MAX_PROCESSES: i64 = 1000;

use Absent::{Means, Required, Value};

/// The top level.
pub static APP_FILE: &[Key] = &[
    key(
        "app",
        Kind::Text,
        Required,
        "Name of the app: lowercase letters, digits and inner hyphens.",
    ),
    key(
        "data",
        Kind::Texts,
        Means("nothing but what a known starter layout keeps"),
        "Files and directories, relative to this file, that outlive releases: kept apart from the \
         code, writable by the app, seeded from the source once.",
    ),
    key("build", Kind::Table(BUILD), Means("the defaults"), "How the artifact is made."),
    key(
        "release",
        Kind::Table(RELEASE),
        Means("nothing runs"),
        "What runs once before a new release starts.",
    ),
    key(
        "env",
        Kind::Variables(VARIABLE),
        Means("none"),
        "Variables of every service, of the build steps and of the release command: a value, or a \
         table that says more. `skep env:set` overrides a value.",
    ),
    key(
        "services",
        Kind::Named(SERVICE),
        Means("those of the `Procfile`, else what the code looks like"),
        "What runs, by name.",
    ),
    key("deploy", Kind::Table(DEPLOY), Means("the defaults"), "How deploys behave."),
];

/// `[build]`.
pub static BUILD: &[Key] = &[
    key(
        "steps",
        Kind::Texts,
        Means("none"),
        "Shell commands run in the copy of the source after its environment is installed, for \
         example asset compilation; what they write is part of the artifact.",
    ),
    key(
        "python",
        Kind::Text,
        Means("what the project asks for"),
        "Which Python, as uv understands it: `\"3.12\"`, `\">=3.11\"`.",
    ),
    key(
        "include",
        Kind::Texts,
        Means("none"),
        "Glob patterns of files that the build sees though git ignores them.",
    ),
    key(
        "exclude",
        Kind::Texts,
        Means("none"),
        "Glob patterns of files that the build does not see.",
    ),
    key(
        "timeout",
        Kind::Duration { min_ms: 1000 },
        Value("20m"),
        "How long the whole build may take.",
    ),
];

/// `[release]`.
pub static RELEASE: &[Key] = &[
    key(
        "command",
        Kind::Command,
        Means("nothing runs"),
        "Run once per release, in the new release with its environment, before anything starts; \
         its failure ends the deploy. For migrations.",
    ),
    key("timeout", Kind::Duration { min_ms: 1000 }, Value("10m"), "How long it may take."),
];

/// A variable that is a table.
pub static VARIABLE: &[Key] = &[
    key("value", Kind::Text, Means("none"), "Its default."),
    key(
        "required",
        Kind::Boolean,
        Value("false"),
        "A release without it is refused before anything runs.",
    ),
    key(
        "secret",
        Kind::Boolean,
        Value("false"),
        "Never printed unasked; `true` for what is generated.",
    ),
    key(
        "generate",
        Kind::Integer { min: 8, max: 1024 },
        Means("nothing is generated"),
        "Made at random with the first release and kept: so many bytes, written in hexadecimal.",
    ),
    key("about", Kind::Text, Means("nothing"), "What it is for; shown where it is missing."),
];

/// `[services.NAME]`.
pub static SERVICE: &[Key] = &[
    key(
        "command",
        Kind::Command,
        Required,
        "What runs, in the release's directory. It is run without a shell unless it needs one; \
         `$NAME` and `${NAME}` do not.",
    ),
    key(
        "processes",
        Kind::Integer { min: 0, max: MAX_PROCESSES },
        Value("1"),
        "Slots at first, each with its own socket. `skep scale` takes over from here and outlives deploys.",
    ),
    key(
        "listen",
        Kind::Listen,
        Means(
            "what its server can do; `\"port\"` for an unknown server called `web`, else `\"none\"`",
        ),
        "How it gets its socket: `\"fd\"` descriptor 3, held while the process restarts; `\"port\"` it \
         binds `$PORT`; `\"path\"` it binds the unix socket `$PORT`; `\"tcp:5200\"` a fixed port, so \
         that old and new cannot run side by side; `\"none\"` it does not listen.",
    ),
    key(
        "health",
        Kind::Text,
        Means("any answer below 500 to `GET /`"),
        "Path that must answer 2xx before requests are switched to a slot.",
    ),
    key("hosts", Kind::Texts, Means("any host"), "Hosts it answers for, without scheme and port."),
    key("path", Kind::Text, Value("/"), "Path prefix it answers for; not taken off the request."),
    key(
        "user",
        Kind::Text,
        Means("the app's own user"),
        "Reserved: a deploy refuses it. Each app runs as a user of its own where Skep runs as root.",
    ),
    key(
        "stop_signal",
        Kind::Signal,
        Means("`TERM`, or what its server needs"),
        "Asks for an orderly end.",
    ),
    key(
        "stop_grace",
        Kind::Duration { min_ms: 0 },
        Value("30s"),
        "How long that may take before the kill.",
    ),
    key(
        "ready",
        Kind::Ready,
        Means("`\"http\"` if it listens, else `\"1s\"`"),
        "What makes a slot ready: `\"http\"` an answer on its own socket, `\"notify\"` `READY=1` on \
         `NOTIFY_SOCKET`, or a time that it has stayed up.",
    ),
    key(
        "ready_timeout",
        Kind::Duration { min_ms: 1000 },
        Value("60s"),
        "How long getting ready may take; then the deploy fails.",
    ),
    key(
        "restart",
        Kind::Choice(&["always", "on-failure", "never"]),
        Value("always"),
        "What happens when a process ends by itself; `\"on-failure\"` lets status 0 be.",
    ),
    key(
        "after",
        Kind::Texts,
        Means("none"),
        "Services of this app that must be ready before it starts.",
    ),
    key(
        "overlap",
        Kind::Boolean,
        Value("false"),
        "For services that do not listen: old and new may run side by side. Otherwise each old \
         slot is stopped before its successor starts.",
    ),
    key(
        "hold",
        Kind::Duration { min_ms: 0 },
        Value("10s"),
        "How long a request waits while no slot is ready.",
    ),
    key(
        "drain",
        Kind::Duration { min_ms: 0 },
        Value("30s"),
        "How long requests may go on in a slot that was replaced; what is cut then is listed.",
    ),
    key(
        "response_timeout",
        Kind::Duration { min_ms: 1000 },
        Value("60s"),
        "How long a slot may take to the first byte of its answer.",
    ),
    key("body_limit", Kind::Size, Value("100MB"), "Largest request body."),
    key(
        "in_flight",
        Kind::Integer { min: 1, max: 4096 },
        Means("512 for servers with an event loop, else 64"),
        "Most requests at once in one slot; more wait in the proxy.",
    ),
    key(
        "open_files",
        Kind::Integer { min: 16, max: 1 << 20 },
        Means("the system's limit"),
        "Most open descriptors of a process.",
    ),
    key("env", Kind::Values, Means("none"), "Variables of this service alone."),
];

/// `[deploy]`.
pub static DEPLOY: &[Key] = &[
    key(
        "watch",
        Kind::Duration { min_ms: 0 },
        Value("10s"),
        "How long after the switch a crash loop or lost readiness brings the old release back.",
    ),
    key(
        "keep",
        Kind::Integer { min: 1, max: 100 },
        Value("5"),
        "Good releases kept for rollbacks.",
    ),
];

/// Returns every section with its heading, in the manual's order.
pub fn sections() -> [(&'static str, &'static [Key]); 6] {
    [
        ("top level", APP_FILE),
        ("[build]", BUILD),
        ("[release]", RELEASE),
        ("[env] NAME = { … }", VARIABLE),
        ("[services.NAME]", SERVICE),
        ("[deploy]", DEPLOY),
    ]
}

impl Key {
    /// Returns the default as the file writes it, where there is one value.
    pub(crate) fn default_text(&self) -> Option<&'static str> {
        match self.absent {
            Value(text) => Some(text),
            Required | Means(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::quantity::{parse_duration, parse_size};

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for (section, keys) in sections() {
            for key in keys {
                let Some(text) = key.default_text() else { continue };
                let good = match key.kind {
                    Kind::Duration { min_ms } => parse_duration(text).is_ok_and(|ms| ms >= min_ms),
                    Kind::Size => parse_size(text).is_ok(),
                    Kind::Integer { min, max } => {
                        text.parse().is_ok_and(|value: i64| (min..=max).contains(&value))
                    }
                    Kind::Boolean => text == "true" || text == "false",
                    Kind::Choice(choices) => choices.contains(&text),
                    Kind::Text => true,
                    _ => false,
                };
                assert!(good, "{section} {}: {text}", key.name);
            }
        }
    }
}
