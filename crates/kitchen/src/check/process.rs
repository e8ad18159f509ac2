//! `process`: a program runs.

use std::time::Instant;

use resource::{Declaration, Properties, Schema, Shape};

use super::{Miss, must, property, schema};

pub(super) static SCHEMA: Schema = schema(
    "process",
    "A program runs.",
    "name",
    &[
        property("name", Shape::Text, "The program's name, as `ps -o comm` shows it."),
        property("running", Shape::Bool, "False: none runs; True if nothing is said."),
        property("count", Shape::Count, "How many there must be; at least one if nothing is said."),
        property("arguments", Shape::Text, "What its command line must contain."),
        property("user", Shape::Text, "The name or number of the user it runs as."),
    ],
);

pub(super) fn look(check: &Declaration, _: Instant) -> Result<(), Miss> {
    let properties = Properties(check);
    let name = properties.named(&SCHEMA);
    // `user` is also what every declaration may have.
    let user = properties.text("user").or(check.user.as_deref()).map(number_of);
    let entries = std::fs::read_dir("/proc").map_err(|error| Miss::NotYet(error.to_string()))?;
    let mut count = 0;
    for entry in entries.flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).ok();
        let is_it = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)
            && read("comm").is_some_and(|comm| same_name(comm.trim_end(), name))
            && properties.text("arguments").is_none_or(|text| {
                read("cmdline").is_some_and(|line| line.replace('\0', " ").contains(text))
            })
            && user.as_ref().is_none_or(|user| {
                let status = read("status").unwrap_or_default();
                let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
                line.and_then(|line| line.split_whitespace().nth(1)) == Some(user)
            });
        count += u64::from(is_it);
    }
    if !properties.bool("running", true) {
        return must(count == 0, || format!("there are {count} of it"));
    }
    match properties.count("count") {
        Some(wanted) => must(count == wanted, || format!("there are {count} of it, not {wanted}")),
        None => must(count > 0, || "there is none".to_owned()),
    }
}

/// The kernel keeps fifteen bytes of a name.
fn same_name(comm: &str, name: &str) -> bool {
    comm == name || comm.len() == 15 && name.starts_with(comm)
}

fn number_of(user: &str) -> String {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = text.lines().find(|line| line.split(':').next() == Some(user));
    line.and_then(|line| line.split(':').nth(2)).unwrap_or(user).to_owned()
}
