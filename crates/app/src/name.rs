//! Names of apps and services.

use control::{MAX_NAME_BYTES, ServiceName};

/// The app whose services are Skep's own agent and proxy.
pub const RESERVED_APP: &str = "skep";

/// What a good name is, for messages.
pub(crate) const NAME_RULE: &str = "lowercase letters, digits and inner hyphens, at most 63";

/// Returns whether a text may name an app or a service: the rule is [`ServiceName`]'s.
pub(crate) fn is_name(text: &str) -> bool {
    ServiceName::new(text, "x").is_ok()
}

/// Returns the name that comes closest to a text, or `None` where nothing of it can be used.
pub(crate) fn closest_name(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() == MAX_NAME_BYTES {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    is_name(name).then(|| name.to_owned())
}

/// Returns what to say about a bad name.
pub(crate) fn refusal(text: &str) -> String {
    match closest_name(text) {
        Some(name) => format!("not a name ({NAME_RULE}); write `{name}`"),
        None => format!("not a name ({NAME_RULE})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_a_name() {
        for (text, expected) in [
            ("shop", Some("shop")),
            ("My Shop_2", Some("my-shop-2")),
            (".hidden", Some("hidden")),
            ("a--b__", Some("a-b")),
            ("été", Some("t")),
            ("…", None),
            ("", None),
        ] {
            assert_eq!(closest_name(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(closest_name(&"ab-".repeat(40)).unwrap().len(), 62);
    }
}
