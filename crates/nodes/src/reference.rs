//! The manual's tables, printed from the table that the reader goes by.

use std::fmt::Write as _;

use report::quantity::duration_text;

use crate::schema::{Absent, Kind, sections};

/// Returns every key as Markdown tables, one a section.
pub fn keys_markdown() -> String {
    let mut text = String::new();
    for (heading, keys) in sections() {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "### `{heading}`\n\n| key | holds | absent | |\n|---|---|---|---|");
        for key in keys {
            let absent = match (key.absent, key.kind) {
                (Absent::Required, _) => "required".to_owned(),
                (Absent::Value(value), Kind::Text | Kind::Choice(_)) => format!("`\"{value}\"`"),
                (Absent::Value(value), _) => format!("`{value}`"),
                (Absent::Means(means), _) => means.to_owned(),
            };
            let _ = writeln!(
                text,
                "| `{}` | {} | {absent} | {} |",
                key.name,
                holds(key.kind),
                key.about
            );
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

fn holds(kind: Kind) -> String {
    match kind {
        Kind::Text => "string".to_owned(),
        Kind::Texts => "list of strings".to_owned(),
        Kind::Items => "list of items".to_owned(),
        Kind::Attributes => "dict".to_owned(),
        Kind::Choice(choices) => {
            choices.iter().map(|choice| format!("`\"{choice}\"`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Integer { min, max } => format!("number, {min}–{max}"),
        Kind::Duration { min_ms } => format!("duration, at least `{}`", duration_text(min_ms)),
        Kind::Switched(_) => "`false` or a dict".to_owned(),
        Kind::Extended => "`true`, `false` or a dict".to_owned(),
    }
}
