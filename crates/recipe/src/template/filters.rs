//! Filters that configuration files need and Jinja lacks.

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};

/// Adds ours to those of Jinja.
pub(crate) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("quote", quote);
    environment.add_filter("b64encode", b64encode);
}

/// `quote`: one word of a shell, whatever is in it.
fn quote(value: &Value) -> Result<String, Error> {
    let text = value.to_string();
    if text.contains('\0') {
        let detail = "no shell takes a NUL character";
        return Err(Error::new(ErrorKind::InvalidOperation, detail));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text),
        false => Ok(format!("'{}'", text.replace('\'', "'\\''"))),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `b64encode`: RFC 4648 §4, with padding.
fn b64encode(value: &Value) -> String {
    let text = value.to_string();
    let bytes = value.as_bytes().unwrap_or(text.as_bytes());
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            match place <= chunk.len() {
                true => encoded.push(char::from(ALPHABET[digit as usize])),
                false => encoded.push('='),
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_rfc_has_it() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(b64encode(&Value::from(text)), encoded);
        }
        assert_eq!(b64encode(&Value::from_bytes(vec![0xff, 0xfe])), "//4=");
    }

    #[test]
    fn quoted_text_is_one_word() {
        for (text, quoted) in [
            ("plain-1.0", "plain-1.0"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(reboot)", "'$(reboot)'"),
        ] {
            assert_eq!(quote(&Value::from(text)).unwrap(), quoted);
        }
    }
}
