//! What the caller of a deploy gives along for its build.
//!
//! A build may see an allow-list of its caller's variables: indexes, proxies, certificates. Some of
//! them carry credentials, so in the store they are sealed as the variables of apps are, names and
//! all, together with the names of the others, which only tell where a missing one is. All of it is
//! kept as long as the deploy waits or is going on, so that one that is built again by the next
//! agent is built with the same; never longer, and never given to a service.

use std::collections::BTreeMap;

use api::ShellNames;
use environment::{Key, KeyError};
use serde::{Deserialize, Serialize};

/// The caller's part of a deploy.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Variables that the build may see.
    #[serde(default)]
    pub build_environment: BTreeMap<String, String>,
    /// Names of all of the caller's variables.
    #[serde(default)]
    pub shell: ShellNames,
}

/// Without values: they may be credentials.
impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.build_environment.keys().collect();
        f.debug_struct("Caller").field("build_environment", &names).finish_non_exhaustive()
    }
}

fn described(app: &str, id: &str) -> String {
    format!("what the caller of deploy {id} of {app} gave along")
}

impl Caller {
    /// Returns what is kept of a caller: of its variables those that a build may see, and the two
    /// that say where its interpreters and uv are.
    pub fn new(variables: &BTreeMap<String, String>, shell: ShellNames) -> Self {
        let mut build_environment = release::build_environment(variables);
        for name in ["PATH", "HOME"] {
            let found = variables.get(name).map(|value| (name.to_owned(), value.clone()));
            build_environment.extend(found);
        }
        Self { build_environment, shell }
    }

    /// Seals it for the store; `None` where there is nothing to keep.
    pub fn seal(&self, key: &Key, app: &str, id: &str) -> Result<Option<Vec<u8>>, KeyError> {
        if *self == Self::default() {
            return Ok(None);
        }
        let plain = serde_json::to_vec(self).expect("strings by name are JSON");
        key.seal(&described(app, id), &plain).map(Some)
    }

    /// Opens what was sealed for this deploy.
    pub fn unseal(key: &Key, app: &str, id: &str, sealed: &[u8]) -> Result<Self, KeyError> {
        let what = described(app, id);
        let plain = key.unseal(&what, sealed)?;
        serde_json::from_slice(&plain).map_err(|_| KeyError::Misplaced { what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_build_may_see_is_kept_and_nothing_of_it_in_clear() {
        let directory = std::env::temp_dir().join(format!("skep-caller-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let key = Key::open_or_create(&directory.join("key")).unwrap();
        let index = ("PIP_INDEX_URL".to_owned(), "https://anna:s3cret@index.test/".to_owned());
        let shell = ("AWS_SECRET_ACCESS_KEY".to_owned(), "other".to_owned());
        let caller = Caller::new(&[index.clone(), shell].into(), ShellNames::default());
        assert_eq!(caller.build_environment, [index].into());
        assert!(!format!("{caller:?}").contains("s3cret"));
        let sealed = caller.seal(&key, "shop", "d7").unwrap().unwrap();
        for text in ["s3cret", "PIP_INDEX_URL"] {
            assert!(!sealed.windows(text.len()).any(|window| window == text.as_bytes()));
        }
        assert_eq!(Caller::unseal(&key, "shop", "d7", &sealed).unwrap(), caller);
        assert!(Caller::unseal(&key, "shop", "d8", &sealed).is_err(), "another deploy's");
        assert_eq!(Caller::default().seal(&key, "shop", "d7").unwrap(), None);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
