//! Reads roles: our own, and those that somebody wrote for Chef.
//!
//! Strict where Chef is lenient, because what Chef passes over is a mistake that nobody sees: a key
//! that it does not know, an item that it splits oddly. Everything but `name` may be missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use report::did_you_mean;
use serde_json::Value as Json;

use crate::check;
use crate::document::{self, Format, Givers};
use crate::item::Item;
use crate::name::is_role_name;
use crate::problem::{ParseErrors, Reading};
use crate::role::{CHEF_TYPE, JSON_CLASS, Role};
use crate::value::{Entry, Value};

const KEYS: [&str; 8] = [
    "name",
    "chef_type",
    "json_class",
    "description",
    "override_attributes",
    "default_attributes",
    "run_list",
    "env_run_lists",
];

/// Reads the text of a role; `file` is what messages call it.
pub fn parse_role(file: &str, text: &str) -> Result<Role, ParseErrors> {
    let reading = Reading::new(file, text);
    let root = document::read(&reading, Format::Json, &Givers::One(Arc::from(file)));
    let role = root.and_then(|root| read(&reading, &root));
    reading.into_result(role)
}

fn read(reading: &Reading<'_>, root: &Value) -> Option<Role> {
    let entries = check::map(reading, "a role", root)?;
    for (key, entry) in entries.iter().filter(|(key, _)| !KEYS.contains(&key.as_str())) {
        reading.add(entry.key.clone(), unknown(key));
    }
    constant(reading, root, "chef_type", CHEF_TYPE);
    constant(reading, root, "json_class", JSON_CLASS);
    let name = text(reading, root, "name");
    match &name {
        None => {
            reading.add(root.origin.span.start..root.origin.span.start + 1, "`name` is missing");
        }
        Some(name) if !is_role_name(name) => {
            let span = root.get("name").map(|value| value.origin.span.clone()).unwrap_or_default();
            reading.add(span, "Chef takes letters, digits, `_` and `-` in the name of a role");
        }
        Some(_) => {}
    }
    Some(Role {
        name: name?,
        description: text(reading, root, "description").unwrap_or_default(),
        override_attributes: attributes(reading, root, "override_attributes"),
        default_attributes: attributes(reading, root, "default_attributes"),
        run_list: root.get("run_list").map(|list| items(reading, list)).unwrap_or_default(),
        env_run_lists: env_run_lists(reading, root),
    })
}

fn unknown(key: &str) -> String {
    match (key, did_you_mean(key, KEYS)) {
        ("recipes", _) => "an old spelling; call it `run_list`".to_owned(),
        (_, Some(meant)) => format!("Chef ignores this key; did you mean `{meant}`?"),
        (_, None) => "Chef ignores this key".to_owned(),
    }
}

fn constant(reading: &Reading<'_>, root: &Value, key: &str, expected: &str) {
    if let Some(value) = root.get(key)
        && value.as_text() != Some(expected)
    {
        reading.add(value.origin.span.clone(), format!("expected `\"{expected}\"`"));
    }
}

fn text(reading: &Reading<'_>, root: &Value, key: &str) -> Option<String> {
    let value = root.get(key)?;
    if value.as_text().is_none() {
        let label = format!("expected a string, found {}", value.data.kind());
        reading.add(value.origin.span.clone(), label);
    }
    value.as_text().map(str::to_owned)
}

fn attributes(reading: &Reading<'_>, root: &Value, key: &str) -> serde_json::Map<String, Json> {
    let Some(value) = root.get(key) else { return serde_json::Map::new() };
    check::map(reading, "a dict", value);
    match value.to_json() {
        Json::Object(entries) => entries,
        _ => serde_json::Map::new(),
    }
}

fn items(reading: &Reading<'_>, list: &Value) -> Vec<Item> {
    check::run_list(reading, list);
    let texts = list.items().iter().filter_map(Value::as_text);
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn env_run_lists(reading: &Reading<'_>, root: &Value) -> BTreeMap<String, Vec<Item>> {
    let Some(value) = root.get("env_run_lists") else { return BTreeMap::new() };
    let Some(entries) = check::map(reading, "a dict of run lists", value) else {
        return BTreeMap::new();
    };
    let list = |(name, entry): (&String, &Entry)| {
        if name == "_default" {
            reading.add(entry.key.clone(), "Chef puts this one in place of `run_list`");
        }
        (name.clone(), items(reading, &entry.value))
    };
    entries.iter().map(list).collect()
}
