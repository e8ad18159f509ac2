//! Keyed digests: what a saved plan says of contents without telling them.
//!
//! HMAC-SHA-256 with a key of the caller's: from the digest of a password nobody finds the password
//! by trying, as long as the key is kept.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use resource::{Condition, Declaration, Value};
use sha2::Sha256;

/// The key of all digests of one installation.
#[derive(Clone)]
pub struct DigestKey(Vec<u8>);

impl DigestKey {
    /// Returns a key of these bytes: at least 32 random ones.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    fn mac(&self) -> Hmac<Sha256> {
        #[allow(clippy::expect_used, reason = "the message states the invariant")]
        Hmac::new_from_slice(&self.0).expect("HMAC takes keys of any length")
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(…)")
    }
}

fn finish(mac: Hmac<Sha256>) -> String {
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the digest of what was found.
pub(crate) fn digest_of_state(key: &DigestKey, state: &[u8]) -> String {
    let mut mac = key.mac();
    mac.update(b"have");
    mac.update(state);
    finish(mac)
}

/// Returns the digest of everything that was declared, but where.
pub(crate) fn digest_of_want(key: &DigestKey, declaration: &Declaration) -> String {
    let mut mac = key.mac();
    mac.update(b"want");
    let text = |text: &str| Value::text(text);
    let optional = |text: &Option<String>| text.as_ref().map_or(Value::Null, Value::text);
    let number = |number: u64| Value::text(number.to_string());
    let guards = declaration.guards.iter().map(|guard| {
        let condition = match &guard.condition {
            Condition::Exists(path) => vec![text("exists"), text(path)],
            Condition::Installed(name) => vec![text("installed"), text(name)],
            Condition::User(name) => vec![text("user"), text(name)],
            Condition::Command { arguments, user, directory, timeout_ms } => vec![
                text("command"),
                Value::List(arguments.iter().map(Value::text).collect()),
                optional(user),
                optional(directory),
                number(*timeout_ms),
            ],
        };
        Value::List(vec![Value::Bool(guard.wanted), Value::List(condition)])
    });
    let notifies = declaration.notifies.iter().map(|notification| {
        let timing = format!("{:?}", notification.timing);
        let target = notification.target.to_string();
        Value::List(vec![text(&notification.action), text(&target), text(&timing)])
    });
    let after = declaration.after.iter().map(|id| text(&id.to_string()));
    let whole = Value::List(vec![
        text(&declaration.id.to_string()),
        text(&declaration.action),
        Value::Map(declaration.properties.clone()),
        Value::List(guards.collect()),
        Value::List(notifies.collect()),
        Value::List(after.collect()),
        optional(&declaration.user),
        Value::Bool(declaration.ignore_failure),
    ]);
    whole.feed(&mut |bytes| mac.update(bytes));
    finish(mac)
}
