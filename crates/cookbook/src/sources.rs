//! `cookbooks.toml`: where cookbooks come from that are not in `cookbooks/`.
//!
//! ```toml
//! [sources]
//! base = { path = "../shared/base" }
//! nginx = { git = "https://git.example.com/nginx.git" }
//!
//! [sources.private]
//! git = "git@git.example.com:ops/cookbooks.git"
//! branch = "main"
//! directory = "private"
//! deploy_key = "/root/.ssh/ops"
//! known_hosts = "known_hosts"
//!
//! [overrides]
//! nginx = { path = "../nginx" }
//! ```
//!
//! A git source without `tag`, `branch` or `revision` offers every tag that is a version, `v1.2.0` or
//! `1.2.0`. `[overrides]` wins over everything else, also over `cookbooks/`: for as long as somebody works
//! on it. A name in both `cookbooks/` and `[sources]` is an error.

use std::collections::BTreeMap;
use std::fmt;

use nodes::{Entry, Origin, ParseErrors, Value};
use report::{Excerpt, SourceText};

use crate::mistakes::Mistakes;
use crate::name;

/// The file's name.
pub const SOURCES: &str = "cookbooks.toml";

/// `cookbooks.toml` without mistakes.
#[derive(Debug, Clone, Default)]
pub struct SourcesFile {
    /// `[sources]`.
    pub sources: BTreeMap<String, Declared>,
    /// `[overrides]`.
    pub overrides: BTreeMap<String, Declared>,
    source: Option<SourceText>,
}

/// A source and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Where the cookbook comes from.
    pub source: Source,
    /// Where that is said.
    pub origin: Origin,
}

/// Where a cookbook comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `cookbooks/` of the repository.
    Own,
    /// A directory, relative to the repository.
    Path(String),
    /// A git repository.
    Git(GitSource),
}

/// A git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// What git is told to fetch.
    pub url: String,
    /// The tag, branch or commit; absent: every tag that is a version.
    pub revision: Option<String>,
    /// The directory in it that is the cookbook; absent: all of it.
    pub directory: Option<String>,
    /// The file of the private key that the server knows.
    pub deploy_key: Option<String>,
    /// The file of the server's own keys.
    pub known_hosts: Option<String>,
}

/// As the lock has it. Keys are left out: they say who fetches, not what.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("cookbooks"),
            Self::Path(path) => write!(f, "path {path}"),
            Self::Git(GitSource { url, revision, directory, .. }) => {
                write!(f, "git {url}")?;
                revision.iter().try_for_each(|revision| write!(f, " at {revision}"))?;
                directory.iter().try_for_each(|directory| write!(f, " in {directory}"))
            }
        }
    }
}

impl SourcesFile {
    /// Returns the line of a source, underlined.
    pub fn excerpt(&self, declared: &Declared, label: impl Into<String>) -> Option<Excerpt> {
        Some(self.source.as_ref()?.excerpt(declared.origin.span.clone(), label))
    }
}

/// Reads the text of a `cookbooks.toml`.
pub fn parse_sources(text: &str) -> Result<SourcesFile, ParseErrors> {
    let (mut mistakes, root) = Mistakes::read(SOURCES, text, SOURCES)?;
    let file = read(&mut mistakes, &root);
    mistakes.into_result(file)
}

fn read(mistakes: &mut Mistakes, root: &Value) -> Option<SourcesFile> {
    let entries = mistakes.dict("sources of cookbooks", root, &["sources", "overrides"])?;
    let mut file = SourcesFile { source: Some(mistakes.source()), ..SourcesFile::default() };
    for (section, into) in [("sources", &mut file.sources), ("overrides", &mut file.overrides)] {
        let Some(entry) = entries.get(section) else { continue };
        let Some(found) = mistakes.any_dict("names of cookbooks", &entry.value) else { continue };
        for (name, entry) in found {
            if let Some(why) = name::cookbook_refusal(name) {
                mistakes.add(entry.key.clone(), why);
            } else if let Some(source) = read_source(mistakes, entry) {
                let origin = Origin { span: entry.key.clone(), ..entry.value.origin.clone() };
                into.insert(name.clone(), Declared { source, origin });
            }
        }
    }
    Some(file)
}

fn read_source(mistakes: &mut Mistakes, entry: &Entry) -> Option<Source> {
    const KEYS: [&str; 8] =
        ["path", "git", "tag", "branch", "revision", "directory", "deploy_key", "known_hosts"];
    let what = "a source";
    let keys = mistakes.dict(what, &entry.value, &KEYS)?;
    let mut text = |key: &str| {
        let (text, value) = mistakes.text(keys, key)?;
        // A word that git would take for an option, or that is no path.
        if text.is_empty() || text.starts_with('-') || text.contains('\n') {
            mistakes.add(value.origin.span.clone(), format!("this cannot be `{key}`"));
            return None;
        }
        Some(text.to_owned())
    };
    let (path, git) = (text("path"), text("git"));
    let revisions = [text("tag"), text("branch"), text("revision")];
    let directory = text("directory");
    let (deploy_key, known_hosts) = (text("deploy_key"), text("known_hosts"));
    let mut refuse = |key: &str, label: &str| {
        let span = keys.get(key).map_or_else(|| entry.key.clone(), |entry| entry.key.clone());
        mistakes.add(span, label);
        None
    };
    if keys.contains_key("path") && keys.contains_key("git") {
        return refuse("git", "a source has `path` or `git`, not both");
    }
    if let Some(path) = path {
        return match keys.keys().find(|key| *key != "path" && KEYS.contains(&key.as_str())) {
            Some(key) => refuse(key, "only a source with `git` has this"),
            None => Some(Source::Path(path)),
        };
    }
    if ["tag", "branch", "revision"].iter().filter(|key| keys.contains_key(**key)).count() > 1 {
        return refuse("revision", "one of `tag`, `branch` and `revision`");
    }
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if directory.as_ref().is_some_and(|path| !path.split('/').all(plain)) {
        return refuse("directory", "expected a path below the root of the git repository");
    }
    let Some(url) = git else {
        return if keys.contains_key("git") || keys.contains_key("path") {
            None
        } else {
            refuse("", "a source has `path` or `git`")
        };
    };
    let revision = revisions.into_iter().flatten().next();
    Some(Source::Git(GitSource { url, revision, directory, deploy_key, known_hosts }))
}
