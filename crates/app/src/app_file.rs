//! `skep.toml`.
//!
//! Walked by hand against the key table of [`crate::schema`], so that every mistake is reported at
//! once and at its place: unknown keys at every level, wrong types, bad names, durations, sizes and
//! signals, and keys that contradict each other (`checks`). Values in `[env]` may be
//! secrets: lines of that section are shown without what stands in quotes.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, TableLike};

use crate::checks;
use crate::data;
use crate::detect;
use crate::layout::Layout;
use crate::model::{App, Build, DeployPolicy, Origin, ReleaseTask, Variable};
use crate::name::{RESERVED_APP, is_name, refusal};
use crate::problem::{ParseErrors, Problems, Show};
use crate::procfile;
use crate::reader::{Section, Span, is_plain, key_span};
use crate::schema;
use crate::service::{self, Draft};

/// The file's name.
pub const APP_FILE: &str = "skep.toml";

/// Most services of an app: each has a shim.
pub(crate) const MAX_SERVICES: usize = 64;

/// Reads the text of a `skep.toml`; `file` is what messages call it.
pub fn parse(file: &str, text: &str, layout: &Layout) -> Result<App, ParseErrors> {
    let problems = Problems::new(file, text);
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            problems.add(span, error.message().trim().replace('\n', "; "));
            return problems.into_result(None);
        }
    };
    let app = read(&document, &problems, layout);
    problems.into_result(app)
}

fn read(document: &Document<&str>, problems: &Problems, layout: &Layout) -> Option<App> {
    let root: &dyn TableLike = document.as_table();
    // Nothing better to point at than the start, for what is missing altogether.
    let start = 0..0;
    let top =
        Section::open("the app file", schema::APP_FILE, root, start.clone(), problems, Show::Line);
    let name = read_app_name(&top);
    let mut notes = Vec::new();
    let mut drafts = read_services(&top, layout);
    let mut release = read_release(&top);
    let mut build = read_build(&top);
    if top.key("services").is_none() {
        supply_services(&mut drafts, &mut release, &mut build, &mut notes, &top, layout);
    }
    let env = read_env(&top, &mut notes);
    let data = data::read(&top.texts("data"), layout, problems, &mut notes);
    checks::services(&drafts, problems);
    let deploy = read_deploy(&top);
    notes.extend(drafts.values_mut().flat_map(|draft| std::mem::take(&mut draft.notes)));
    let services = drafts.into_iter().map(|(name, draft)| (name, draft.service)).collect();
    Some(App {
        name: name?,
        origin: Origin::AppFile,
        data,
        build,
        release,
        env,
        services,
        deploy,
        notes,
    })
}

fn read_app_name(top: &Section<'_>) -> Option<String> {
    if top.key("app").is_none() {
        top.add(top.span(), "`app` is missing: the app's name");
        top.problems().hint("start the file with `app = \"NAME\"`");
        return None;
    }
    let name = top.text("app")?;
    if name.value == RESERVED_APP {
        top.add(name.span, "`skep` is the name of Skep's own services");
        return None;
    }
    if !is_name(&name.value) {
        top.add(name.span, refusal(&name.value));
        return None;
    }
    Some(name.value)
}

fn read_services(top: &Section<'_>, layout: &Layout) -> BTreeMap<String, Draft> {
    let mut drafts = BTreeMap::new();
    let Some((table, span)) = top.entries("services") else { return drafts };
    if table.is_empty() {
        top.add(span.clone(), "no service is named");
    }
    if table.len() > MAX_SERVICES {
        top.add(span.clone(), format!("more than {MAX_SERVICES} services"));
    }
    for (name, item) in table.iter().take(MAX_SERVICES) {
        let name_span = key_span(table, name).unwrap_or_else(|| span.clone());
        if !is_name(name) {
            top.add(name_span, refusal(name));
            continue;
        }
        let Some(entry) = item.as_table_like() else {
            let item_span = item.span().unwrap_or(name_span);
            let label = match item.as_str() {
                // The mistake of whoever comes from a Procfile.
                Some(_) => "expected a table; write `{ command = \"…\" }`".to_owned(),
                None => format!("expected a table, found {}", item.type_name()),
            };
            top.add(item_span, label);
            continue;
        };
        let section = Section::open(
            &format!("[services.{name}]"),
            schema::SERVICE,
            entry,
            name_span.clone(),
            top.problems(),
            Show::Line,
        );
        let command = section.text("command");
        if section.key("command").is_none() {
            top.add(name_span.clone(), "`command` is missing: what does this service run?");
        }
        // A service with a bad command is read all the same: its other keys may be wrong too.
        let command =
            command.and_then(|text| service::read_command(&text.value, text.span, top.problems()));
        let unknown = crate::model::Command {
            text: String::new(),
            words: Vec::new(),
            assignments: Vec::new(),
            shell: None,
        };
        let broken = command.is_none();
        let mut draft =
            service::read(name, name_span, command.unwrap_or(unknown), &section, layout);
        draft.broken = broken;
        drafts.insert(name.to_owned(), draft);
    }
    drafts
}

/// An app file without `[services]`: those of the Procfile, else what the code looks like.
fn supply_services(
    drafts: &mut BTreeMap<String, Draft>,
    release: &mut ReleaseTask,
    build: &mut Build,
    notes: &mut Vec<String>,
    top: &Section<'_>,
    layout: &Layout,
) {
    if let Some(text) = layout.text(procfile::PROCFILE) {
        match procfile::read(procfile::PROCFILE, text, layout) {
            Ok(found) => {
                notes.push("services are those of `Procfile`".to_owned());
                notes.extend(found.notes);
                release.command = release.command.take().or(found.release);
                *drafts = found.drafts;
                // Their places are in the other file.
                for draft in drafts.values_mut() {
                    draft.name_span = top.span();
                }
            }
            Err(errors) => {
                top.add(top.span(), format!("no `[services]` here, and {errors}"));
                for excerpt in errors.excerpts {
                    let place = excerpt.position;
                    top.problems().hint(format!(
                        "{}:{}:{}: {}",
                        excerpt.file, place.line, place.column, excerpt.label
                    ));
                }
            }
        }
        return;
    }
    match detect::detect(layout) {
        Ok(found) => {
            let command = service::read_command(&found.command, top.span(), top.problems());
            let absent = Section::absent(schema::SERVICE, top.span(), top.problems());
            drafts.extend(command.map(|command| {
                let draft = service::read(service::WEB, top.span(), command, &absent, layout);
                (service::WEB.to_owned(), draft)
            }));
            notes.extend(found.notes());
            if let (None, Some(text)) = (&release.command, found.release) {
                release.command = service::read_command(text, top.span(), top.problems());
            }
            if build.steps.is_empty() {
                build.steps = found.steps;
            }
        }
        Err(error) => {
            top.add(top.span(), format!("no `[services]`, no `Procfile`, and {error}"));
            top.problems().hint("add `[services.web]` with `command = \"…\"`");
        }
    }
}

pub(crate) fn read_build(top: &Section<'_>) -> Build {
    let section = top.table("build");
    let steps = section.texts("steps");
    for step in steps.iter().filter(|step| step.value.trim().is_empty()) {
        section.add(step.span.clone(), "the step is empty");
    }
    let python = section.text("python").and_then(|text| {
        let good = |c: char| c.is_ascii_alphanumeric() || " .,<>=!~*+@-".contains(c);
        if text.value.trim().is_empty() || !text.value.chars().all(good) {
            section.add(text.span, "not a Python version; write for example `\"3.12\"`");
            return None;
        }
        Some(text.value.trim().to_owned())
    });
    Build {
        steps: steps.into_iter().map(|step| step.value).collect(),
        python,
        include: read_patterns(&section, "include"),
        exclude: read_patterns(&section, "exclude"),
        timeout_ms: section.duration_ms("timeout"),
    }
}

fn read_patterns(section: &Section<'_>, key: &str) -> Vec<String> {
    let mut patterns = Vec::new();
    for text in section.texts(key) {
        let pattern = text.value.as_str();
        let label = if pattern.starts_with('/') || !is_plain(pattern) {
            "expected a pattern relative to the source".to_owned()
        } else if pattern.split('/').any(|part| part == "..") {
            "leaves the source directory".to_owned()
        } else if let Err(error) = globset::Glob::new(pattern) {
            error.kind().to_string()
        } else {
            patterns.push(text.value);
            continue;
        };
        section.add(text.span, label);
    }
    patterns
}

pub(crate) fn read_release(top: &Section<'_>) -> ReleaseTask {
    let section = top.table("release");
    let command = section
        .text("command")
        .and_then(|text| service::read_command(&text.value, text.span, section.problems()));
    ReleaseTask { command, timeout_ms: section.duration_ms("timeout") }
}

pub(crate) fn read_deploy(top: &Section<'_>) -> DeployPolicy {
    let section = top.table("deploy");
    DeployPolicy {
        watch_ms: section.duration_ms("watch"),
        keep: section.integer("keep").unwrap_or(1) as u32,
    }
}

fn read_env(top: &Section<'_>, notes: &mut Vec<String>) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    let Some((table, span)) = top.entries("env") else { return variables };
    for (name, item) in table.iter() {
        let place = key_span(table, name).unwrap_or_else(|| span.clone());
        if service::check_variable_name(name, place.clone(), top.problems())
            && let Some(variable) = read_variable(name, item, place, top, notes)
        {
            variables.insert(name.to_owned(), variable);
        }
    }
    variables
}

fn read_variable(
    name: &str,
    item: &Item,
    place: Span,
    top: &Section<'_>,
    notes: &mut Vec<String>,
) -> Option<Variable> {
    let span = item.span().unwrap_or_else(|| place.clone());
    let problems = top.problems();
    let Some(table) = item.as_table_like() else {
        let section = Section::absent(schema::VARIABLE, span.clone(), problems);
        let value = match item.as_str() {
            Some(text) if text.contains('\0') => {
                problems.add_shown(span, "holds a NUL character", Show::Masked);
                return None;
            }
            Some(text) => Some(text.to_owned()),
            None => return section.text_of(item, span).map(|_| Variable::default()),
        };
        return Some(Variable { value, ..Variable::default() });
    };
    let section = Section::open(
        &format!("variable `{name}`"),
        schema::VARIABLE,
        table,
        place,
        problems,
        Show::Masked,
    );
    let variable = Variable {
        value: section.text("value").map(|text| text.value),
        required: section.boolean("required").unwrap_or(false),
        secret: section.boolean("secret").unwrap_or(section.key("generate").is_some()),
        generate_bytes: section.integer("generate").map(|bytes| bytes as u32),
        about: section.text("about").map(|text| text.value),
    };
    let contradiction = |key: &str, label: &str| {
        section.add(section.key(key).unwrap_or_else(|| section.span()), label);
    };
    if variable.value.is_some() && variable.generate_bytes.is_some() {
        contradiction("generate", "contradicts `value`: there is nothing to generate");
    }
    if variable.required && variable.value.is_some() {
        contradiction("required", "contradicts `value`: with a default it is never missing");
    }
    if variable.required && variable.generate_bytes.is_some() {
        contradiction("required", "contradicts `generate`: it is never missing");
    }
    if variable.secret && variable.value.is_some() {
        notes.push(format!(
            "`{name}` is secret, but its default is in {} for everyone to read; `required = true` \
             and `skep env:set {name}` keep it out of the source",
            problems.place(section.key("value").map_or(0, |span| span.start))
        ));
    }
    Some(variable)
}
