//! What is to be done to the files of roles, as a value.

use std::collections::{BTreeMap, BTreeSet};

use report::{Failure, Kind};
use serde::Serialize;

use crate::generated::{Adopt, Decision, Lock, Refusal, decide, digest};
use crate::nodes_file::{NodesFile, UnknownGroup};
use crate::role::{BadRoleName, ROLES, Role, role_path};

/// Which roles are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// That of a group, or of every group, whether there is a file or not.
    Create(Option<&'a str>),
    /// That of a group, or all, if there is a file. All: what groups that are gone left goes too.
    Update(Option<&'a str>),
}

/// One file and what is to be done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its path below the repository.
    pub path: String,
    /// What is to be done.
    pub decision: Decision,
    /// What it shall hold, unless it shall go.
    #[serde(skip)]
    pub text: Option<String>,
}

/// Why roles cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No such group.
    #[error(transparent)]
    UnknownGroup(#[from] UnknownGroup),
    /// Chef would refuse its name.
    #[error(transparent)]
    BadName(#[from] BadRoleName),
    /// There is nothing to update.
    #[error("`{0}` has no role yet")]
    NoRole(String),
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::UnknownGroup(error) => error.into(),
            PlanError::BadName(error) => error.into(),
            PlanError::NoRole(ref group) => {
                let hint = format!("skep role:create {group}");
                Self::new(Kind::Usage, error.to_string()).hint(hint)
            }
        }
    }
}

/// Returns the paths of every file that [`plan`] may ask for.
pub fn paths(nodes: &NodesFile, lock: &Lock) -> BTreeSet<String> {
    nodes.names().map(role_path).chain(recorded(lock).map(str::to_owned)).collect()
}

/// Plans the roles of `scope`; `found` has the bytes of the files that are there.
pub fn plan(
    nodes: &NodesFile,
    scope: Scope<'_>,
    lock: &Lock,
    found: &BTreeMap<String, Vec<u8>>,
    adopt: Adopt,
) -> Result<Vec<Change>, PlanError> {
    let (Scope::Create(only) | Scope::Update(only)) = scope;
    let mut changes = BTreeMap::new();
    let names: Vec<&str> = match only {
        Some(name) => vec![name],
        None => nodes.names().collect(),
    };
    for name in names {
        let path = role_path(name);
        let group = nodes.group(name)?;
        if matches!(scope, Scope::Update(_)) && !found.contains_key(&path) {
            match only {
                Some(_) => return Err(PlanError::NoRole(name.to_owned())),
                None => continue,
            }
        }
        let text = Role::of(&group, &nodes.settings)?.to_text();
        changes.insert(path, Some(text));
    }
    if scope == Scope::Update(None) {
        let wanted: BTreeSet<String> = nodes.names().map(role_path).collect();
        for path in recorded(lock).filter(|path| !wanted.contains(*path)) {
            changes.insert(path.to_owned(), None);
        }
    }
    let change = |(path, text): (String, Option<String>)| {
        let recorded = lock.files.get(&path).map(String::as_str);
        let bytes = found.get(&path).map(Vec::as_slice);
        let decision = decide(text.as_deref().map(str::as_bytes), bytes, recorded, adopt);
        Change { path, decision, text }
    };
    Ok(changes.into_iter().map(change).collect())
}

/// Returns the lock as it is once the changes are made.
pub fn recorded_after(lock: &Lock, changes: &[Change]) -> Lock {
    let mut lock = lock.clone();
    for change in changes {
        match (change.decision, &change.text) {
            (Decision::Refuse(_), _) => {}
            (Decision::Remove, _) | (_, None) => {
                lock.files.remove(&change.path);
            }
            (_, Some(text)) => {
                lock.files.insert(change.path.clone(), digest(text.as_bytes()));
            }
        }
    }
    lock
}

/// Returns the failure that names every file that is left alone, if there is one.
pub fn refusal(changes: &[Change]) -> Option<Failure> {
    let refused: Vec<(&Change, Refusal)> = changes
        .iter()
        .filter_map(|change| match change.decision {
            Decision::Refuse(refusal) => Some((change, refusal)),
            _ => None,
        })
        .collect();
    let (count, adoptable) =
        (refused.len(), refused.iter().any(|(change, _)| change.text.is_some()));
    if count == 0 {
        return None;
    }
    let files = if count == 1 { "file is not Skep's" } else { "files are not Skep's" };
    let mut failure = Failure::new(Kind::Failed, format!("nothing was written: {count} {files}"));
    for (change, refusal) in &refused {
        failure = failure.detail(change.path.clone(), refusal.text());
    }
    if adoptable {
        failure = failure.hint("--adopt    to write over them, and call them Skep's");
    }
    if refused.iter().any(|(change, _)| change.text.is_none()) {
        failure = failure.hint("delete what no group needs any more yourself");
    }
    Some(failure)
}

fn recorded(lock: &Lock) -> impl Iterator<Item = &str> {
    let is_role =
        |path: &&String| path.strip_prefix(ROLES).is_some_and(|rest| rest.starts_with('/'));
    lock.files.keys().filter(is_role).map(String::as_str)
}
