//! Problems as text that may be shown.

use resource::{Declaration, Value};

use crate::problem::Problem;

/// Returns a problem and its causes, without the secrets of the declaration it is about.
pub(super) fn text(problem: &Problem, declaration: &Declaration) -> String {
    let text = report::chain(problem).join(": ");
    let mut found = Vec::new();
    for value in declaration.properties.values() {
        secrets(value, &mut found);
    }
    let found = found.into_iter().filter(|secret| !secret.is_empty());
    found.fold(text, |text, secret| text.replace(secret, "••••••"))
}

fn secrets<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Secret(secret) => found.push(secret.reveal()),
        Value::List(items) => items.iter().for_each(|item| secrets(item, found)),
        Value::Map(members) => {
            for member in members.values() {
                secrets(member, found);
            }
        }
        _ => {}
    }
}
