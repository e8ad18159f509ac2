//! Versions of cookbooks, and what one asks of another's.
//!
//! A version is two or three numbers, as in Chef. A requirement is `*`, or terms joined by commas that
//! must all hold:
//!
//! | term | versions |
//! |---|---|
//! | `= 1.2.3` | this one |
//! | `>= 1.2`, `> 1.2`, `<= 1.2`, `< 2` | by comparison |
//! | `~> 1.2` | from 1.2.0, before 2.0.0 |
//! | `~> 1.2.3` | from 1.2.3, before 1.3.0 |
//!
//! A bare `1.2` is refused: it means one version to some tools and a range to others.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use pubgrub::Ranges;
use serde::{Serialize, Serializer};

/// Largest number in a version; the next one must still be a number.
const MAX_NUMBER: u32 = 999_999_999;

/// A cookbook's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version([u32; 3]);

/// Text that is no version, or no requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct VersionError {
    /// What is wrong.
    pub message: String,
    /// Which bytes of the text it is about.
    pub at: Range<usize>,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        match numbers(text) {
            Some((numbers, 2 | 3)) => Ok(Self(numbers)),
            _ => Err(VersionError {
                message: "expected a version of two or three numbers, such as `1.2.0`".to_owned(),
                at: 0..text.len(),
            }),
        }
    }
}

/// Returns one to three numbers and how many there are.
fn numbers(text: &str) -> Option<([u32; 3], usize)> {
    let mut numbers = [0; 3];
    let mut count = 0;
    for part in text.split('.') {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = digits.then(|| part.parse().ok()).flatten()?;
        *numbers.get_mut(count)? = Some(number).filter(|number| *number <= MAX_NUMBER)?;
        count += 1;
    }
    Some((numbers, count))
}

/// What versions will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    text: String,
    pub(crate) ranges: Ranges<Version>,
}

impl Requirement {
    /// Returns the requirement that every version fulfils.
    pub fn any() -> Self {
        Self { text: "*".to_owned(), ranges: Ranges::full() }
    }

    /// Returns whether a version will do.
    pub fn matches(&self, version: &Version) -> bool {
        self.ranges.contains(version)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Requirement {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.trim() == "*" {
            return Ok(Self::any());
        }
        let mut ranges = Ranges::full();
        let mut start = 0;
        for term in text.split(',') {
            let lead = term.len() - term.trim_start().len();
            let trimmed = term.trim();
            let at = start + lead..start + lead + trimmed.len();
            let message = match parse_term(trimmed) {
                Ok(of_term) => {
                    ranges = ranges.intersection(&of_term);
                    start += term.len() + 1;
                    continue;
                }
                Err(message) => message,
            };
            return Err(VersionError { message, at });
        }
        if ranges.is_empty() {
            let message = "no version can fulfil this".to_owned();
            return Err(VersionError { message, at: 0..text.len() });
        }
        Ok(Self { text: text.to_owned(), ranges })
    }
}

fn parse_term(term: &str) -> Result<Ranges<Version>, String> {
    let operators = ["~>", ">=", "<=", "=", ">", "<"];
    let operator = operators.into_iter().find(|operator| term.starts_with(operator));
    let version = term.strip_prefix(operator.unwrap_or_default()).unwrap_or(term).trim_start();
    let Some((found, count)) = numbers(version) else {
        return Err("expected a requirement such as `~> 1.2`, `>= 1.2` or `*`".to_owned());
    };
    let Some(operator) = operator else {
        return Err(format!("write `= {term}` for this one, or `~> {term}` for those like it"));
    };
    let low = Version(found);
    Ok(match operator {
        "~>" => {
            let [major, minor, _] = found;
            let next = if count == 3 { [major, minor + 1, 0] } else { [major + 1, 0, 0] };
            Ranges::between(low, Version(next))
        }
        ">=" => Ranges::higher_than(low),
        "<=" => Ranges::lower_than(low),
        ">" => Ranges::strictly_higher_than(low),
        "<" => Ranges::strictly_lower_than(low),
        _ => Ranges::singleton(low),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requirements() {
        for (requirement, yes, no) in [
            ("*", "0.0", "—"),
            ("= 1.2", "1.2.0", "1.2.1"),
            (">= 1.2", "2.0.0", "1.1.9"),
            ("> 1.2", "1.2.1", "1.2.0"),
            ("<= 2", "2.0.0", "2.0.1"),
            ("< 2", "1.99.0", "2.0.0"),
            ("~> 1.2", "1.9.0", "2.0.0"),
            ("~> 1.2.3", "1.2.9", "1.3.0"),
            ("~>1.2.3", "1.2.3", "1.2.2"),
            (">= 1.2, < 1.5", "1.4.9", "1.5.0"),
        ] {
            let parsed: Requirement = requirement.parse().unwrap();
            assert!(parsed.matches(&yes.parse().unwrap()), "{requirement} {yes}");
            if let Ok(no) = no.parse() {
                assert!(!parsed.matches(&no), "{requirement} {no}");
            }
        }
        for (wrong, message, at) in [
            ("1.2", "write `= 1.2` for this one, or `~> 1.2` for those like it", 0..3),
            ("", "expected a requirement such as `~> 1.2`, `>= 1.2` or `*`", 0..0),
            (">= 1, ^2", "expected a requirement such as `~> 1.2`, `>= 1.2` or `*`", 6..8),
            ("> 2, < 1", "no version can fulfil this", 0..8),
            ("~> 1.2.3.4", "expected a requirement such as `~> 1.2`, `>= 1.2` or `*`", 0..10),
        ] {
            let error = wrong.parse::<Requirement>().unwrap_err();
            assert_eq!((error.message.as_str(), error.at), (message, at), "{wrong}");
        }
        for wrong in ["1", "1.2.3.4", "1.x", "1.+2", "1..2", "1.9999999999", ""] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn versions_are_written_as_they_are_read(a in 0..5_u32, b in 0..5_u32, c in 0..5_u32) {
            let version = Version([a, b, c]);
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }

        #[test]
        fn any_text_is_survived(text in "[~><=*., 0-9a]{0,20}") {
            let _ = text.parse::<Requirement>();
            let _ = text.parse::<Version>();
        }
    }
}
