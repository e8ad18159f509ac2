//! A text of either format as one value.

use std::sync::Arc;

use crate::problem::{ParseErrors, Reading};
use crate::value::Value;
use crate::{json, toml};

/// Largest nodes file or role. A group with all its keys is two kilobytes: that is 250 of them.
pub const MAX_FILE_BYTES: u64 = 512 * 1024;
/// Deepest nesting. Attributes of cookbooks rarely nest beyond eight levels; walking a value uses
/// the stack.
pub const MAX_DEPTH: usize = 32;

/// Who gives the values of a document.
pub(crate) enum Givers {
    /// Each top-level key its own.
    Keys(Arc<str>),
    /// The same one all of them.
    One(Arc<str>),
}

impl Givers {
    pub(crate) fn root(&self) -> Arc<str> {
        let (Self::Keys(root) | Self::One(root)) = self;
        root.clone()
    }

    /// Returns who gives what stands under the key `name` of a dict at `depth`.
    pub(crate) fn below(&self, depth: usize, name: &str, group: &Arc<str>) -> Arc<str> {
        match self {
            Self::Keys(_) if depth == 0 => name.into(),
            _ => group.clone(),
        }
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// TOML 1.
    Toml,
}

impl Format {
    /// Returns the format that a file of this name has: TOML where it ends so, else JSON.
    pub fn of(file: &str) -> Self {
        if file.to_ascii_lowercase().ends_with(".toml") { Self::Toml } else { Self::Json }
    }
}

/// Reads a text; what is wrong with it is added to `reading`.
pub(crate) fn read(reading: &Reading<'_>, format: Format, givers: &Givers) -> Option<Value> {
    if reading.text.len() as u64 > MAX_FILE_BYTES {
        reading.add(0..0, format!("larger than {} KiB", MAX_FILE_BYTES / 1024));
        return None;
    }
    match format {
        Format::Json => json::read(reading, givers),
        Format::Toml => toml::read(reading, givers),
    }
}

/// Reads a text of either format, for files that are no nodes file: attributes, data bags. `giver` is whom
/// [`crate::Origin`] names.
pub fn read_value(file: &str, text: &str, giver: &str) -> Result<Value, ParseErrors> {
    let reading = Reading::new(file, text);
    let value = read(&reading, Format::of(file), &Givers::One(giver.into()));
    reading.into_result(value)
}
