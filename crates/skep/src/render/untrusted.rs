//! Text that somebody else wrote, on its way to a terminal.
//!
//! An app logs what its clients send. A terminal obeys escape sequences: they move the cursor over
//! earlier lines, set the title, and on some terminals type. So nothing reaches one unless it is
//! printable; app output may keep its colours.

use std::borrow::Cow;

/// Returns `text` with every control and direction-changing character made visible.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        push_visible(&mut result, character);
    }
    Cow::Owned(result)
}

/// Returns `text` with its colours (SGR sequences, closed at the end) and all else made visible.
pub(crate) fn coloured(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let mut painted = false;
    while let Some(character) = rest.chars().next() {
        if let Some(length) = colour_sequence(rest) {
            result.push_str(&rest[..length]);
            rest = &rest[length..];
            painted = true;
        } else {
            push_visible(&mut result, character);
            rest = &rest[character.len_utf8()..];
        }
    }
    if painted {
        result.push_str("\x1b[0m");
    }
    Cow::Owned(result)
}

/// Returns the length of the colour sequence that `text` begins with.
fn colour_sequence(text: &str) -> Option<usize> {
    /// The longest useful one sets a 24-bit foreground and background: 36 bytes.
    const MAX_PARAMETERS: usize = 40;
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    (end <= MAX_PARAMETERS && parameters[end..].starts_with('m')).then_some(2 + end + 1)
}

fn is_active(character: char) -> bool {
    (character.is_control() && character != '\t')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_visible(result: &mut String, character: char) {
    match character {
        _ if !is_active(character) => result.push(character),
        // Caret notation, as `cat -v` has it.
        '\0'..='\x1f' => {
            result.push('^');
            result.push(char::from(character as u8 + b'@'));
        }
        '\x7f' => result.push_str("^?"),
        _ => result.extend(character.escape_unicode()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_drive_the_terminal() {
        assert_eq!(visible("a\x1b]0;title\x07b\r"), "a^[]0;title^Gb^M");
        assert_eq!(visible("\u{202e}abc\u{9b}1m"), "\\u{202e}abc\\u{9b}1m");
        assert_eq!(visible("tab\tü"), "tab\tü");
    }

    #[test]
    fn colours_stay_and_are_closed() {
        assert_eq!(coloured("\x1b[1;31mred"), "\x1b[1;31mred\x1b[0m");
        assert_eq!(coloured("\x1b[2Jcleared"), "^[[2Jcleared");
        assert_eq!(coloured("\x1b[31"), "^[[31");
        assert_eq!(coloured(&format!("\x1b[{}m", "1;".repeat(99))).chars().next(), Some('^'));
    }
}
