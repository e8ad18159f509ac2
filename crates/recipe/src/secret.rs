//! Secrets in recipes: values whose text is not there.
//!
//! The interpreter never sees the text of a secret. A secret is a value of its own type, and
//! wherever the language turns it into text (`"%s" % s`, `f"{s}"`, `str(s)`, `"a" + s`) a *mark*
//! stands for it: a number between characters that nothing else uses. Text with marks becomes a
//! [`Secret`] again when it leaves the language, the marks replaced; where it would be shown
//! (`print`, `fail`, an error) they are redacted. So taint cannot be lost, and text methods work on
//! everything around the secret.
//!
//! Text of which a mark was cut, or which holds one of these characters from elsewhere, is refused.

use std::cell::RefCell;

use report::Secret;
use resource::Value;

use crate::complaint::Complaint;

/// Opens a mark. The characters are of the last private plane, which has no meaning to anybody.
const OPEN: char = '\u{10FF00}';
/// Closes a mark.
const CLOSE: char = '\u{10FF01}';
/// The digit 0 of a mark; neither case nor any other text method changes digits.
const ZERO: u32 = 0x10_FF10;
/// Digits are of base sixteen.
const RADIX: u32 = 16;

/// What is shown instead.
const REDACTED: &str = "••••••";

/// The secrets of an evaluation, by their marks.
#[derive(Default)]
pub(crate) struct Secrets(RefCell<Vec<Secret>>);

impl Secrets {
    /// Returns the mark of a secret.
    pub(crate) fn mark(&self, secret: &Secret) -> String {
        let mut secrets = self.0.borrow_mut();
        let known = secrets.iter().position(|known| known == secret);
        let index = known.unwrap_or_else(|| {
            secrets.push(secret.clone());
            secrets.len() - 1
        });
        let mut digits = Vec::new();
        let mut rest = u32::try_from(index).unwrap_or(u32::MAX);
        loop {
            digits.extend(char::from_u32(ZERO + rest % RADIX));
            rest /= RADIX;
            if rest == 0 {
                break;
            }
        }
        let digits = digits.into_iter().rev();
        std::iter::once(OPEN).chain(digits).chain(std::iter::once(CLOSE)).collect()
    }

    /// Returns text of the language as a value: plain, or a secret if it has marks.
    pub(crate) fn reveal(&self, text: &str) -> Result<Value, Complaint> {
        if !has_mark(text) {
            return Ok(Value::text(text));
        }
        let secrets = self.0.borrow();
        let mut revealed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(is_reserved) {
            revealed.push_str(&rest[..at]);
            let (index, behind) = parse(&rest[at..]).ok_or_else(cut)?;
            revealed.push_str(secrets.get(index).ok_or_else(cut)?.reveal());
            rest = behind;
        }
        revealed.push_str(rest);
        Ok(Value::Secret(Secret::new(revealed)))
    }
}

/// Returns text that holds no secret, or what to say if it does.
pub(crate) fn plain<'t>(what: &str, text: &'t str) -> Result<&'t str, Complaint> {
    match has_mark(text) {
        true => Err(Complaint::new(format!("{what} cannot hold a secret: it is shown"))),
        false => Ok(text),
    }
}

fn cut() -> Complaint {
    Complaint::new("the text holds a part of a secret: a secret cannot be cut or searched")
}

fn is_reserved(c: char) -> bool {
    c == OPEN || c == CLOSE || (ZERO..ZERO + RADIX).contains(&u32::from(c))
}

/// Returns whether text stands for a secret, or for a part of one.
pub(crate) fn has_mark(text: &str) -> bool {
    // All of them are of the plane whose UTF-8 begins with this byte, which text rarely has.
    text.as_bytes().contains(&0xF4) && text.contains(is_reserved)
}

/// Reads the mark at the beginning: its number and what is behind it.
fn parse(text: &str) -> Option<(usize, &str)> {
    let text = text.strip_prefix(OPEN)?;
    let (digits, behind) = text.split_once(CLOSE)?;
    let mut index: usize = 0;
    for digit in digits.chars() {
        let digit = u32::from(digit).checked_sub(ZERO).filter(|digit| *digit < RADIX)?;
        index = index.checked_mul(RADIX as usize)?.checked_add(digit as usize)?;
    }
    (!digits.is_empty()).then_some((index, behind))
}

/// Returns text as it may be shown: each mark, and each part of one, replaced.
pub(crate) fn redact(text: &str) -> String {
    if !has_mark(text) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    let mut within = false;
    for c in text.chars() {
        match is_reserved(c) {
            true if !within => shown.push_str(REDACTED),
            true => {}
            false => shown.push(c),
        }
        within = is_reserved(c) && c != CLOSE;
    }
    shown
}

/// Replaces the texts of secrets, which a template's error may quote.
pub(crate) fn redact_texts(text: &str, secrets: &[Secret]) -> String {
    let texts = secrets.iter().map(Secret::reveal).filter(|text| !text.is_empty());
    texts.fold(text.to_owned(), |shown, secret| shown.replace(secret, REDACTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_as_what_they_stand_for() {
        let secrets = Secrets::default();
        let marks: Vec<String> =
            (0..40).map(|i| secrets.mark(&Secret::new(format!("s{i}")))).collect();
        assert_eq!(secrets.mark(&Secret::new("s3")), marks[3], "one secret has one mark");
        let text = format!("a{}b{}", marks[39], marks[3]);
        assert_eq!(secrets.reveal(&text).unwrap(), Value::Secret(Secret::new("as39bs3")));
        assert_eq!(secrets.reveal("plain").unwrap(), Value::text("plain"));
        assert_eq!(redact(&text), "a••••••b••••••");
    }

    #[test]
    fn parts_of_marks_are_refused_and_not_shown() {
        let secrets = Secrets::default();
        let mark = secrets.mark(&Secret::new("hunter2"));
        let chars: Vec<char> = mark.chars().collect();
        for part in [&chars[1..], &chars[..1], &chars[..chars.len() - 1], &chars[1..2]] {
            let part: String = part.iter().collect();
            assert!(secrets.reveal(&part).is_err());
            assert_eq!(redact(&format!("x{part}")), format!("x{REDACTED}"));
        }
    }

    #[test]
    fn case_does_not_change_marks() {
        let secrets = Secrets::default();
        let mark = secrets.mark(&Secret::new("x"));
        assert_eq!(mark.to_uppercase(), mark);
        assert_eq!(mark.to_lowercase(), mark);
    }
}
