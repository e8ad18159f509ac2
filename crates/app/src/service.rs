//! One service: its command, what its server's profile makes of it, and what the file says.
//!
//! A service of a Procfile goes the same way as one of an app file whose other keys are all
//! absent, so that both have the same defaults.

use std::collections::BTreeMap;

use crate::command::is_variable_name;
use crate::layout::Layout;
use crate::model::{Command, Listen, Ready, Restart, Service};
use crate::problem::{Problems, Show};
use crate::profile::{self, Connections, Listens, Recognised};
use crate::reader::{Section, Span, is_plain, key_span};
use report::quantity::{QuantityError, parse_duration};

/// The service that listens where nothing else is known about it.
pub const WEB: &str = "web";

/// How long a service that does not listen must stay up to be ready.
pub const STAYS_UP_MS: u64 = 1000;

/// Longest host name (RFC 1035 §2.3.4, without the root's dot).
const MAX_HOST_BYTES: usize = 253;

/// Variables that Skep sets for each start: one of the user's would break the socket or readiness.
const RESERVED_VARIABLES: &[&str] =
    &["PORT", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"];

/// A service on its way into the app, with the places that later checks point at.
pub(crate) struct Draft {
    pub(crate) service: Service,
    /// Where its name stands.
    pub(crate) name_span: Span,
    /// Where each key that is there stands.
    pub(crate) keys: BTreeMap<&'static str, Span>,
    /// Where each entry of `hosts` and of `after` stands.
    pub(crate) host_spans: Vec<Span>,
    pub(crate) after_spans: Vec<Span>,
    /// Whether its command could not be read: nothing that follows from it is worth telling.
    pub(crate) broken: bool,
    /// What was assumed.
    pub(crate) notes: Vec<String>,
}

impl Draft {
    /// Returns where a key stands, else where the service does.
    pub(crate) fn place(&self, key: &str) -> Span {
        self.keys.get(key).unwrap_or(&self.name_span).clone()
    }
}

/// Reads a service whose command is known.
pub(crate) fn read(
    name: &str,
    name_span: Span,
    command: Command,
    section: &Section<'_>,
    layout: &Layout,
) -> Draft {
    let mut notes = Vec::new();
    let found = profile::recognise(&command);
    let asked = section.text("listen").and_then(|text| match parse_listen(&text.value) {
        Ok(listen) => Some(listen),
        Err(label) => {
            section.add(text.span, label);
            None
        }
    });
    let listen = asked.unwrap_or_else(|| default_listen(name, &command, found));
    let (command, added) = with_arguments(command, listen, found);
    if let Some(added) = added {
        notes.push(format!(
            "{name}: `{added}` is added to its command, because the server knows no variable for \
             its port"
        ));
    }
    if let Some(note) = found.and_then(|found| found.profile.note) {
        notes.push(format!("{name}: {note}"));
    }
    if let (None, Some(reason)) = (asked, lost_descriptor(&command, found)) {
        notes.push(format!("{name} listens on `$PORT`, not on a held socket: {reason}"));
    }
    let connections = match found {
        Some(found) if listen != Listen::None => {
            // Words of a shell's command are not split; what they say about threads is unknown.
            let configured = layout.has_file("gunicorn.conf.py")
                || profile::names_configuration(&command.words)
                || command.shell.is_some();
            profile::connections(found.profile, &command.words, configured)
        }
        _ => Connections::default(),
    };
    let default_ready = match listen {
        Listen::None => Ready::StaysUp(STAYS_UP_MS),
        _ => Ready::Http,
    };
    let (hosts, host_spans) = read_hosts(section);
    let after = section.texts("after");
    let service = Service {
        processes: section.integer("processes").unwrap_or(1) as u32,
        health: read_path(section, "health"),
        hosts,
        path: read_path(section, "path").unwrap_or_else(|| "/".to_owned()),
        user: read_user(section),
        stop_signal: section
            .signal("stop_signal")
            .or(found.map(|found| found.profile.stop_signal))
            .unwrap_or(15),
        stop_grace_ms: section.duration_ms("stop_grace"),
        ready: read_ready(section).unwrap_or(default_ready),
        ready_timeout_ms: section.duration_ms("ready_timeout"),
        restart: match section.choice("restart") {
            "never" => Restart::Never,
            "on-failure" => Restart::OnFailure,
            _ => Restart::Always,
        },
        after: after.iter().map(|text| text.value.clone()).collect(),
        overlap: section.boolean("overlap").unwrap_or(false),
        hold_ms: section.duration_ms("hold"),
        drain_ms: section.duration_ms("drain"),
        response_timeout_ms: section.duration_ms("response_timeout"),
        body_limit_bytes: section.size_bytes("body_limit"),
        in_flight: section.integer("in_flight").map_or(connections.in_flight, |n| n as u32),
        open_files: section.integer("open_files"),
        env: read_values(section),
        profile: found.map(|found| found.profile.name.to_owned()),
        idle_ms: connections.idle_ms,
        command,
        listen,
    };
    let keys = crate::schema::SERVICE
        .iter()
        .filter_map(|key| Some((key.name, section.key(key.name)?)))
        .collect();
    let after_spans = after.into_iter().map(|text| text.span).collect();
    Draft { service, name_span, keys, host_spans, after_spans, broken: false, notes }
}

impl Service {
    /// Returns why it listens as it does, in one line for plans.
    pub fn listen_reason(&self) -> String {
        let found = profile::recognise(&self.command);
        let server = found.map_or("its command", |found| found.profile.name);
        match self.listen {
            Listen::Fd => format!("{server} takes its socket as descriptor 3"),
            Listen::Path => format!("{server} binds the unix socket `$PORT`"),
            Listen::Fixed(port) => format!("it binds port {port} itself"),
            Listen::Port => match lost_descriptor(&self.command, found) {
                Some(reason) => format!("{server} binds `$PORT`: {reason}"),
                None => format!("{server} binds `$PORT`"),
            },
            Listen::None => "it does not listen".to_owned(),
        }
    }
}

/// Reads a command and reports what is wrong with it.
pub(crate) fn read_command(text: &str, span: Span, problems: &Problems) -> Option<Command> {
    let command = match Command::parse(text) {
        Ok(command) => command,
        Err(error) => {
            problems.add(span, error.to_string());
            return None;
        }
    };
    let reserved = |name: &String| RESERVED_VARIABLES.contains(&name.as_str());
    if let Some((name, _)) = command.assignments.iter().find(|(name, _)| reserved(name)) {
        problems.add(span, format!("`{name}` is set by Skep for each start"));
    }
    Some(command)
}

/// Checks the name of a variable of the user's.
pub(crate) fn check_variable_name(name: &str, span: Span, problems: &Problems) -> bool {
    let label = if RESERVED_VARIABLES.contains(&name) {
        if name == "PORT" {
            problems.hint("for a fixed port write `listen = \"tcp:5000\"` in the service");
        }
        "set by Skep for each start"
    } else if is_variable_name(name) {
        return true;
    } else {
        "not the name of a variable: letters, digits and `_`, not a digit first"
    };
    problems.add_shown(span, label, Show::Masked);
    false
}

fn default_listen(name: &str, command: &Command, found: Option<Recognised>) -> Listen {
    match found.map(|found| found.profile.listens) {
        Some(Listens::Fd) if lost_descriptor(command, found).is_none() => Listen::Fd,
        Some(Listens::Fd | Listens::Port) => Listen::Port,
        Some(Listens::IfWeb) | None if name == WEB => Listen::Port,
        Some(Listens::Never | Listens::IfWeb) | None => Listen::None,
    }
}

/// Returns why a server that could take a descriptor would not see it.
fn lost_descriptor(command: &Command, found: Option<Recognised>) -> Option<String> {
    let found = found.filter(|found| found.profile.listens == Listens::Fd)?;
    if let Some(reason) = &command.shell {
        return Some(format!(
            "the command needs a shell ({reason}), and a server ignores a descriptor that is \
             meant for its shell; `exec` before the server and `listen = \"fd\"` change that"
        ));
    }
    let parent = found.parent?;
    Some(format!("`{parent}` stays between Skep and the server, which would ignore a descriptor"))
}

fn with_arguments(
    command: Command,
    listen: Listen,
    found: Option<Recognised>,
) -> (Command, Option<String>) {
    let added = match found {
        Some(found) if listen == Listen::Port => profile::with_arguments(&command, &found),
        _ => None,
    };
    match added {
        Some((command, added)) => (command, Some(added)),
        None => (command, None),
    }
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    if let Some(port) = text.strip_prefix("tcp:") {
        return match port.parse::<u16>() {
            Ok(port) if port > 0 && !port_is_odd(text) => Ok(Listen::Fixed(port)),
            _ => Err("expected a port from 1 to 65535 behind `tcp:`".to_owned()),
        };
    }
    match text {
        "fd" => Ok(Listen::Fd),
        "path" => Ok(Listen::Path),
        "port" => Ok(Listen::Port),
        "none" => Ok(Listen::None),
        _ => {
            let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let known = ["fd", "path", "port", "none"];
            Err(match report::did_you_mean(text, known) {
                Some(meant) => format!("did you mean `\"{meant}\"`?"),
                None if all_digits => format!("for a fixed port write `\"tcp:{text}\"`"),
                None => {
                    "expected `\"fd\"`, `\"path\"`, `\"port\"`, `\"none\"` or a fixed port such \
                         as `\"tcp:5200\"`"
                        .to_owned()
                }
            })
        }
    }
}

/// `+80` and `080` are numbers to the standard parser, but not how a port is written.
fn port_is_odd(text: &str) -> bool {
    text.starts_with("tcp:+") || text.starts_with("tcp:0")
}

fn read_ready(section: &Section<'_>) -> Option<Ready> {
    let text = section.text("ready")?;
    match text.value.as_str() {
        "http" => return Some(Ready::Http),
        "notify" => return Some(Ready::Notify),
        _ => {}
    }
    let label = match parse_duration(&text.value) {
        Ok(ms) => return Some(Ready::StaysUp(ms)),
        Err(QuantityError::NotADuration) => {
            match report::did_you_mean(&text.value, ["http", "notify"]) {
                Some(meant) => format!("did you mean `\"{meant}\"`?"),
                None => "expected `\"http\"`, `\"notify\"` or how long it must stay up, such as \
                         `\"10s\"`"
                    .to_owned(),
            }
        }
        Err(error) => error.to_string(),
    };
    section.add(text.span, label);
    None
}

fn read_hosts(section: &Section<'_>) -> (Vec<String>, Vec<Span>) {
    let mut hosts: Vec<String> = Vec::new();
    let mut spans = Vec::new();
    for text in section.texts("hosts") {
        let host = text.value.to_ascii_lowercase();
        let label = match host_refusal(&host) {
            Some(label) => label,
            None if hosts.contains(&host) => "named twice",
            None => {
                hosts.push(host);
                spans.push(text.span);
                continue;
            }
        };
        section.add(text.span, label);
    }
    (hosts, spans)
}

fn host_refusal(host: &str) -> Option<&'static str> {
    let labels_are_good = || {
        host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
    };
    if host.contains("://") || host.contains('/') {
        Some("expected only the host, without scheme and path")
    } else if host.contains(':') {
        Some("expected only the host, without a port")
    } else if host.contains('*') {
        Some("patterns are not supported; name each host, or leave `hosts` out for any")
    } else if !host.is_ascii() {
        Some("expected the host's ASCII form (`xn--…`)")
    } else if host.len() > MAX_HOST_BYTES || !labels_are_good() {
        Some("not a host name")
    } else {
        None
    }
}

/// Reads an absolute URL path; a slash at its end is taken off.
fn read_path(section: &Section<'_>, name: &str) -> Option<String> {
    let text = section.text(name)?;
    let path = text.value.as_str();
    let label = if !path.starts_with('/') {
        format!("must start with `/`: write `\"/{path}\"`")
    } else if name == "path" && path.contains(['?', '#']) {
        "expected a path without `?` and `#`".to_owned()
    } else if path.contains(|c: char| c.is_whitespace()) || !is_plain(path) || !path.is_ascii() {
        "not a URL path; write other characters as `%41`".to_owned()
    } else if path.contains("//") || path.split('/').any(|part| part == "." || part == "..") {
        "expected a path without `//`, `.` and `..`".to_owned()
    } else if name == "path" {
        let trimmed = path.trim_end_matches('/');
        return Some(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() });
    } else {
        return Some(text.value);
    };
    section.add(text.span, label);
    None
}

fn read_user(section: &Section<'_>) -> Option<String> {
    let text = section.text("user")?;
    let user = text.value.as_str();
    let label = if user == "root" {
        "no service runs as `root`"
    } else if user.len() <= 32
        && user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && user.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
    {
        return Some(text.value);
    } else {
        "not the name of a user"
    };
    section.add(text.span, label);
    None
}

/// Reads `[services.NAME.env]`.
fn read_values(section: &Section<'_>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let Some((table, span)) = section.entries("env") else { return values };
    for (name, item) in table.iter() {
        let place = key_span(table, name).unwrap_or_else(|| span.clone());
        if !check_variable_name(name, place.clone(), section.problems()) {
            continue;
        }
        let value_span = item.span().unwrap_or(place);
        match item.as_str() {
            Some(value) if !value.contains('\0') => {
                values.insert(name.to_owned(), value.to_owned());
            }
            Some(_) => {
                section.problems().add_shown(value_span, "holds a NUL character", Show::Masked);
            }
            None if item.is_table_like() => section.problems().add_shown(
                value_span,
                "expected a string; `required`, `secret` and the like belong into `[env]`",
                Show::Masked,
            ),
            None => {
                section.text_of(item, value_span);
            }
        }
    }
    values
}
