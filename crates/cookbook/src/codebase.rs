//! `data_bags/codebases/<app>.json`: where an app comes from.
//!
//! ```json
//! {
//!     "id": "shop",
//!     "repository": "git@git.example.com:team/shop.git",
//!     "ref": "main",
//!     "deploy_key": { "encrypted": "-----BEGIN AGE ENCRYPTED FILE-----\n…" },
//!     "known_hosts": "git.example.com ssh-ed25519 AAAA…"
//! }
//! ```
//!
//! Key and host key are written down, because whoever deploys is not whoever tried it by hand: another
//! user has no key that the server knows and has never seen the server.

use report::Secret;
use resource::Value;

use crate::data_bag::encrypted;
use crate::mistakes::Mistakes;

/// The data bag of codebases.
pub const CODEBASES: &str = "codebases";

/// What is taken where no revision is named.
const DEFAULT_REFERENCE: &str = "HEAD";

/// Where an app comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Codebase {
    /// The app.
    pub app: String,
    /// What git is told to fetch.
    pub repository: String,
    /// The branch, tag or commit.
    pub reference: String,
    /// The private key that the server knows.
    pub deploy_key: Option<Secret>,
    /// The server's own keys, as ssh's `known_hosts` has them.
    pub known_hosts: Option<String>,
}

impl Codebase {
    /// Returns what an item of the data bag says; its text was checked when it was read.
    pub fn of(item: &Value) -> Option<Self> {
        let Value::Map(members) = item else { return None };
        let text = |name: &str| match members.get(name) {
            Some(Value::Text(text)) => Some(text.to_string()),
            _ => None,
        };
        let deploy_key = match members.get("deploy_key") {
            Some(Value::Secret(secret)) => Some(secret.clone()),
            _ => None,
        };
        Some(Self {
            app: text("id")?,
            repository: text("repository")?,
            reference: text("ref").unwrap_or_else(|| DEFAULT_REFERENCE.to_owned()),
            deploy_key,
            known_hosts: text("known_hosts"),
        })
    }
}

/// Says what is wrong with an item of `codebases`.
pub(crate) fn check(mistakes: &mut Mistakes, root: &nodes::Value) {
    const WHAT: &str = "a codebase";
    const KEYS: [&str; 5] = ["id", "repository", "ref", "deploy_key", "known_hosts"];
    let Some(entries) = mistakes.dict(WHAT, root, &KEYS) else { return };
    if let Some((repository, value)) = mistakes.required(WHAT, root, "repository")
        && (repository.is_empty() || repository.starts_with('-'))
    {
        mistakes.add(value.origin.span.clone(), "expected what `git clone` takes");
    }
    if let Some((reference, value)) = mistakes.text(entries, "ref")
        && (reference.is_empty() || reference.starts_with('-'))
    {
        mistakes.add(value.origin.span.clone(), "expected a branch, a tag or a commit");
    }
    mistakes.text(entries, "known_hosts");
    if let Some(key) = entries.get("deploy_key")
        && encrypted(&key.value).is_none()
    {
        mistakes.add(key.key.clone(), "a private key has to be encrypted");
        mistakes.hint(
            "age --encrypt --armor -r RECIPIENT    the recipient is in the key file's comment",
        );
    }
}
