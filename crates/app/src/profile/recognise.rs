//! Finds the server in a command, behind launchers, interpreters and shells.

use crate::model::Command;

use super::{Called, Listens, PROFILES, Profile};

/// A server found in a command.
#[derive(Debug, Clone, Copy)]
pub struct Recognised {
    /// Its profile.
    pub profile: &'static Profile,
    /// Index of the word behind which its options may stand.
    pub position: usize,
    /// A program before it that keeps running as its parent, so that `LISTEN_PID` would not match.
    pub parent: Option<&'static str>,
}

/// Returns the server that a command runs, also one that it runs through a shell.
pub fn recognise(command: &Command) -> Option<Recognised> {
    if command.shell.is_none() {
        return recognise_words(&command.words);
    }
    // Only to recognise: a quoted operator splits a word here that it would not split there.
    let separated: String = command
        .text
        .chars()
        .flat_map(|c| if "&|;()\n".contains(c) { vec![' ', ';', ' '] } else { vec![c] })
        .collect();
    let words = shell_words::split(&separated).ok()?;
    let found: Vec<Recognised> =
        words.split(|word| word == ";").filter_map(recognise_words).collect();
    let listening = found.iter().find(|found| found.profile.listens != Listens::Never);
    listening.or(found.first()).copied()
}

/// A program that starts the one whose words follow its own. Which of them take its process id was
/// tried, except for `tini` and `dumb-init`, whose purpose is to stay.
struct Launcher {
    words: &'static [&'static str],
    /// Whether the program takes its place, process id included.
    replaced: bool,
}

const LAUNCHERS: &[Launcher] = &[
    Launcher { words: &["env"], replaced: true },
    Launcher { words: &["exec"], replaced: true },
    Launcher { words: &["poetry", "run"], replaced: true },
    Launcher { words: &["pipenv", "run"], replaced: true },
    Launcher { words: &["ddtrace-run"], replaced: true },
    Launcher { words: &["newrelic-admin", "run-program"], replaced: true },
    Launcher { words: &["opentelemetry-instrument"], replaced: true },
    Launcher { words: &["uv", "run"], replaced: false },
    Launcher { words: &["dumb-init", "--"], replaced: false },
    Launcher { words: &["dumb-init"], replaced: false },
    Launcher { words: &["tini", "--"], replaced: false },
    Launcher { words: &["tini"], replaced: false },
];

/// Deepest nesting of launchers that is looked through.
const MAX_LAUNCHERS: usize = 4;

fn recognise_words(words: &[String]) -> Option<Recognised> {
    let mut start = 0;
    let mut parent = None;
    for _ in 0..=MAX_LAUNCHERS {
        while words.get(start)?.contains('=') {
            start += 1;
        }
        let launcher = LAUNCHERS.iter().find(|launcher| {
            launcher.words.iter().enumerate().all(|(offset, expected)| {
                words.get(start + offset).is_some_and(|word| base_name(word) == *expected)
            })
        });
        let Some(launcher) = launcher else { break };
        start += launcher.words.len();
        if !launcher.replaced {
            parent = Some(launcher.words[0]);
        }
    }
    let program = base_name(words.get(start)?);
    let (server, named) = if is_python(program) {
        let mut script = start + 1;
        // Options of the interpreter that take no value; `-u`, `-O` and their like.
        while words.get(script).is_some_and(|word| word.starts_with('-') && word != "-m") {
            script += 1;
        }
        if words.get(script)? == "-m" {
            (script + 1, Named::Module)
        } else {
            (script, Named::Program)
        }
    } else {
        (start, Named::Program)
    };
    let name = words.get(server)?;
    PROFILES.iter().find_map(|profile| {
        let Called { programs, modules, verbs } = &profile.called;
        let known = match named {
            Named::Program => programs.contains(&base_name(name)),
            Named::Module => modules.contains(&name.as_str()),
        };
        if !known {
            return None;
        }
        let behind = &words[server + 1..];
        let verb = behind.iter().position(|word| verbs.contains(&word.as_str()));
        match verb {
            _ if verbs.is_empty() => Some(Recognised { profile, position: server, parent }),
            Some(verb) => Some(Recognised { profile, position: server + 1 + verb, parent }),
            None => None,
        }
    })
}

#[derive(Clone, Copy)]
enum Named {
    Program,
    Module,
}

fn is_python(program: &str) -> bool {
    program
        .strip_prefix("python")
        .is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(&'static str, usize, Option<&'static str>)> {
        let found = recognise(&Command::parse(text).unwrap())?;
        Some((found.profile.name, found.position, found.parent))
    }

    #[test]
    fn servers_are_recognised_however_they_are_called() {
        for (text, expected) in [
            ("gunicorn shop.wsgi", Some(("gunicorn", 0, None))),
            ("A=1 venv/bin/gunicorn shop.wsgi", Some(("gunicorn", 0, None))),
            ("python -m gunicorn shop.wsgi", Some(("gunicorn", 2, None))),
            ("python3.12 -u -m uvicorn a:b", Some(("uvicorn", 3, None))),
            ("python bin/gunicorn a", Some(("gunicorn", 1, None))),
            ("poetry run ddtrace-run gunicorn a", Some(("gunicorn", 3, None))),
            ("env A=1 gunicorn a", Some(("gunicorn", 2, None))),
            ("uv run gunicorn a", Some(("gunicorn", 2, Some("uv")))),
            ("tini -- uvicorn a:b", Some(("uvicorn", 2, Some("tini")))),
            ("cd src && exec gunicorn a", Some(("gunicorn", 1, None))),
            ("cd src;gunicorn a", Some(("gunicorn", 0, None))),
            ("python manage.py migrate && gunicorn a", Some(("gunicorn", 0, None))),
            ("celery -A a worker & gunicorn a", Some(("gunicorn", 0, None))),
            ("flask --app a run", Some(("flask", 3, None))),
            ("flask db upgrade", None),
            ("python manage.py runserver", Some(("runserver", 2, None))),
            ("./manage.py migrate", None),
            ("celery -A shop worker -l info", Some(("celery", 3, None))),
            ("celery -A shop flower", None),
            ("rq worker high low", Some(("rq", 1, None))),
            ("python manage.py run_huey", Some(("huey", 2, None))),
            ("npm start", Some(("node", 0, None))),
            ("python app.py", None),
            ("python", None),
            ("python -m", None),
            ("uv run", None),
            ("env A=1", None),
            ("echo gunicorn", None),
        ] {
            assert_eq!(found(text), expected, "{text:?}");
        }
    }
}
