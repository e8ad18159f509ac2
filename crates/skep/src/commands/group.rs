//! `group:` – the groups of the nodes file. None of them needs an agent.

pub(crate) mod diff;
pub(crate) mod lint;
pub(crate) mod list;
pub(crate) mod show;

/// Returns a value of a group on one line, cut where it is long; text without its quotes.
pub(crate) fn short(value: &serde_json::Value) -> String {
    /// What is left of 100 columns beside a path and a place.
    const MAX_CHARS: usize = 60;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(MAX_CHARS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Returns who gave a value and where: `__base__, nodes.toml:4`.
fn given_by(origin: &nodes::Origin) -> String {
    format!("{}, {}", origin.group, origin.place())
}
