//! Names of cookbooks, data bags and their items.

/// Longest name; it becomes part of a path.
const MAX_NAME_BYTES: usize = 128;

/// Returns why a text is no name.
pub(crate) fn refusal(name: &str) -> Option<String> {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match name {
        "" => Some("a name is needed".to_owned()),
        name if name.len() > MAX_NAME_BYTES => Some(format!("longer than {MAX_NAME_BYTES} bytes")),
        name => match name.chars().find(|c| !fit(*c)) {
            Some(c) => Some(format!("{c:?} in a name; it has letters, digits, `_`, `-` and `.`")),
            None if name.starts_with(['.', '-']) => {
                Some("a name starts with a letter, a digit or `_`".to_owned())
            }
            None => None,
        },
    }
}

/// Returns why a text is no name of a cookbook. It is also the first name of its attributes' paths, whose
/// names are separated by dots.
pub(crate) fn cookbook_refusal(name: &str) -> Option<String> {
    match refusal(name) {
        None if name.contains('.') => Some("a cookbook's name has no dot".to_owned()),
        refusal => refusal,
    }
}
