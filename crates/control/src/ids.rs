//! The names that cross process boundaries.
//!
//! Every one is validated where it is parsed, so that the rest of the program may build file names
//! from it: a [`ServiceName`] holds no separator, no dot and no control character beyond its one
//! slash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest app or service name, in bytes; two of them and a generation fit a file name.
pub const MAX_NAME_BYTES: usize = 63;

/// A name that was refused, and what a good one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= MAX_NAME_BYTES
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

/// A service of an app, written `app/service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName {
    app: String,
    service: String,
}

impl ServiceName {
    /// Returns the name of `service` of `app`; both are lowercase letters, digits and inner
    /// hyphens, 1 to [`MAX_NAME_BYTES`] bytes.
    pub fn new(app: &str, service: &str) -> Result<Self, IdError> {
        for part in [app, service] {
            if !is_name(part) {
                return Err(IdError {
                    text: part.chars().take(80).collect(),
                    expected: "a name of lowercase letters, digits and inner hyphens, at most 63",
                });
            }
        }
        Ok(Self { app: app.to_owned(), service: service.to_owned() })
    }

    /// Returns the app's part.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Returns the service's part.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns `app.service`: the name of the service's directory, socket and cgroup. A dot is not
    /// allowed in either part, so this is unique.
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.app, self.service)
    }

    /// Parses what [`Self::file_name`] returned.
    pub fn from_file_name(text: &str) -> Result<Self, IdError> {
        match text.split_once('.') {
            Some((app, service)) => Self::new(app, service),
            None => {
                Err(IdError { text: text.chars().take(80).collect(), expected: "`app.service`" })
            }
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.service)
    }
}

impl FromStr for ServiceName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split_once('/') {
            Some((app, service)) => Self::new(app, service),
            None => {
                Err(IdError { text: text.chars().take(80).collect(), expected: "`app/service`" })
            }
        }
    }
}

impl TryFrom<String> for ServiceName {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.to_string()
    }
}

/// The slots started together from one release; rises for ever within an installation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

/// The stable number of a slot within its service, from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SlotNumber(pub u32);

impl fmt::Display for SlotNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One slot of one generation, written `g7.0`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct SlotId {
    /// The generation.
    pub generation: Generation,
    /// The number within it.
    pub number: SlotNumber,
}

impl SlotId {
    /// Returns the slot `number` of `generation`.
    pub fn new(generation: u64, number: u32) -> Self {
        Self { generation: Generation(generation), number: SlotNumber(number) }
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.number)
    }
}

impl FromStr for SlotId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parse = || {
            let (generation, number) = text.strip_prefix('g')?.split_once('.')?;
            Some(Self::new(generation.parse().ok()?, number.parse().ok()?))
        };
        parse().ok_or_else(|| IdError {
            text: text.chars().take(80).collect(),
            expected: "a slot such as `g7.0`",
        })
    }
}

/// A version of the route table; strictly rising, from the store.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_before_they_become_paths() {
        for bad in ["", "a", "a/", "/b", "A/b", "a/b/c", "../b", "a/b.c", "a/-b", "a/b-", "a b/c"] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad:?} was accepted");
        }
        let name: ServiceName = "shop/web-2".parse().unwrap();
        assert_eq!(name.file_name(), "shop.web-2");
        assert_eq!(ServiceName::from_file_name("shop.web-2").unwrap(), name);
    }

    #[test]
    fn slot_ids_read_back() {
        let slot = SlotId::new(7, 3);
        assert_eq!(slot.to_string().parse::<SlotId>().unwrap(), slot);
        assert!("7.3".parse::<SlotId>().is_err());
    }
}
