//! What every handler shares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use deploy::readiness::Readiness;
use deploy::{DeployError, Node};

use crate::registry::Registry;

/// The running agent.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) node: Node,
    pub(crate) readiness: Readiness,
    pub(crate) registry: Registry,
    /// Since when, RFC 3339.
    pub(crate) since: String,
    /// Where this installation's cgroups are.
    pub(crate) cgroup_base: Option<PathBuf>,
    /// What cannot be enforced here.
    pub(crate) not_enforced: Vec<String>,
    /// Held while a change of variables is written and queued.
    pub(crate) environment: Mutex<()>,
    /// What is wrong, by what it concerns.
    problems: Mutex<BTreeMap<String, String>>,
}

impl Agent {
    pub(crate) fn new(node: Node, cgroup_base: Option<PathBuf>, not_enforced: Vec<String>) -> Self {
        let readiness = Readiness::default();
        let inner = Inner {
            node,
            readiness,
            registry: Registry::default(),
            since: deploy::node::now(),
            cgroup_base,
            not_enforced,
            environment: Mutex::default(),
            problems: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.inner.node
    }

    /// Notes that something is wrong, or that it is well again.
    pub(crate) fn problem(&self, about: &str, text: Option<String>) {
        let mut problems = self.inner.problems.lock().unwrap_or_else(PoisonError::into_inner);
        match text {
            Some(text) => {
                tracing::error!(about, text, "a problem");
                problems.insert(about.to_owned(), text);
            }
            None => {
                problems.remove(about);
            }
        }
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let problems = self.inner.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.values().cloned().collect()
    }

    /// Returns an app, or a failure that names the ones there are.
    pub(crate) fn app(&self, name: &str) -> Result<deploy::AppRecord, report::Failure> {
        let journal = self.node().journal();
        let found = journal.app(name).map_err(report::Failure::from)?;
        match found {
            Some(app) => Ok(app),
            None => Err(self.unknown_app(name)),
        }
    }

    /// Returns an app, made if there is none: its variables may be set before its first deploy. A
    /// name that is nearly another app's is taken for a slip.
    pub(crate) fn app_or_new(&self, name: &str) -> Result<deploy::AppRecord, report::Failure> {
        let journal = self.node().journal();
        if let Some(app) = journal.app(name).map_err(report::Failure::from)? {
            return Ok(app);
        }
        let unknown = self.unknown_app(name);
        let slip = unknown.hints.iter().any(|hint| hint.starts_with("did you mean"));
        let reserved = name == app::RESERVED_APP;
        if slip || reserved || control::ServiceName::new(name, "web").is_err() {
            return Err(unknown);
        }
        Ok(journal.change_app(name, |_| {})?)
    }

    fn unknown_app(&self, name: &str) -> report::Failure {
        let apps: Vec<String> = match self.node().journal().apps() {
            Ok(apps) => apps.into_iter().map(|app| app.name).collect(),
            Err(error) => return DeployError::into(error),
        };
        let failure =
            report::Failure::new(report::Kind::Usage, format!("there is no app `{name}`"));
        match report::did_you_mean(name, apps.iter().map(String::as_str)) {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
            None if apps.is_empty() => failure.hint("skep up, in an app's directory"),
            None => failure.hint(format!("the apps here are: {}", apps.join(", "))),
        }
    }
}
