//! Names of groups, stages and roles.

use report::did_you_mean;

/// What every group inherits from.
pub const BASE: &str = "__base__";

/// Longest name: that of an image on AWS, of which a group's name is a part.
pub const MAX_NAME_BYTES: usize = 128;

/// Returns whether a character may be in a name. ASCII only: names become file names, tags and
/// names of images.
pub(crate) fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
}

/// Returns why a text names no group or stage. A dot is let pass: Chef refuses it in the name of a
/// role, and only there, so that is a lint.
pub(crate) fn refusal(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name is needed".to_owned());
    }
    if let Some(character) = name.chars().find(|c| !is_name_character(*c)) {
        return Some(format!("{character:?} in a name; it has letters, digits, `_` and `-`"));
    }
    if name.starts_with("__") {
        return Some(match did_you_mean(name, [BASE]) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "names that start with `__` are reserved".to_owned(),
        });
    }
    if name.starts_with(['.', '-']) {
        return Some("a name starts with a letter, a digit or `_`".to_owned());
    }
    (name.len() > MAX_NAME_BYTES).then(|| format!("longer than {MAX_NAME_BYTES} characters"))
}

/// Returns whether Chef takes a text as the name of a role: `/^[\-[:alnum:]_]+$/`.
pub fn is_role_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| is_name_character(c) && c != '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["web", "12_04-bee", "12.04-www", "_x", &"a".repeat(MAX_NAME_BYTES)] {
            assert_eq!(refusal(good), None);
        }
        for (bad, why) in [
            ("", "a name is needed"),
            ("a b", "' ' in a name; it has letters, digits, `_` and `-`"),
            ("../x", "'/' in a name; it has letters, digits, `_` and `-`"),
            ("..", "a name starts with a letter, a digit or `_`"),
            ("-x", "a name starts with a letter, a digit or `_`"),
            ("__bas__", "did you mean `__base__`?"),
            ("__x", "names that start with `__` are reserved"),
        ] {
            assert_eq!(refusal(bad).as_deref(), Some(why), "{bad}");
        }
        assert!(refusal(&"a".repeat(MAX_NAME_BYTES + 1)).is_some());
        assert!(is_role_name("role-12_04-bee") && !is_role_name("12.04") && !is_role_name(""));
    }
}
