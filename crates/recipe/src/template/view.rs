//! Values as templates see them: lazily, so that what is read is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Value as Shown;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use report::Secret;
use resource::Value;

use crate::complaint::Complaint;

/// The name under which templates see the attributes.
pub(super) const NODE: &str = "node";

/// What one rendering reads.
#[derive(Default)]
pub(crate) struct Tracker {
    attributes: Mutex<BTreeSet<String>>,
    secret: AtomicBool,
    secrets: Mutex<Vec<Secret>>,
}

impl Tracker {
    /// Returns the paths of attributes that were read.
    pub(crate) fn attributes(&self) -> BTreeSet<String> {
        self.attributes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn read_a_secret(&self) -> bool {
        self.secret.load(Ordering::Relaxed)
    }

    /// Returns the secrets that were read, to keep them out of errors.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reveal(&self, secret: &Secret) -> Shown {
        self.secret.store(true, Ordering::Relaxed);
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if !secrets.contains(secret) {
            secrets.push(secret.clone());
        }
        Shown::from(secret.reveal())
    }

    fn read(&self, path: &str) {
        let mut attributes = self.attributes.lock().unwrap_or_else(PoisonError::into_inner);
        if !attributes.contains(path) {
            attributes.insert(path.to_owned());
        }
    }
}

/// Returns what a template sees at the top: its variables, and the attributes.
pub(crate) fn context(
    tracker: &Arc<Tracker>,
    attributes: &Arc<Value>,
    vars: Value,
) -> Result<Shown, Complaint> {
    let Value::Map(vars) = vars else {
        return Err(Complaint::new("`vars` is a dict").at_name("vars"));
    };
    if vars.contains_key(NODE) {
        let label = format!("`{NODE}` is what templates call the attributes; take another name");
        return Err(Complaint::new(label).at_name("vars"));
    }
    let mut top: BTreeMap<_, _> =
        vars.into_iter().map(|(name, value)| (name, Arc::new(value))).collect();
    top.insert(NODE.to_owned(), attributes.clone());
    Ok(Shown::from_object(Top { tracker: tracker.clone(), roots: top }))
}

/// What a template sees at the top, by name.
struct Top {
    tracker: Arc<Tracker>,
    roots: BTreeMap<String, Arc<Value>>,
}

impl fmt::Debug for Top {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.roots.keys()).finish()
    }
}

impl Object for Top {
    fn get_value(self: &Arc<Self>, key: &Shown) -> Option<Shown> {
        let name = key.as_str()?;
        let root = self.roots.get(name)?.clone();
        let path = (name == NODE).then(String::new);
        Some(View { tracker: self.tracker.clone(), root, steps: Vec::new(), path }.shown())
    }
}

#[derive(Clone)]
enum Step {
    Member(String),
    Item(usize),
}

/// A part of a value, found anew at each use.
struct View {
    tracker: Arc<Tracker>,
    root: Arc<Value>,
    steps: Vec<Step>,
    /// The path of an attribute whose reads are still to be recorded.
    path: Option<String>,
}

impl View {
    fn value(&self) -> Option<&Value> {
        self.steps.iter().try_fold(&*self.root, |value, step| match (value, step) {
            (Value::Map(members), Step::Member(name)) => members.get(name),
            (Value::List(items), Step::Item(index)) => items.get(*index),
            _ => None,
        })
    }

    /// Returns what a template gets: itself as an object, or what it holds.
    fn shown(self) -> Shown {
        let whole = !matches!(self.value(), Some(Value::Map(_)));
        if whole {
            self.read_whole();
        }
        match self.value() {
            None => Shown::UNDEFINED,
            Some(Value::Null) => Shown::from(()),
            Some(Value::Bool(bool)) => Shown::from(*bool),
            Some(Value::Integer(integer)) => Shown::from(*integer),
            Some(Value::Float(float)) => Shown::from(*float),
            Some(Value::Text(text)) => Shown::from(text.clone()),
            Some(Value::Bytes(bytes)) => Shown::from_bytes(bytes.to_vec()),
            Some(Value::Secret(secret)) => self.tracker.reveal(secret),
            Some(Value::List(_) | Value::Map(_)) => Shown::from_object(self),
        }
    }

    fn read_whole(&self) {
        if let Some(path) = self.path.as_deref().filter(|path| !path.is_empty()) {
            self.tracker.read(path);
        }
    }

    fn step(&self, step: Step) -> Self {
        let path = self.path.as_ref().and_then(|path| match &step {
            Step::Member(name) if path.is_empty() => Some(name.clone()),
            Step::Member(name) => Some(format!("{path}.{name}")),
            // A list was recorded as a whole.
            Step::Item(_) => None,
        });
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { tracker: self.tracker.clone(), root: self.root.clone(), steps, path }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.value())
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.value() {
            Some(Value::List(_)) => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Shown) -> Option<Shown> {
        let step = match self.value()? {
            Value::List(_) => Step::Item(key.as_usize()?),
            _ => Step::Member(key.as_str()?.to_owned()),
        };
        let part = self.step(step);
        if part.value().is_none() {
            // What is not there is read too: it matters once it appears.
            part.read_whole();
            return None;
        }
        Some(part.shown())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.read_whole();
        if let (Some(""), Some(Value::Map(members))) = (self.path.as_deref(), self.value()) {
            for name in members.keys() {
                self.tracker.read(name);
            }
        }
        match self.value() {
            Some(Value::List(items)) => Enumerator::Seq(items.len()),
            Some(Value::Map(members)) => {
                Enumerator::Values(members.keys().map(|name| Shown::from(name.as_str())).collect())
            }
            _ => Enumerator::Empty,
        }
    }
}
