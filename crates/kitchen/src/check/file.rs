//! `file`: something is at a path, as it should be.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use resource::{Declaration, Properties, Schema, Shape};

use super::{MAX_FILE_BYTES, Miss, must, property, schema};

pub(super) static SCHEMA: Schema = schema(
    "file",
    "Something is at a path: a file, a directory or a link.",
    "path",
    &[
        property("path", Shape::Path, "Where."),
        property("exists", Shape::Bool, "False: nothing is there; True if nothing is said."),
        property("type", Shape::Choice(&["file", "directory", "link"]), "What is there."),
        property(
            "content",
            Shape::Content,
            "Its whole content; or `source`, a file below `files/`.",
        ),
        property("contains", Shape::Text, "What its content must contain."),
        property("mode", Shape::Mode, "Its permissions."),
        property("owner", Shape::Text, "The name of its user."),
        property("group", Shape::Text, "The name of its group."),
        property("target", Shape::Text, "Where a link points."),
    ],
);

pub(super) fn look(check: &Declaration, _: Instant) -> Result<(), Miss> {
    let properties = Properties(check);
    let path = Path::new(properties.named(&SCHEMA));
    let exists = properties.bool("exists", true);
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return must(!exists, || "it is not there".to_owned());
        }
        Err(error) => return Err(Miss::NotYet(error.to_string())),
    };
    must(exists, || "it is there".to_owned())?;
    let kind = kind(&found);
    if let Some(wanted) = properties.text("type") {
        must(kind == wanted, || format!("it is a {kind}, not a {wanted}"))?;
    }
    if let Some(mode) = properties.mode("mode") {
        let own = found.mode() & 0o7777;
        must(own == mode, || format!("its mode is {own:04o}, not {mode:04o}"))?;
    }
    let names = [
        ("owner", "/etc/passwd", found.uid(), "user"),
        ("group", "/etc/group", found.gid(), "group"),
    ];
    for (property, file, number, word) in names {
        if let Some(wanted) = properties.text(property) {
            let name = name_of(file, number);
            must(name == wanted, || format!("its {word} is {name}, not {wanted}"))?;
        }
    }
    if let Some(wanted) = properties.text("target") {
        let target = std::fs::read_link(path).unwrap_or_default();
        must(target == Path::new(wanted), || format!("it points at `{}`", target.display()))?;
    }
    let content = properties.content("content");
    let contains = properties.text("contains");
    if content.is_none() && contains.is_none() {
        return Ok(());
    }
    let own = disk::read_limited(path, MAX_FILE_BYTES)
        .map_err(|error| Miss::NotYet(report::chain(&error).join(": ")))?;
    if let Some(content) = content {
        must(own == content, || "its content is another".to_owned())?;
    }
    match contains {
        Some(text) => must(String::from_utf8_lossy(&own).contains(text), || {
            format!("it does not contain `{text}`")
        }),
        None => Ok(()),
    }
}

fn kind(found: &Metadata) -> &'static str {
    match () {
        () if found.is_file() => "file",
        () if found.is_dir() => "directory",
        () if found.is_symlink() => "link",
        () => "device, pipe or socket",
    }
}

/// Returns the name that passwd(5) or group(5) has for a number, else the number.
fn name_of(file: &str, number: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let number = number.to_string();
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&number));
    line.and_then(|line| line.split(':').next()).map_or(number.clone(), str::to_owned)
}
