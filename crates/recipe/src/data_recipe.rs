//! Recipes without a language: `recipes/<name>.toml`, a list of resources.
//!
//! ```toml
//! [[resource]]
//! kind = "template"
//! name = "/etc/nginx/nginx.conf"
//! source = "nginx.conf.j2"
//! after = ["package[nginx]"]
//! notifies = [{ reload = "system_service[nginx]" }]
//! only_if = [{ exists = "/etc/nginx" }]
//! ```
//!
//! The keys are what the functions of recipes take. A resource is named as `kind[name]`, and must
//! be declared before; conditions are `exists`, `installed`, `has_user` and `command`.

use std::ops::Range;

use report::SourceText;
use resource::{Condition, Place, ResourceId, Timing, Value};
use toml_edit::{Document, Item, TableLike, Value as Toml};

use crate::complaint::{Argument, Complaint};
use crate::declare::{self, Given, Signal};
use crate::limits::GUARD_TIMEOUT_MS;
use crate::problem::Problem;
use crate::request::Source;
use crate::run::Run;
use crate::trace;

/// The only key at the top of a file.
const RESOURCE: &str = "resource";

/// A complaint and where in the file it is.
type Placed<T> = Result<T, (Complaint, Range<usize>)>;

/// Declares what a file lists.
pub(crate) fn evaluate(run: &Run<'_>, source: &Source, what: &str) -> Result<(), Problem> {
    let text = source.text();
    let text = text.map_err(|reason| trace::without_place(what, Complaint::new(reason)))?;
    let text = SourceText::new(&source.name, text);
    list(run, &source.name, &text).map_err(|(complaint, span)| {
        let mut problem = trace::without_place(what, complaint);
        let label = problem.reasons.pop().unwrap_or_default();
        problem.excerpts.push(text.excerpt(span, label));
        problem
    })
}

fn list(run: &Run<'_>, file: &str, text: &SourceText) -> Placed<()> {
    let document = Document::parse(text.text()).map_err(|error| {
        let span = error.span().unwrap_or_default();
        (Complaint::new(error.message().trim().to_owned()), span)
    })?;
    for (key, item) in document.as_table() {
        let span = item.span().unwrap_or_default();
        if key != RESOURCE {
            let label = format!("unknown key `{key}`; resources are `[[{RESOURCE}]]`");
            return Err((Complaint::new(label), span));
        }
        let Some(resources) = item.as_array_of_tables() else {
            let label = format!("resources are written `[[{RESOURCE}]]`");
            return Err((Complaint::new(label), span));
        };
        for resource in resources {
            let span = resource.span().unwrap_or_default();
            let at = text.position(span.start);
            let place = Place { file: file.to_owned(), line: at.line, column: at.column };
            declare_one(run, resource, place).map_err(|complaint| {
                let blamed = match &complaint.argument {
                    Some(Argument::Name(name)) => resource.key(name).and_then(toml_edit::Key::span),
                    Some(Argument::Position(_)) => {
                        resource.key("name").and_then(toml_edit::Key::span)
                    }
                    None => None,
                };
                (complaint, blamed.unwrap_or(span))
            })?;
        }
    }
    Ok(())
}

fn declare_one(run: &Run<'_>, table: &dyn TableLike, place: Place) -> Result<(), Complaint> {
    let Some(kind) = table.get("kind").and_then(Item::as_str) else {
        return Err(Complaint::new("a resource needs `kind`, a text").at_name("kind"));
    };
    let Some(schema) = run.schema(kind) else {
        let known: Vec<String> =
            run.request.schemas.iter().map(|schema| schema.kind.to_owned()).collect();
        return Err(Complaint::missing("kind", kind, "", &known).at_name("kind"));
    };
    let name = table.get("name").filter(|_| schema.property("name").is_none());
    let name = name.map(value).transpose().map_err(|complaint| complaint.at_name("name"))?;
    let mut given = Vec::new();
    for (key, item) in table.iter().filter(|(key, _)| *key != "kind") {
        if key == "name" && name.is_some() {
            continue;
        }
        let common = schema.property(key).is_none();
        let value = match key {
            "after" if common => resources(run, item).map(Given::Resources),
            "notifies" | "subscribes" if common => signals(run, key, item).map(Given::Signals),
            "only_if" | "not_if" if common => conditions(item).map(Given::Conditions),
            _ => value(item).map(Given::Value),
        };
        given.push((key.to_owned(), value.map_err(|complaint| complaint.at_name(key))?));
    }
    let cookbook = run.cookbook_of(&place.file)?;
    declare::declare(run, schema, name, given, vec![place], &cookbook).map(drop)
}

/// Returns a value; dates have no place in it.
fn value(item: &Item) -> Result<Value, Complaint> {
    if let Some(table) = item.as_table_like() {
        let members = table.iter().map(|(key, item)| Ok((key.to_owned(), value(item)?)));
        return Ok(Value::Map(members.collect::<Result<_, Complaint>>()?));
    }
    if let Some(tables) = item.as_array_of_tables() {
        let tables = tables.iter().map(|table| value(&Item::Table(table.clone())));
        return Ok(Value::List(tables.collect::<Result<_, _>>()?));
    }
    Ok(match item.as_value() {
        Some(Toml::String(text)) => Value::text(text.value()),
        Some(Toml::Integer(integer)) => Value::Integer(*integer.value()),
        Some(Toml::Boolean(bool)) => Value::Bool(*bool.value()),
        Some(Toml::Float(float)) if float.value().is_finite() => Value::Float(*float.value()),
        Some(Toml::Array(items)) => {
            let items = items.iter().map(|item| value(&Item::Value(item.clone())));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        _ => {
            let label = format!("{} is nothing that can be kept", item.type_name());
            return Err(Complaint::new(label));
        }
    })
}

/// Returns what one value or a list of them gives.
fn each<T>(item: &Item, take: impl Fn(&Item) -> Result<T, Complaint>) -> Result<Vec<T>, Complaint> {
    match item.as_array() {
        Some(items) => items.iter().map(|item| take(&Item::Value(item.clone()))).collect(),
        None => Ok(vec![take(item)?]),
    }
}

/// Returns the resource that a text names.
fn resource(run: &Run<'_>, item: &Item) -> Result<ResourceId, Complaint> {
    let parts = item.as_str().and_then(|text| text.strip_suffix(']')?.split_once('['));
    let Some((kind, name)) = parts else {
        return Err(Complaint::new("a resource is named as `\"package[nginx]\"`"));
    };
    let id = ResourceId::new(kind, name);
    if run.is_declared(&id) {
        return Ok(id);
    }
    let known = run.declared(kind);
    Err(Complaint::missing(&format!("`{kind}`"), name, "was declared yet", &known))
}

fn resources(run: &Run<'_>, item: &Item) -> Result<Vec<ResourceId>, Complaint> {
    each(item, |item| resource(run, item))
}

/// Returns the one member of a dict, and what else may be in it.
fn one<'t>(
    item: &'t Item,
    others: &[&str],
    expected: &str,
) -> Result<(&'t str, &'t Item, &'t dyn TableLike), Complaint> {
    let table = item.as_table_like();
    let mut found = table.into_iter().flat_map(TableLike::iter);
    let found: Vec<_> = found.by_ref().filter(|(key, _)| !others.contains(key)).collect();
    match (found.as_slice(), table) {
        ([(key, item)], Some(table)) => Ok((key, item, table)),
        _ => Err(Complaint::new(format!("expected {expected}"))),
    }
}

fn signals(run: &Run<'_>, key: &str, item: &Item) -> Result<Vec<Signal>, Complaint> {
    let expected = format!("`{key} = [{{ restart = \"system_service[nginx]\" }}]`");
    each(item, |item| {
        let (action, target, table) = one(item, &["when"], &expected)?;
        let timing = match table.get("when").map(Item::as_str) {
            None | Some(Some("delayed")) => Timing::Delayed,
            Some(Some("immediately")) => Timing::Immediate,
            Some(_) => {
                return Err(Complaint::new("`when` is `\"delayed\"` or `\"immediately\"`"));
            }
        };
        Ok(Signal { action: action.to_owned(), resource: resource(run, target)?, timing })
    })
}

fn conditions(item: &Item) -> Result<Vec<Condition>, Complaint> {
    let expected = "a condition: `{ exists = \"/x\" }`, `installed`, `has_user` or `command`";
    each(item, |item| {
        let others = ["user", "directory", "timeout"];
        let (question, about, table) = one(item, &others, expected)?;
        let text = || about.as_str().map(str::to_owned);
        let other = |key: &str| table.get(key).and_then(Item::as_str).map(str::to_owned);
        let condition = match question {
            "exists" => text().filter(|path| path.starts_with('/')).map(Condition::Exists),
            "installed" => text().map(Condition::Installed),
            "has_user" => text().map(Condition::User),
            "command" => {
                let arguments = each(about, |item| {
                    item.as_str()
                        .map(str::to_owned)
                        .ok_or_else(|| Complaint::new("a command is a list of text"))
                })?;
                let timeout = table.get("timeout").map(value).transpose()?;
                let timeout_ms = timeout.map(|ms| declare::duration("timeout", &ms)).transpose()?;
                (about.is_array() && !arguments.is_empty()).then(|| Condition::Command {
                    arguments,
                    user: other("user"),
                    directory: other("directory"),
                    timeout_ms: timeout_ms.unwrap_or(GUARD_TIMEOUT_MS),
                })
            }
            _ => None,
        };
        condition.ok_or_else(|| Complaint::new(format!("expected {expected}")))
    })
}
