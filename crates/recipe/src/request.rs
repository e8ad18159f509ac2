//! What an evaluation needs from others.

use std::sync::Arc;

use report::Secret;
use resource::{RecipeName, Schema, Value};

use crate::problem::Cause;

use crate::limits::MAX_SOURCE_BYTES;

/// One evaluation.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The effective run list, in order; a recipe that is there twice is evaluated once.
    pub recipes: &'a [RecipeName],
    /// The kinds of resources that recipes may declare.
    pub schemas: &'a [&'static Schema],
    /// Where files of cookbooks come from.
    pub sources: &'a dyn Sources,
    /// What is known of the node.
    pub node: &'a dyn Node,
    /// Asked every thousand steps; true ends the evaluation.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// A file of a cookbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in messages: its path relative to the repository.
    pub name: String,
    /// Its content.
    pub bytes: Arc<[u8]>,
}

impl Source {
    /// Returns what a person wrote, within bounds, or why it is none.
    pub(crate) fn text(&self) -> Result<&str, String> {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) if text.len() <= MAX_SOURCE_BYTES => Ok(text),
            Ok(_) => Err(format!("`{}` is longer than {MAX_SOURCE_BYTES} bytes", self.name)),
            Err(_) => Err(format!("`{}` is not UTF-8", self.name)),
        }
    }
}

/// The files of cookbooks. Paths are relative to the cookbook, have no `..` and do not begin with a
/// slash: `recipes/default.star`, `templates/nginx.conf.j2`. The same path gives the same content
/// for as long as an evaluation lasts.
pub trait Sources: Sync {
    /// Returns a file, `None` if there is none.
    fn read(&self, cookbook: &str, path: &str) -> Result<Option<Source>, LookupError>;

    /// Returns the paths of all files below a directory of a cookbook, in any order; the empty path
    /// is the cookbook itself.
    fn list(&self, cookbook: &str, directory: &str) -> Result<Vec<String>, LookupError>;

    /// Returns the names of all cookbooks.
    fn cookbooks(&self) -> Vec<String>;
}

/// What is known of the node that is described. Nothing of it changes while an evaluation lasts.
pub trait Node: Sync {
    /// Returns the attributes, merged: a map.
    fn attributes(&self) -> &Value;

    /// Returns a fact, `None` if there is none of this name.
    fn fact(&self, name: &str) -> Result<Option<Value>, LookupError>;

    /// Returns the names of all facts.
    fn facts(&self) -> Vec<String>;

    /// Returns an item of a data bag, `None` if there is none. What was encrypted is a secret.
    fn data_bag_item(&self, bag: &str, id: &str) -> Result<Option<Value>, LookupError>;

    /// Returns the ids of a data bag's items; none if there is no such bag.
    fn data_bag_ids(&self, bag: &str) -> Vec<String>;

    /// Returns the names of all data bags.
    fn data_bags(&self) -> Vec<String>;

    /// Returns a variable of an app's environment, `None` if it is not set.
    fn env_of(&self, app: &str, key: &str) -> Result<Option<Secret>, LookupError>;

    /// Returns what is registered for a service, `app/service`: a map for each endpoint.
    fn services(&self, service: &str) -> Result<Vec<Value>, LookupError>;
}

/// Why something could not be looked up, as opposed to: it is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LookupError {
    /// What kind of failure it is.
    pub cause: Cause,
    /// What was tried on what, and why it failed.
    pub message: String,
    /// What to do next.
    pub hints: Vec<String>,
}
