//! The environment of a build's programs: constructed, with a named allow-list from the caller.
//!
//! | variables | taken from the caller | for |
//! |---|---|---|
//! | `SSL_CERT_FILE`, `SSL_CERT_DIR` | yes | trusting the index's certificate |
//! | `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, either case | yes | reaching it |
//! | `PIP_*` | yes | pip's index and trust, also translated for uv ([`crate::pip`]) |
//! | `UV_*` | yes | uv's own |
//! | `NPM_CONFIG_*` (either case), `NODE_EXTRA_CA_CERTS` | yes | npm's |
//! | names in [`NEVER`] | no | they say *where* to install, which the build decides |
//! | everything else | no | |
//!
//! What is taken reaches build programs only, never a service, and its names are part of the plan.

use std::collections::BTreeMap;

/// Where programs of the machine are looked for.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Names taken from the caller as they are.
const NAMES: [&str; 11] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// Beginnings of names taken from the caller.
const PREFIXES: [&str; 4] = ["NPM_CONFIG_", "PIP_", "UV_", "npm_config_"];
/// Names that would lead an installation elsewhere than into the stage.
const NEVER: [&str; 25] = [
    "NPM_CONFIG_GLOBAL",
    "NPM_CONFIG_PREFIX",
    "PIP_BREAK_SYSTEM_PACKAGES",
    "PIP_CONFIG_FILE",
    "PIP_LOG",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REPORT",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_ROOT",
    "PIP_SRC",
    "PIP_TARGET",
    "PIP_USER",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_CACHE_DIR",
    "UV_ENV_FILE",
    "UV_LINK_MODE",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    "npm_config_global",
    "npm_config_prefix",
];

/// Returns those of the caller's variables that a build may see.
pub fn build_environment(caller: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    caller
        .iter()
        .filter(|(name, value)| is_passed(name) && !value.contains('\0'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Returns whether a variable of this name is passed to a build.
pub fn is_passed(name: &str) -> bool {
    let taken = NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    taken && !NEVER.contains(&name) && !name.contains(['=', '\0'])
}

/// Variables that a build sets itself, over everything else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base<'a> {
    /// The first directories of PATH.
    pub(crate) first: &'a [String],
    pub(crate) home: &'a str,
    pub(crate) temporary: &'a str,
    /// Marks the build's processes.
    pub(crate) stage: &'a str,
}

impl Base<'_> {
    /// Puts the base over what is there.
    pub(crate) fn put(self, environment: &mut BTreeMap<String, String>) {
        let mut path = self.first.join(":");
        if !path.is_empty() {
            path.push(':');
        }
        path.push_str(SYSTEM_PATH);
        for (name, value) in [
            ("PATH", path.as_str()),
            ("HOME", self.home),
            ("TMPDIR", self.temporary),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("NO_COLOR", "1"),
            ("PYTHONUNBUFFERED", "1"),
            // Bytecode is compiled once, at the end, in a form that does not look at times.
            ("PYTHONDONTWRITEBYTECODE", "1"),
            // Archives made by build backends hold times; ZIP begins in 1980.
            ("SOURCE_DATE_EPOCH", "315532800"),
            (crate::strays::MARK, self.stage),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_names_pass() {
        let caller: BTreeMap<String, String> = [
            "SSL_CERT_FILE",
            "https_proxy",
            "PIP_INDEX_URL",
            "PIP_TARGET",
            "UV_DEFAULT_INDEX",
            "UV_PROJECT_ENVIRONMENT",
            "npm_config_registry",
            "NODE_EXTRA_CA_CERTS",
            "AWS_SECRET_ACCESS_KEY",
            "DATABASE_URL",
            "PATH",
            "LD_PRELOAD",
            "PYTHONPATH",
        ]
        .into_iter()
        .map(|name| (name.to_owned(), "x".to_owned()))
        .collect();
        let passed: Vec<String> = build_environment(&caller).into_keys().collect();
        assert_eq!(
            passed,
            [
                "NODE_EXTRA_CA_CERTS",
                "PIP_INDEX_URL",
                "SSL_CERT_FILE",
                "UV_DEFAULT_INDEX",
                "https_proxy",
                "npm_config_registry"
            ]
        );
    }
}
