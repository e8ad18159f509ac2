//! What every handler shares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deploy::readiness::Readiness;
use deploy::{DeployError, Node};

use crate::registry::Registry;

/// Before something that failed is tried again: nobody tells when a disk has space again, or when a
/// program can be executed.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(2);

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
    problems: Mutex<BTreeMap<Concern, String>>,
    /// The agent was asked to end; services go on.
    ending: AtomicBool,
}

/// What a problem concerns. It stands until whoever tries that again has succeeded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Concern {
    /// The proxy, or one of the public listeners.
    Proxy,
    /// The proxy's upgrade: one of another build goes on.
    Upgrade,
    /// The route table as a whole: no proxy has it in force.
    Table,
    /// An app's routes.
    Routes(String),
    /// What of an app runs, and what should.
    Order(String),
    /// The record of an app's deploy, which ended.
    Record(String),
    /// An app whose foreground session is over.
    Session(String),
}

impl Concern {
    fn app(&self) -> Option<&str> {
        match self {
            Self::Proxy | Self::Upgrade | Self::Table => None,
            Self::Routes(app) | Self::Order(app) | Self::Record(app) | Self::Session(app) => {
                Some(app)
            }
        }
    }
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
            ending: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.inner.node
    }

    /// Says that the agent ends now: what its clients' connections hold stays as it is.
    pub(crate) fn set_ending(&self) {
        self.inner.ending.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.inner.ending.load(Ordering::Relaxed)
    }

    fn known_problems(&self) -> MutexGuard<'_, BTreeMap<Concern, String>> {
        self.inner.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something is wrong, or that it is well again.
    pub(crate) fn problem(&self, concern: Concern, text: Option<String>) {
        let mut problems = self.known_problems();
        match text {
            Some(text) if problems.get(&concern) == Some(&text) => {}
            Some(text) => {
                tracing::error!(?concern, text, "a problem");
                problems.insert(concern, text);
            }
            None => {
                if problems.remove(&concern).is_some() {
                    tracing::info!(?concern, "a problem is solved");
                }
            }
        }
    }

    /// Notes that what runs of an app is what should: it was deployed as asked.
    pub(crate) fn is_well(&self, app: &str) {
        self.problem(Concern::Order(app.to_owned()), None);
        self.problem(Concern::Routes(app.to_owned()), None);
    }

    /// Forgets what was wrong with an app that is gone.
    pub(crate) fn is_gone(&self, app: &str) {
        self.known_problems().retain(|concern, _| concern.app() != Some(app));
    }

    /// Returns whether something is known to be wrong.
    pub(crate) fn has_problem(&self, concern: &Concern) -> bool {
        self.known_problems().contains_key(concern)
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        self.known_problems().values().cloned().collect()
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
        let failure = match report::did_you_mean(name, apps.iter().map(String::as_str)) {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
            None => failure,
        };
        match apps.is_empty() {
            true => failure.hint("there is no app yet: skep up DIR"),
            false => failure.hint(format!("the apps here are: {}", apps.join(", "))),
        }
    }
}
