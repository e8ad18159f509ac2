//! Request targets: a path of [`api::path`] with its names, and a query.

use std::fmt::Write;

/// Returns `template` with `{name}` replaced, and `query` behind it; pairs without a value are left
/// out. Everything is percent-encoded, so that no argument can change the path.
pub(crate) fn target(
    template: &str,
    names: &[(&str, &str)],
    query: &[(&str, Option<&str>)],
) -> String {
    let mut path = template.to_owned();
    for (name, value) in names {
        path = path.replace(&format!("{{{name}}}"), &encoded(value));
    }
    let pairs = query.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    for (number, (name, value)) in pairs.enumerate() {
        path.push(if number == 0 { '?' } else { '&' });
        path.push_str(name);
        path.push('=');
        path.push_str(&encoded(value));
    }
    path
}

/// RFC 3986 §2.3: what need not be encoded anywhere.
fn encoded(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            result.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(result, "%{byte:02X}");
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_stay_arguments() {
        assert_eq!(
            target(
                api::path::EXPLAIN,
                &[("app", "a/../b?c")],
                &[("service", None), ("variable", Some("A&B")), ("reveal", Some("true"))]
            ),
            "/v1/apps/a%2F..%2Fb%3Fc/env/explain?variable=A%26B&reveal=true"
        );
        assert_eq!(target(api::path::APPS, &[], &[]), api::path::APPS);
    }
}
