//! `log_line`: a line is in a file.

use std::path::Path;
use std::time::Instant;

use resource::{Declaration, Properties, Schema, Shape};

use super::{MAX_FILE_BYTES, Miss, must, property, schema, short};

pub(super) static SCHEMA: Schema = schema(
    "log_line",
    "A line is in a log file.",
    "path",
    &[
        property("path", Shape::Path, "The file."),
        resource::Property {
            required: true,
            ..property("contains", Shape::Text, "What a line of it must contain.")
        },
    ],
);

pub(super) fn look(check: &Declaration, _: Instant) -> Result<(), Miss> {
    let properties = Properties(check);
    let path = Path::new(properties.named(&SCHEMA));
    let bytes = disk::read_limited(path, MAX_FILE_BYTES)
        .map_err(|error| Miss::NotYet(report::chain(&error).join(": ")))?;
    let text = String::from_utf8_lossy(&bytes);
    let wanted = properties.text("contains").unwrap_or_default();
    must(text.lines().any(|line| line.contains(wanted)), || match text.lines().last() {
        Some(last) => format!("no line contains `{wanted}`; the last one is `{}`", short(last)),
        None => "it is empty".to_owned(),
    })
}
