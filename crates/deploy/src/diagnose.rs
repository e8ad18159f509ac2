//! Why a release never became ready, put together from exits, probes and the log.

use std::collections::BTreeSet;
use std::path::Path;

use api::EnvLayer;
use app::model::Listen;
use logs::{Filter, Reader, Start, Stream};
use report::{Failure, Kind};

use crate::listening;
use crate::readiness::NotReady;
use crate::spec::Prepared;

/// Log lines shown of a failed start.
const SHOWN_LINES: usize = 12;

/// Log lines read to find the cause.
const READ_LINES: usize = 200;

/// Returns the report of slots that were given up. `shell` are the names in the caller's shell, here
/// and below.
pub fn never_ready(
    home: &home::Home,
    prepared: &Prepared,
    old: Option<u32>,
    failed: &[NotReady],
    shell: &BTreeSet<String>,
) -> Failure {
    let app = &prepared.release.app.name;
    let number = prepared.release.number;
    let mut failure = Failure::new(Kind::Failed, format!("{app} v{number} never became ready"));
    let Some(first) = failed.first() else { return failure };
    let service = first.slot.split('.').next().unwrap_or_default();
    let log = last_lines(&home.logs(&format!("{app}.{service}")), number);
    let exception = python_exception(&log, &prepared.release.artifact.code_directory);

    let mut cause = match &exception {
        Some(found) => format!("{}: {}", first.slot, found.text),
        None => format!("{}: {}", first.slot, first.reason),
    };
    if exception.is_some() && first.exits > 0 {
        cause = format!("{cause}, {}", first.reason);
    }
    failure = failure.cause(cause);
    for other in &failed[1..] {
        failure = failure.cause(format!("{}: {}", other.slot, other.reason));
    }
    if let Some(asked) = &first.asked {
        let answers: Vec<String> = first
            .probes
            .iter()
            .map(|(text, count)| match count {
                1 => text.clone(),
                count => format!("{text} ×{count}"),
            })
            .collect();
        let text = if answers.is_empty() { "no answer".to_owned() } else { answers.join("\n") };
        failure = failure.detail("probes", format!("{asked}: {text}"));
    }
    let listen = prepared.app().services.get(service).map(|service| service.listen);
    if let (Some(listen), Some(ports)) = (listen, listens_elsewhere(first)) {
        failure = failure.detail("listens", format!("{ports}, {}", not_where_asked(listen)));
        failure = failure.hint(match listen {
            Listen::Port => {
                "let the command bind $PORT, or declare the port that it binds: \
                             listen = \"tcp:PORT\""
            }
            _ => {
                "listen = \"port\" gives the service $PORT to bind; listen = \"tcp:PORT\" \
                  declares the one that it binds"
            }
        });
    }
    if !prepared.release.changed.is_empty() {
        failure = failure.detail("changed", prepared.release.changed.join("\n"));
    }
    if !log.is_empty() {
        failure = failure.detail("log", excerpt(&log, exception.as_ref()));
    }
    failure = failure.detail(
        "old",
        match old {
            Some(old) => format!("v{old} still serves, nothing was switched"),
            None => "nothing served before".to_owned(),
        },
    );
    let hints = failure.hints.len();
    failure = with_findings(failure, prepared, &log, shell);
    if failure.hints.len() == hints {
        failure = failure.hint(format!("skep logs {app}/{service} --release v{number}"));
    }
    failure
}

/// Returns the report of a release command that ended badly.
pub fn release_failed(
    failure: Failure,
    prepared: &Prepared,
    old: Option<u32>,
    log: &[String],
    shell: &BTreeSet<String>,
) -> Failure {
    let exception = python_exception(log, &prepared.release.artifact.code_directory);
    let failure = match exception {
        Some(found) => failure.cause(found.text),
        None => failure,
    };
    let shown = &log[log.len().saturating_sub(SHOWN_LINES)..];
    let failure = match shown {
        [] => failure,
        lines => failure.detail("log", lines.join("\n")),
    };
    let failure = match old {
        Some(old) => failure.detail("old", format!("v{old} still serves, nothing was started")),
        None => failure,
    };
    with_findings(failure, prepared, log, shell)
}

/// Returns the lines of a log that matter: up to the exception that is the cause, since servers go on
/// talking after it; without one the last.
fn excerpt(log: &[String], exception: Option<&Exception>) -> String {
    let end = exception.map_or(log.len(), |found| found.end.min(log.len()));
    let shown = &log[end.saturating_sub(SHOWN_LINES)..end];
    let title = match end == log.len() {
        true => format!("last {} of {} lines", shown.len(), log.len()),
        false => format!("{} of {} lines, up to the exception", shown.len(), log.len()),
    };
    format!("{title}\n{}", shown.join("\n"))
}

/// Adds what a log tells of causes that everybody meets once, with the next command.
fn with_findings(
    mut failure: Failure,
    prepared: &Prepared,
    log: &[String],
    shell: &BTreeSet<String>,
) -> Failure {
    let app = &prepared.release.app.name;
    let code = &prepared.release.artifact.code_directory;
    if let Some(path) = unwritable(log, code) {
        let text = format!(
            "`{path}` is a part of the release, which is read-only: what the app writes is `data`"
        );
        let declared = prepared.app().data.iter().map(|data| data.path.clone());
        let all: Vec<String> = declared.chain([path]).map(|path| format!("\"{path}\"")).collect();
        failure = failure.cause(text).hint(format!("data = [{}] in skep.toml", all.join(", ")));
    }
    if let Some(name) = python_exception(log, code).and_then(|found| found.missing_variable) {
        let known = prepared.app().env.contains_key(&name);
        let layer = if known { "declared without a value" } else { "not set" };
        failure = failure.cause(format!("the variable `{name}` is {layer} for {app}"));
        if shell.contains(&name) {
            failure = failure.cause(environment::IN_THE_SHELL);
        }
        failure = failure.hint(format!("skep env:set {app} {name}"));
    }
    failure
}

/// Returns where the slot's processes listen, if nobody answers where they were asked to.
fn listens_elsewhere(failed: &NotReady) -> Option<String> {
    let process = failed.state.as_ref()?.process?;
    let found = listening::ports(process.pid).unwrap_or_default();
    let silent = failed.probes.iter().any(|(text, _)| {
        text.starts_with("nothing") || text.starts_with("no answer") || text.starts_with("no HTTP")
    });
    if found.is_empty() || !silent {
        return None;
    }
    let ports: Vec<String> = found.iter().map(|port| format!("port {port}")).collect();
    Some(format!("process {} on {}", process.pid, ports.join(", ")))
}

fn not_where_asked(listen: Listen) -> String {
    match listen {
        Listen::Fd => "not on the socket that it was given as descriptor 3".to_owned(),
        Listen::Path => "not on the unix socket that $PORT names".to_owned(),
        Listen::Port => "not on $PORT".to_owned(),
        Listen::Fixed(port) => format!("not on port {port}, which the app file declares"),
        Listen::None => "though it is declared to listen nowhere".to_owned(),
    }
}

/// Returns the last lines that a release's processes wrote.
pub fn last_lines(directory: &Path, release: u32) -> Vec<String> {
    let filter = Filter { release: Some(format!("v{release}")), ..Filter::default() };
    let Ok(mut reader) = Reader::open(directory, Start::Last(READ_LINES), filter) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    while let Ok(Some(entry)) = reader.read_next() {
        if entry.record.stream != Stream::Shim {
            lines.push(String::from_utf8_lossy(entry.record.bytes).into_owned());
        }
    }
    lines
}

/// Words with which programs say that they may not write a file they name.
const DENIALS: [&str; 4] = ["Permission denied", "Read-only file system", "EACCES", "EROFS"];

/// Returns the file or directory of the release that a process has tried to write last, as it is
/// named in `data`.
fn unwritable(lines: &[String], code: &Path) -> Option<String> {
    let denied = |line: &&String| DENIALS.iter().any(|words| line.contains(words));
    lines.iter().rev().filter(denied).find_map(|line| {
        let quoted = line.split(['\'', '"', '`']).skip(1).step_by(2);
        quoted.map(Path::new).find_map(|path| {
            // Relative ones are relative to the code, where every process starts.
            let inside = if path.is_relative() { path } else { path.strip_prefix(code).ok()? };
            let text = inside.to_str()?;
            let is_file = text.contains(['.', '/']) || path.is_absolute();
            (is_file && !text.is_empty() && !text.starts_with("..")).then(|| text.to_owned())
        })
    })
}

/// A Python exception found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    /// `KeyError 'STRIPE_KEY' at settings.py:88`.
    text: String,
    /// The variable that seems to be missing.
    missing_variable: Option<String>,
    /// The number of lines up to its last one.
    end: usize,
}

/// Finds the last traceback that goes through the app's own code; one that does not if there is no
/// other: gunicorn's master adds one of its own, which says only that a worker failed.
fn python_exception(lines: &[String], code: &Path) -> Option<Exception> {
    let begins = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains("Traceback (most recent call last)"))
        .map(|(number, _)| number);
    let found: Vec<(bool, Exception)> =
        begins.filter_map(|begin| traceback(lines, begin + 1, code)).collect();
    let own = found.iter().rposition(|(is_own, _)| *is_own);
    let chosen = own.or(found.len().checked_sub(1))?;
    found.into_iter().nth(chosen).map(|(_, exception)| exception)
}

/// Reads the traceback from line `begin` on, and whether a frame of it lies in the app's own code.
fn traceback(lines: &[String], begin: usize, code: &Path) -> Option<(bool, Exception)> {
    let code = code.to_string_lossy();
    let mut frame = None;
    let mut error = None;
    let mut end = begin;
    for line in &lines[begin..] {
        end += 1;
        let trimmed = line.trim_start();
        if let Some(rest) = trimmed.strip_prefix("File \"") {
            let mut parts = rest.splitn(2, "\", line ");
            if let (Some(file), Some(rest)) = (parts.next(), parts.next())
                && let Some(file) = file.strip_prefix(&*code)
            {
                let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
                frame = Some(format!("{}:{number}", file.trim_start_matches('/')));
            }
        } else if !line.starts_with([' ', '\t']) && !trimmed.is_empty() {
            error = Some(trimmed.to_owned());
            break;
        }
    }
    let error = error?;
    let missing_variable = missing_variable(&error);
    let is_own = frame.is_some();
    let text = match frame {
        Some(frame) => format!("{error} at {frame}"),
        None => error,
    };
    Some((is_own, Exception { text, missing_variable, end }))
}

/// `KeyError: 'STRIPE_KEY'` names what `os.environ[…]` did not find.
fn missing_variable(error: &str) -> Option<String> {
    let name = error.strip_prefix("KeyError: ")?.trim_matches(['\'', '"']);
    let plausible = name.len() > 1
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    plausible.then(|| name.to_owned())
}

/// Maps a layer of the environment to the one that the API names.
pub fn layer(layer: environment::Layer) -> EnvLayer {
    match layer {
        environment::Layer::Base => EnvLayer::Base,
        environment::Layer::Profile => EnvLayer::Profile,
        environment::Layer::AppFile => EnvLayer::AppFile,
        environment::Layer::Service => EnvLayer::Service,
        environment::Layer::Generated => EnvLayer::Generated,
        environment::Layer::Operator => EnvLayer::Operator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceback_is_reduced_to_error_file_and_line() {
        let log = "booting\nTraceback (most recent call last):\n  \
            File \"/a/code/shop/settings.py\", line 88, in <module>\n    KEY = os.environ['K']\n  \
            File \"/usr/lib/python3.11/os.py\", line 680, in __getitem__\n    raise KeyError\n\
            KeyError: 'STRIPE_KEY'\nbye";
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        let found = python_exception(&lines, Path::new("/a/code")).unwrap();
        assert_eq!(found.text, "KeyError: 'STRIPE_KEY' at shop/settings.py:88");
        assert_eq!(found.missing_variable.as_deref(), Some("STRIPE_KEY"));
        assert_eq!(missing_variable("KeyError: 'name'"), None);
    }

    #[test]
    fn the_traceback_of_the_app_counts_and_not_that_of_its_server() {
        let log = "Traceback (most recent call last):\n  File \"/a/code/shop.py\", line 3, in f\n\
            KeyError: 'A_KEY'\n[7] [ERROR] Reason: Worker failed to boot.\n\
            Traceback (most recent call last):\n  File \"/a/env/gunicorn/arbiter.py\", line 9\n\
            gunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>";
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        let found = python_exception(&lines, Path::new("/a/code")).unwrap();
        assert_eq!(found.text, "KeyError: 'A_KEY' at shop.py:3");
        let shown = excerpt(&lines, Some(&found));
        assert!(shown.starts_with("3 of 7 lines, up to the exception\n"), "{shown}");
        assert!(shown.ends_with("\nKeyError: 'A_KEY'"), "{shown}");
        assert!(excerpt(&lines, None).starts_with("last 7 of 7 lines\n"));
        let found = python_exception(&lines[3..], Path::new("/a/code")).unwrap();
        assert!(found.text.starts_with("gunicorn.errors.HaltServer"), "{found:?}");
    }

    #[test]
    fn a_file_of_the_release_that_may_not_be_written_is_named() {
        let lines = ["PermissionError: [Errno 13] Permission denied: '/a/code/media/x.png'".into()];
        let found = unwritable(&lines, Path::new("/a/code"));
        assert_eq!(found.as_deref(), Some("media/x.png"));
        assert_eq!(unwritable(&lines, Path::new("/b")), None);
        let lines = ["OSError: [Errno 30] Read-only file system: 'cache.txt'".to_owned()];
        assert_eq!(unwritable(&lines, Path::new("/a/code")).as_deref(), Some("cache.txt"));
        let lines = ["Error: EROFS: read-only file system, mkdir '/a/code/cache'".to_owned()];
        assert_eq!(unwritable(&lines, Path::new("/a/code")).as_deref(), Some("cache"));
        let lines = ["Permission denied".to_owned()];
        assert_eq!(unwritable(&lines, Path::new("/a/code")), None);
    }
}
