//! pip's configuration, translated for uv.
//!
//! Machines behind a private index are set up for pip: `PIP_*` variables, `/etc/pip.conf`, the
//! user's `pip.conf`. uv reads none of them. `pip config list` gives all of it, merged:
//!
//! ```text
//! :env:.find-links='/srv/wheels'
//! global.index-url='https://index.example/simple'
//! ```
//!
//! | pip | uv |
//! |---|---|
//! | `index-url` | `UV_DEFAULT_INDEX` |
//! | `extra-index-url` | `UV_INDEX` |
//! | `find-links` | `UV_FIND_LINKS` |
//! | `trusted-host` | `UV_INSECURE_HOST` |
//! | `no-index` | `UV_NO_INDEX` |
//! | `cert` | `SSL_CERT_FILE` |
//! | `proxy` | `ALL_PROXY` |
//! | `timeout` | `UV_HTTP_TIMEOUT` |
//!
//! A variable that the caller set for uv itself wins. Later layers of pip win over earlier ones:
//! `global`, then `install`, then the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::command::{self, Limits, Program};
use crate::identity::Identity;
use crate::tools;

/// How long `pip config list` may take; pip's start is most of it.
const PIP_TIMEOUT: Duration = Duration::from_secs(30);

/// Adds what pip is told to `environment`, which holds the caller's variables. A machine without
/// pip has no configuration of pip's that anybody relies on.
pub(crate) fn translate(
    environment: &mut BTreeMap<String, String>,
    pythons: &[PathBuf],
    cancel: &Cancel,
) {
    let listed = pythons.iter().find_map(|python| config_list(python, environment, cancel));
    let mut settings = parse(&listed.unwrap_or_default());
    // What pip itself would say, were it here.
    for (name, value) in environment.iter() {
        if let Some(name) = name.strip_prefix("PIP_") {
            settings.insert(name.to_ascii_lowercase().replace('_', "-"), value.clone());
        }
    }
    for (name, value) in uv_variables(&settings) {
        environment.entry(name.to_owned()).or_insert(value);
    }
    // Both spellings: uv renamed the variable.
    for name in ["UV_SYSTEM_CERTS", "UV_NATIVE_TLS"] {
        environment.entry(name.to_owned()).or_insert_with(|| "1".to_owned());
    }
}

/// Runs `pip config list` as this process's own user, whose configuration it is.
fn config_list(
    python: &Path,
    caller: &BTreeMap<String, String>,
    cancel: &Cancel,
) -> Option<String> {
    let program = Program {
        path: python.to_owned(),
        arguments: ["-m", "pip", "config", "list"].map(OsString::from).into(),
        directory: PathBuf::from("/"),
        environment: tools::reaching_an_index(caller),
    };
    let limits = Limits { deadline: Instant::now() + PIP_TIMEOUT, cancel };
    let captured = command::capture(&program, &Identity::Same, limits).ok()?;
    captured.status.success().then(|| String::from_utf8_lossy(&captured.stdout).into_owned())
}

/// Returns pip's settings by name, the strongest layer of each.
fn parse(listed: &str) -> BTreeMap<String, String> {
    const LAYERS: [&str; 3] = ["global", "install", ":env:"];
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for line in listed.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let Some((layer, name)) = key.rsplit_once('.') else { continue };
        let Some(rank) = LAYERS.iter().position(|known| *known == layer) else { continue };
        let Some(value) = unquote(value.trim()) else { continue };
        if found.get(name).is_none_or(|(known, _)| *known <= rank) {
            found.insert(name.to_owned(), (rank, value));
        }
    }
    found.into_iter().map(|(name, (_, value))| (name, value)).collect()
}

/// Reads a Python string literal as `repr` writes it.
fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.get(1..)?.strip_suffix(quote)?;
    let mut value = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        value.push(match character {
            '\\' => match characters.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            },
            other => other,
        });
    }
    Some(value)
}

fn uv_variables(settings: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    let list =
        |value: &str, separator: &str| value.split_whitespace().collect::<Vec<_>>().join(separator);
    settings
        .iter()
        .filter_map(|(name, value)| {
            Some(match name.as_str() {
                "index-url" => ("UV_DEFAULT_INDEX", value.trim().to_owned()),
                "extra-index-url" => ("UV_INDEX", list(value, " ")),
                "find-links" => ("UV_FIND_LINKS", list(value, ",")),
                "trusted-host" => ("UV_INSECURE_HOST", list(value, " ")),
                "no-index" if is_true(value) => ("UV_NO_INDEX", "1".to_owned()),
                "cert" => ("SSL_CERT_FILE", value.trim().to_owned()),
                "proxy" => ("ALL_PROXY", value.trim().to_owned()),
                "timeout" | "default-timeout" => ("UV_HTTP_TIMEOUT", value.trim().to_owned()),
                _ => return None,
            })
        })
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// pip reads booleans as `distutils.util.strtobool` did.
fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "y" | "yes" | "t" | "true" | "on")
}

/// Fuzz target: no bytes make the reader panic.
#[doc(hidden)]
pub fn fuzz_pip_config(bytes: &[u8]) {
    let _ = uv_variables(&parse(&String::from_utf8_lossy(bytes)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_translated_and_the_strongest_layer_wins() {
        let listed = ":env:.find-links='/srv/wheels /srv/more'\n\
            global.cert='/etc/ssl/ca.pem'\n\
            global.index-url='https://a.example/simple'\n\
            install.index-url=\"https://b.example/it's\"\n\
            global.trusted-host='\\na.example\\nb.example'\n\
            freeze.timeout='10'\n\
            global.no-index='false'\n\
            nonsense\n";
        let variables: BTreeMap<&str, String> = uv_variables(&parse(listed)).into_iter().collect();
        assert_eq!(variables["UV_FIND_LINKS"], "/srv/wheels,/srv/more");
        assert_eq!(variables["SSL_CERT_FILE"], "/etc/ssl/ca.pem");
        assert_eq!(variables["UV_DEFAULT_INDEX"], "https://b.example/it's");
        assert_eq!(variables["UV_INSECURE_HOST"], "a.example b.example");
        assert_eq!(variables.len(), 4);
    }

    proptest::proptest! {
        #[test]
        fn hostile_text_does_no_harm(bytes: Vec<u8>) {
            fuzz_pip_config(&bytes);
        }
    }
}
