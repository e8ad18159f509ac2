//! The manual's tables and the JSON Schema, printed from the tables that the reader goes by.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::model::Listen;
use crate::profile::{KeepAlive, Listens, PROFILES};
use crate::schema::{APP_FILE, Absent, Key, Kind, sections};

/// Returns every key as Markdown tables, one a section.
pub fn keys_markdown() -> String {
    let mut text = String::new();
    for (heading, keys) in sections() {
        let heading =
            if heading.starts_with('[') { format!("`{heading}`") } else { heading.to_owned() };
        let _ = writeln!(text, "### {heading}\n\n| key | holds | absent | |\n|---|---|---|---|");
        for key in keys {
            let absent = match key.absent {
                Absent::Required => "required".to_owned(),
                Absent::Value(value) => format!("`{}`", written(key.kind, value)),
                Absent::Means(means) => means.to_owned(),
            };
            let holds = holds(key.kind);
            let _ = writeln!(text, "| `{}` | {holds} | {absent} | {} |", key.name, key.about);
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// Returns the known servers as a Markdown table.
pub fn servers_markdown() -> String {
    let mut text = String::from(
        "| server | recognised by | listens | given | stop | idle connections | at once |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for profile in PROFILES {
        let called = &profile.called;
        let names = called.programs.iter().map(|name| (*name).to_owned());
        let modules = called.modules.iter().map(|name| format!("python -m {name}"));
        let verbs = if called.verbs.is_empty() {
            String::new()
        } else {
            format!(" … `{}`", called.verbs.join("`, `"))
        };
        let recognised: Vec<String> =
            names.chain(modules).map(|name| format!("`{name}`{verbs}")).collect();
        let (listens, serves) = match profile.listens {
            Listens::Fd => ("`fd`", true),
            Listens::Port => ("`port`", true),
            Listens::Never => ("`none`", false),
            Listens::IfWeb => ("`port` if called `web`", true),
        };
        let mut given: Vec<String> =
            profile.variables.iter().map(|v| format!("`{}={}`", v.name, v.value)).collect();
        given.extend(profile.arguments.as_ref().map(|a| format!("`{}`", a.words.join(" "))));
        let stop = if profile.stop_signal == 2 { "INT" } else { "TERM" };
        let idle = match profile.keep_alive {
            KeepAlive { seconds: 0, .. } => "not kept".to_owned(),
            KeepAlive { seconds, .. } => format!("below {seconds} s"),
        };
        let (idle, at_once) = match (serves, profile.name) {
            (false, _) => ("–".to_owned(), "–".to_owned()),
            // Its workers decide: see `profile::connections`.
            (true, "gunicorn") => (
                "below 2 s; sync workers: not kept".to_owned(),
                "64; async workers: 512".to_owned(),
            ),
            (true, _) => (idle, profile.in_flight.to_string()),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {listens} | {} | {stop} | {idle} | {at_once} |",
            profile.name,
            recognised.join(", "),
            given.join(", "),
        );
    }
    text.trim_end().to_owned()
}

/// Returns the variables that a service gets from its profile, as a Markdown table; `listen` is
/// said in the heading of its column.
pub fn variables_markdown() -> String {
    let mut text = String::from("| variable | value | for | why |\n|---|---|---|---|\n");
    for variable in crate::profile::common_variables() {
        let listens: Vec<&str> = [
            ("fd", Listen::Fd),
            ("path", Listen::Path),
            ("port", Listen::Port),
            ("tcp", Listen::Fixed(1)),
            ("none", Listen::None),
        ]
        .iter()
        .filter(|(_, listen)| variable.when.applies(*listen))
        .map(|(name, _)| *name)
        .collect();
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {} |",
            variable.name,
            variable.value,
            if listens.len() == 5 {
                "every service".to_owned()
            } else {
                format!("`{}`", listens.join("`, `"))
            },
            variable.why
        );
    }
    text.trim_end().to_owned()
}

/// Returns the JSON Schema of `skep.toml`, for editors.
pub fn json_schema() -> String {
    let mut schema = table_schema(APP_FILE);
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!("skep.toml"));
    let text = serde_json::to_string_pretty(&Value::Object(schema)).unwrap_or_default();
    format!("{text}\n")
}

fn table_schema(keys: &[Key]) -> Map<String, Value> {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| {
            let mut schema = kind_schema(key.kind);
            schema.insert("description".into(), json!(key.about));
            if let Absent::Value(text) = key.absent {
                schema.insert("default".into(), default_value(key.kind, text));
            }
            (key.name.to_owned(), Value::Object(schema))
        })
        .collect();
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| matches!(key.absent, Absent::Required))
        .map(|key| key.name)
        .collect();
    object(json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    }))
}

const NAME_PATTERN: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
const VARIABLE_PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

fn kind_schema(kind: Kind) -> Map<String, Value> {
    const DURATION: &str = "^([0-9]+(ms|s|m|h|d))+$";
    object(match kind {
        Kind::Text | Kind::Command => json!({"type": "string"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Duration { .. } => json!({"type": "string", "pattern": DURATION}),
        Kind::Size => json!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^[0-9]+ *([kKMGT]?B|[KMGT]iB)?$"},
        ]}),
        Kind::Signal => json!({"type": "string", "pattern": "^(SIG)?[A-Z0-9]+$"}),
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Choice(choices) => json!({"enum": choices}),
        Kind::Listen => json!({"anyOf": [
            {"enum": ["fd", "path", "port", "none"]},
            {"type": "string", "pattern": "^tcp:[1-9][0-9]*$"},
        ]}),
        Kind::Ready => json!({"anyOf": [
            {"enum": ["http", "notify"]},
            {"type": "string", "pattern": DURATION},
        ]}),
        Kind::Table(keys) => Value::Object(table_schema(keys)),
        Kind::Named(keys) => json!({
            "type": "object",
            "patternProperties": {NAME_PATTERN: table_schema(keys)},
            "additionalProperties": false,
        }),
        Kind::Variables(keys) => json!({
            "type": "object",
            "patternProperties": {
                VARIABLE_PATTERN: {"anyOf": [{"type": "string"}, table_schema(keys)]},
            },
            "additionalProperties": false,
        }),
        Kind::Values => json!({
            "type": "object",
            "patternProperties": {VARIABLE_PATTERN: {"type": "string"}},
            "additionalProperties": false,
        }),
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn default_value(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Integer { .. } => text.parse::<i64>().map_or(Value::Null, Value::from),
        Kind::Boolean => Value::Bool(text == "true"),
        _ => json!(text),
    }
}

/// Returns a default as the file writes it.
fn written(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Integer { .. } | Kind::Boolean => text.to_owned(),
        _ => format!("\"{text}\""),
    }
}

fn holds(kind: Kind) -> String {
    match kind {
        Kind::Text => "string".to_owned(),
        Kind::Command => "command".to_owned(),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Integer { min, max } => format!("{min} to {max}"),
        Kind::Duration { .. } => "duration".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Signal => "signal".to_owned(),
        Kind::Texts => "list of strings".to_owned(),
        Kind::Choice(choices) => {
            choices.iter().map(|choice| format!("`\"{choice}\"`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Listen => "`\"fd\"`, `\"path\"`, `\"port\"`, `\"tcp:N\"`, `\"none\"`".to_owned(),
        Kind::Ready => "`\"http\"`, `\"notify\"`, duration".to_owned(),
        Kind::Table(_) => "table".to_owned(),
        Kind::Named(_) => "tables by name".to_owned(),
        Kind::Variables(_) => "strings or tables by name".to_owned(),
        Kind::Values => "strings by name".to_owned(),
    }
}
