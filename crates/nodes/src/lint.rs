//! What is allowed and probably not meant.
//!
//! A lint is a value with its place. What needs cookbooks is handed in as [`Facts`]; without them
//! those rules say nothing. The same place is told once, however many groups inherit it.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use report::{Excerpt, did_you_mean};
use serde::{Serialize, Serializer};

use crate::group::{Group, Step};
use crate::item::Item;
use crate::merge::Depth;
use crate::name::is_role_name;
use crate::nodes_file::NodesFile;
use crate::value::{Data, Origin, Value, join};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It cannot work.
    Error,
    /// It works, and probably not as it was meant.
    Warning,
}

/// What was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An item stands in the effective run list twice; it runs at its first place.
    RunsEarly,
    /// No cookbook has the recipe.
    UnknownRecipe,
    /// Neither a group nor a file is that role.
    UnknownRole,
    /// A run list names a role.
    SubRole,
    /// A group's name has a dot, which Chef refuses in a role's.
    DottedName,
    /// A recipe that another one of the run list includes already.
    AlreadyIncluded,
    /// A recipe that provides no service stands in a run list.
    NoService,
    /// A dict inside a dict hides keys of the parent's.
    HiddenKeys,
    /// A group's run list is empty.
    NothingToRun,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 9] = [
        Self::RunsEarly,
        Self::UnknownRecipe,
        Self::UnknownRole,
        Self::SubRole,
        Self::DottedName,
        Self::AlreadyIncluded,
        Self::NoService,
        Self::HiddenKeys,
        Self::NothingToRun,
    ];

    /// Returns its name, as it is printed and serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::RunsEarly => "runs-early",
            Self::UnknownRecipe => "unknown-recipe",
            Self::UnknownRole => "unknown-role",
            Self::SubRole => "sub-role",
            Self::DottedName => "dotted-name",
            Self::AlreadyIncluded => "already-included",
            Self::NoService => "no-service",
            Self::HiddenKeys => "hidden-keys",
            Self::NothingToRun => "nothing-to-run",
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked for.
    pub rule: Rule,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub hint: String,
    /// Where.
    pub excerpt: Excerpt,
}

/// What the rules need to know of what is outside of the nodes file.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Every recipe of the cookbooks, as `cookbook::name`; `None` if that is not known.
    pub recipes: Option<BTreeMap<String, RecipeFacts>>,
    /// The names of roles that have files; `None` if that is not known.
    pub roles: Option<BTreeSet<String>>,
}

/// What is known of a recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipeFacts {
    /// The recipes that it includes itself.
    pub includes: BTreeSet<String>,
    /// Whether it provides a service.
    pub provides_service: bool,
}

/// Returns what is found, in the order of the file.
pub fn lint(nodes: &NodesFile, facts: &Facts) -> Vec<Lint> {
    let mut linter = Linter { nodes, facts, told: BTreeSet::new(), found: Vec::new() };
    for group in nodes.groups() {
        linter.group(&group);
    }
    let mut found = linter.found;
    found.sort_by_key(|lint| (lint.excerpt.position, lint.rule));
    found
}

struct Linter<'a> {
    nodes: &'a NodesFile,
    facts: &'a Facts,
    /// Which rule at which byte said what: inherited findings come once for each group.
    told: BTreeSet<(usize, Rule, String)>,
    found: Vec<Lint>,
}

impl Linter<'_> {
    fn group(&mut self, group: &Group) {
        let steps = group.run_list();
        if !is_role_name(&group.name) {
            self.add(
                Severity::Error,
                Rule::DottedName,
                &group.origin,
                format!("Chef refuses the dot in the role `{}`", group.name),
                format!("call it `{}`", group.name.replace('.', "_")),
            );
        }
        if steps.is_empty() {
            self.add(
                Severity::Warning,
                Rule::NothingToRun,
                &group.origin,
                "its run list is empty: nothing would be configured".to_owned(),
                "give it, or `__base__`, a `run_list`".to_owned(),
            );
        }
        let mut first: BTreeMap<String, &Step> = BTreeMap::new();
        for step in &steps {
            match first.entry(step.item.runs()) {
                Slot::Vacant(slot) => drop(slot.insert(step)),
                Slot::Occupied(first) => self.runs_early(first.get(), step),
            }
        }
        for step in &steps {
            match &step.item {
                Item::Role { name } => self.role(name, step),
                Item::Recipe { .. } => self.recipe(&first, step),
            }
        }
        if self.nodes.settings.merge == Depth::One {
            for (key, value) in &group.keys {
                self.hidden_keys(key, value);
            }
        }
    }

    fn runs_early(&mut self, first: &Step, step: &Step) {
        self.add(
            Severity::Warning,
            Rule::RunsEarly,
            &step.origin,
            format!(
                "`{}` runs at its first place, {}, and not here",
                step.item,
                first.origin.place()
            ),
            "keep one of them".to_owned(),
        );
    }

    fn role(&mut self, name: &str, step: &Step) {
        let is_file = |roles: &BTreeSet<String>| roles.contains(name);
        if self.nodes.group_of_role(name).is_none()
            && self.facts.roles.as_ref().is_some_and(|roles| !is_file(roles))
        {
            let hint = match did_you_mean(name, self.nodes.names()) {
                Some(meant) => format!("did you mean `role[{meant}]`?"),
                None => "name a group, or put the role into `roles/`".to_owned(),
            };
            let text = format!("neither a group nor a file is `{}`", step.item);
            self.add(Severity::Error, Rule::UnknownRole, &step.origin, text, hint);
        }
        self.add(
            Severity::Warning,
            Rule::SubRole,
            &step.origin,
            format!("`{}` in a run list hides what runs", step.item),
            "name its recipes".to_owned(),
        );
    }

    fn recipe(&mut self, steps: &BTreeMap<String, &Step>, step: &Step) {
        let (Some(recipes), name) = (&self.facts.recipes, step.item.runs()) else {
            return;
        };
        let Some(facts) = recipes.get(&name) else {
            let hint = match did_you_mean(&name, recipes.keys().map(String::as_str)) {
                Some(meant) => format!("did you mean `recipe[{meant}]`?"),
                None => "skep cookbook:check".to_owned(),
            };
            let text = format!("no cookbook has `{name}`");
            self.add(Severity::Error, Rule::UnknownRecipe, &step.origin, text, hint);
            return;
        };
        let includer =
            steps.iter().find(|(other, _)| **other != name && includes(recipes, other, &name));
        let finding = match includer {
            Some((_, other)) => Some((
                Rule::AlreadyIncluded,
                format!("`{}` includes `{name}` already", other.item),
                "leave it out here".to_owned(),
            )),
            None if !facts.provides_service => Some((
                Rule::NoService,
                format!("`{name}` provides no service"),
                format!("let the recipe that needs it say `include_recipe(\"{name}\")`"),
            )),
            None => None,
        };
        if let Some((rule, text, hint)) = finding {
            self.add(Severity::Warning, rule, &step.origin, text, hint);
        }
    }

    /// Reports dicts that took the place of a parent's dict and lack keys of it.
    fn hidden_keys(&mut self, path: &str, value: &Value) {
        let Some(entries) = value.as_map() else { return };
        for (key, entry) in entries {
            let path = join(path, key);
            let mut lost = Vec::new();
            let mut parent = &entry.value.hides;
            while let Some(hidden) = parent {
                missing(hidden, &entry.value, "", &mut lost);
                parent = &hidden.hides;
            }
            let Some(hidden) = entry.value.hides.as_ref().filter(|_| !lost.is_empty()) else {
                continue;
            };
            let text = format!(
                "`{path}` replaces the one of `{}`, {}, and with it {}",
                hidden.origin.group,
                hidden.origin.place(),
                named(&lost),
            );
            let hint = "repeat them here, or `merge = \"deep\"` in `settings`".to_owned();
            self.add(Severity::Warning, Rule::HiddenKeys, &entry.value.origin, text, hint);
        }
    }

    fn add(&mut self, severity: Severity, rule: Rule, origin: &Origin, text: String, hint: String) {
        if self.told.insert((origin.span.start, rule, text.clone())) {
            let excerpt = self.nodes.excerpt(origin, "");
            self.found.push(Lint { severity, rule, text, hint, excerpt });
        }
    }
}

/// Returns the first few of many keys.
fn named(keys: &[String]) -> String {
    /// A line of a terminal holds about as many.
    const MAX_NAMED: usize = 6;
    let shown = keys.iter().take(MAX_NAMED).map(|key| format!("`{key}`")).collect::<Vec<_>>();
    match keys.len().saturating_sub(MAX_NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Adds the paths that a dict has and the one in its place has not.
fn missing(hidden: &Value, value: &Value, path: &str, lost: &mut Vec<String>) {
    let (Data::Map(entries), Data::Map(_)) = (&hidden.data, &value.data) else { return };
    for (key, entry) in entries {
        let path = join(path, key);
        match value.get(key) {
            None => lost.push(path),
            Some(value) => missing(&entry.value, value, &path, lost),
        }
    }
}

/// Returns whether a recipe includes another, itself or through others; cycles are walked once.
fn includes(recipes: &BTreeMap<String, RecipeFacts>, from: &str, wanted: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(name) = waiting.pop() {
        let Some(facts) = recipes.get(name).filter(|_| seen.insert(name)) else { continue };
        if facts.includes.contains(wanted) {
            return true;
        }
        waiting.extend(facts.includes.iter().map(String::as_str));
    }
    false
}
