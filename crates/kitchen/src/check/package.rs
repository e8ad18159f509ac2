//! `package`: a package is installed, as dpkg's own database says.

use std::path::Path;
use std::time::Instant;

use resource::{Declaration, Properties, Schema, Shape};

use super::{MAX_FILE_BYTES, Miss, must, property, schema};

const STATUS: &str = "/var/lib/dpkg/status";

pub(super) static SCHEMA: Schema = schema(
    "package",
    "A package is installed.",
    "name",
    &[
        property("name", Shape::Text, "Its name."),
        property("installed", Shape::Bool, "False: it is not; True if nothing is said."),
        property("version", Shape::Text, "What its version must begin with."),
    ],
);

pub(super) fn look(check: &Declaration, _: Instant) -> Result<(), Miss> {
    let properties = Properties(check);
    let bytes = match disk::read_limited(Path::new(STATUS), MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => {
            return Err(Miss::NotTested("the machine has no dpkg".to_owned()));
        }
        Err(error) => return Err(Miss::NotYet(report::chain(&error).join(": "))),
    };
    let text = String::from_utf8_lossy(&bytes);
    let version = installed(&text, properties.named(&SCHEMA));
    let wanted = properties.bool("installed", true);
    must(version.is_some() == wanted, || match wanted {
        true => "it is not installed".to_owned(),
        false => "it is installed".to_owned(),
    })?;
    match (properties.text("version"), version) {
        (Some(wanted), Some(version)) => {
            must(version.starts_with(wanted), || format!("its version is {version}"))
        }
        _ => Ok(()),
    }
}

/// Returns the version of a package that is installed.
fn installed<'t>(status: &'t str, name: &str) -> Option<&'t str> {
    let field = |paragraph: &'t str, field: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(field)).map(str::trim)
    };
    status.split("\n\n").find_map(|paragraph| {
        let is_it = field(paragraph, "Package:") == Some(name)
            && field(paragraph, "Status:").is_some_and(|status| status.ends_with(" installed"));
        if is_it { field(paragraph, "Version:") } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_not_installed() {
        let status = "Package: a\nStatus: install ok installed\nVersion: 1.2-3\n\n\
                      Package: b\nStatus: deinstall ok config-files\nVersion: 2\n";
        assert_eq!(installed(status, "a"), Some("1.2-3"));
        assert_eq!(installed(status, "b"), None);
        assert_eq!(installed(status, "c"), None);
    }
}
