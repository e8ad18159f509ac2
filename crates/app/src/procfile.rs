//! A bare `Procfile`: one `name: command` a line, as Heroku and Foreman read it.
//!
//! Blank lines and lines that start with `#` are passed over. `release:` is the release command.
//! A name that is not one here (`Celery_Beat`) becomes the closest that is, and that is said. The
//! app is named after its directory.

use std::collections::BTreeMap;

use crate::app_file::MAX_SERVICES;
use crate::checks;
use crate::data;
use crate::layout::Layout;
use crate::model::{App, Command, Origin, ReleaseTask};
use crate::name::{NAME_RULE, RESERVED_APP, closest_name};
use crate::problem::{ParseErrors, Problems, Show};
use crate::reader::{Section, Span};
use crate::schema;
use crate::service::{self, Draft};

/// The file's name.
pub const PROCFILE: &str = "Procfile";

/// The process type that is run once per release.
const RELEASE: &str = "release";

/// What a Procfile says.
pub(crate) struct Processes {
    pub(crate) drafts: BTreeMap<String, Draft>,
    pub(crate) release: Option<Command>,
    pub(crate) notes: Vec<String>,
}

/// Reads the text of a Procfile as a whole app; `file` is what messages call it.
pub fn parse(file: &str, text: &str, layout: &Layout) -> Result<App, ParseErrors> {
    let problems = Problems::new(file, text);
    let processes = read_lines(text, &problems, layout);
    checks::services(&processes.drafts, &problems);
    let app = app(processes, Origin::Procfile, layout, &problems);
    problems.into_result(app)
}

/// Reads the services of a Procfile beside an app file.
pub(crate) fn read(file: &str, text: &str, layout: &Layout) -> Result<Processes, ParseErrors> {
    let problems = Problems::new(file, text);
    let processes = read_lines(text, &problems, layout);
    checks::services(&processes.drafts, &problems);
    problems.into_result(Some(processes))
}

/// Makes an app of services alone: everything else has its default.
pub(crate) fn app(
    processes: Processes,
    origin: Origin,
    layout: &Layout,
    problems: &Problems,
) -> Option<App> {
    let Processes { mut drafts, release, mut notes } = processes;
    let name = name_of(layout, problems);
    let empty = Section::absent(schema::APP_FILE, 0..0, problems);
    let data = data::read(&[], layout, problems, &mut notes);
    notes.extend(drafts.values_mut().flat_map(|draft| std::mem::take(&mut draft.notes)));
    let services = drafts.into_iter().map(|(name, draft)| (name, draft.service)).collect();
    let build = crate::app_file::read_build(&empty);
    let timeout_ms = crate::app_file::read_release(&empty).timeout_ms;
    let deploy = crate::app_file::read_deploy(&empty);
    Some(App {
        name: name?,
        origin,
        data,
        build,
        release: ReleaseTask { command: release, timeout_ms },
        env: BTreeMap::new(),
        services,
        deploy,
        notes,
    })
}

fn name_of(layout: &Layout, problems: &Problems) -> Option<String> {
    let directory = layout.directory_name();
    match closest_name(directory) {
        Some(name) if name != RESERVED_APP => Some(name),
        _ => {
            let shown: String = directory.chars().take(80).collect();
            problems.add(
                0..0,
                format!("the app cannot be named after its directory `{shown}` ({NAME_RULE})"),
            );
            problems.hint("write a skep.toml that starts with `app = \"NAME\"`");
            None
        }
    }
}

fn read_lines(text: &str, problems: &Problems, layout: &Layout) -> Processes {
    let mut processes = Processes { drafts: BTreeMap::new(), release: None, notes: Vec::new() };
    let mut offset = 0;
    for whole in text.split_inclusive('\n') {
        let start = offset;
        offset += whole.len();
        let line = whole.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line's own place, without the blanks around it.
        let begin = start + whole.find(line).unwrap_or(0);
        read_line(line, begin..begin + line.len(), problems, layout, &mut processes);
    }
    if processes.drafts.is_empty() && problems.is_empty() {
        problems.add(0..0, "no process type is named; write lines such as `web: gunicorn app:app`");
    }
    processes
}

fn read_line(
    line: &str,
    span: Span,
    problems: &Problems,
    layout: &Layout,
    processes: &mut Processes,
) {
    let shown = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let parts =
        line.split_once(':').filter(|(name, _)| !name.is_empty() && name.chars().all(shown));
    let Some((word, text)) = parts else {
        // The line may be a `NAME=secret` of another file that was copied here.
        problems.add_shown(span, "expected `name: command`", Show::Hidden);
        return;
    };
    let name_span = span.start..span.start + word.len();
    let command_span = span.end - text.trim_start().len()..span.end;
    if word == RELEASE {
        if processes.release.is_some() {
            problems.add(name_span, "named twice");
            return;
        }
        processes.release = service::read_command(text, command_span, problems);
        return;
    }
    let Some(name) = closest_name(word) else {
        problems.add(name_span, format!("not a name ({NAME_RULE})"));
        return;
    };
    if processes.drafts.contains_key(&name) {
        problems.add(name_span, format!("named twice, as `{name}`"));
        return;
    }
    if processes.drafts.len() == MAX_SERVICES {
        problems.add(name_span, format!("more than {MAX_SERVICES} services"));
        return;
    }
    if name != word {
        processes.notes.push(format!("`{word}` is called `{name}`"));
    }
    let Some(command) = service::read_command(text, command_span, problems) else { return };
    let absent = Section::absent(schema::SERVICE, name_span.clone(), problems);
    let draft = service::read(&name, name_span, command, &absent, layout);
    processes.drafts.insert(name, draft);
}
