//! The names of a caller's variables.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Most names that are told; far more than a shell has that was set up for work.
pub const SHELL_NAMES_MAX: usize = 512;

/// Longest name that is told, in bytes: no app wants a longer one.
pub const SHELL_NAME_MAX_BYTES: usize = 64;

/// Names of variables in a caller's shell, and nothing of their values: people export a variable
/// there and expect it to arrive, so a report says where a missing one is.
///
/// Bounded by [`SHELL_NAMES_MAX`] and [`SHELL_NAME_MAX_BYTES`] on both sides: what is beyond them, and
/// what no shell could assign, is dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>")]
pub struct ShellNames(BTreeSet<String>);

impl ShellNames {
    /// Returns the names.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.0
    }
}

impl From<Vec<String>> for ShellNames {
    fn from(names: Vec<String>) -> Self {
        names.into_iter().collect()
    }
}

impl FromIterator<String> for ShellNames {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().filter(|name| is_told(name)).take(SHELL_NAMES_MAX).collect())
    }
}

fn is_told(name: &str) -> bool {
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    begins
        && name.len() <= SHELL_NAME_MAX_BYTES
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_in_number_and_length_on_both_sides() {
        let many: Vec<String> = (0..2 * SHELL_NAMES_MAX).map(|n| format!("A{n}")).collect();
        let told: ShellNames = many.clone().into_iter().collect();
        assert_eq!(told.names().len(), SHELL_NAMES_MAX);
        let json = serde_json::to_string(&many).unwrap();
        let heard: ShellNames = serde_json::from_str(&json).unwrap();
        assert_eq!(heard.names().len(), SHELL_NAMES_MAX);

        let long = "A".repeat(SHELL_NAME_MAX_BYTES + 1);
        for bad in ["", "1A", "A=secret", "A B", "BASH_FUNC_f%%", long.as_str()] {
            let told: ShellNames = [bad.to_owned()].into_iter().collect();
            assert!(told.names().is_empty(), "{bad:?} was told");
        }
    }
}
