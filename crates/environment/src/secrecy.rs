//! What must not be shown.

use std::fmt;

use crate::construct::Environment;

/// Ends of words that name a secret.
const SECRET_WORDS: &[&str] = &[
    "KEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PASSPHRASE",
    "CREDENTIAL",
    "CREDENTIALS",
    "DSN",
];

/// Returns whether a variable is probably a secret: a word of its name ends like one
/// (`STRIPE_KEY`, `APIKEY_2`, `SENTRY_DSN`), or its value is a URL with credentials.
///
/// It errs towards hiding: what is hidden by mistake can be revealed, not the other way round.
pub fn looks_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.split('_').any(|word| SECRET_WORDS.iter().any(|secret| word.ends_with(secret)))
        || has_credentials(value)
}

/// Returns whether a value is, or contains, a URL with a user part (RFC 3986 §3.2.1).
pub(crate) fn has_credentials(value: &str) -> bool {
    value.match_indices("://").any(|(at, separator)| {
        let rest = &value[at + separator.len()..];
        let authority = rest.split(['/', '?', '#', ' ', '\n']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| !user.is_empty())
    })
}

/// What stands in place of a secret.
const MASK: &str = "••••••";

/// Secrets shorter than this are not looked for in texts: `1` or `yes` would black out half of it.
const SHORTEST_SOUGHT_BYTES: usize = 6;

/// Takes the secrets of an environment out of texts that are shown: log excerpts, causes, output.
#[derive(Clone, Default)]
pub struct Redaction {
    /// Longest first, so that a secret which contains another goes as a whole.
    secrets: Vec<String>,
}

impl Redaction {
    /// Returns the redaction of everything secret in `environment`.
    pub fn of(environment: &Environment) -> Self {
        let mut secrets: Vec<String> = environment
            .rows()
            .iter()
            .filter(|row| row.secret)
            .map(|row| row.value.reveal().to_owned())
            .filter(|value| value.len() >= SHORTEST_SOUGHT_BYTES)
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// Returns `text` without the secrets.
    pub fn apply(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if let Some(secret) = self.secrets.iter().find(|secret| rest.starts_with(*secret)) {
                shown.push_str(MASK);
                rest = &rest[secret.len()..];
            } else {
                shown.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        shown
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redaction({} secrets)", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_or_by_credentials() {
        for (name, value) in [
            ("STRIPE_KEY", "x"),
            ("stripe_api_key", "x"),
            ("APIKEY_2", "x"),
            ("DB_PASS", "x"),
            ("SENTRY_DSN", "x"),
            ("DATABASE_URL", "postgres://shop:pw@db/shop"),
            ("CELERY_BROKER", "redis://:pw@cache:6379/0"),
            ("WEBHOOK", "https://token@example.com/x"),
            ("HOSTS", "amqp://a/ amqp://u:p@b/"),
        ] {
            assert!(looks_secret(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("DEBUG", "1"),
            ("KEYBOARD", "de"),
            ("DATABASE_URL", "sqlite:///var/db.sqlite3"),
            ("PAGE", "https://example.com/@user"),
            ("MAIL", "me@example.com"),
        ] {
            assert!(!looks_secret(name, value), "{name}={value}");
        }
    }

    #[test]
    fn the_longest_secret_is_taken_out_first() {
        let redaction = Redaction { secrets: vec!["hunter22-long".into(), "hunter22".into()] };
        assert_eq!(redaction.apply("a=hunter22-long b=hunter22 ü"), "a=•••••• b=•••••• ü");
    }
}
