//! All resources of a run, checked against each other and in order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::path::Path;

use report::did_you_mean;

use crate::declaration::{Declaration, Place, RecipeName, ResourceId};
use crate::schema::{Schema, Thing};

/// Most resources of one run: beyond it a loop ran away.
pub const MAX_RESOURCES: usize = 100_000;

/// Resources in the order in which they are applied.
#[derive(Debug, Clone, Default)]
pub struct ResourceList {
    entries: Vec<Entry>,
}

/// A resource in its place.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was declared.
    pub declaration: Declaration,
    /// Every recipe that declared it, the first one first.
    pub owners: Vec<RecipeName>,
    /// Indices of entries that come before it because it needs them, rising.
    pub needs: Vec<usize>,
}

/// Why declarations are no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListProblem {
    /// Too many.
    #[error("more than {MAX_RESOURCES} resources")]
    TooMany,
    /// The same resource twice, differently.
    #[error("{id} is declared twice, with different properties: at {first} and at {second}")]
    Twice {
        /// Which.
        id: ResourceId,
        /// Where first.
        first: Place,
        /// Where again.
        second: Place,
    },
    /// Two resources that would undo each other's work.
    #[error("{first} ({first_place}) and {second} ({second_place}) both manage `{path}`")]
    Contended {
        /// One.
        first: ResourceId,
        /// Where it is.
        first_place: Place,
        /// The other.
        second: ResourceId,
        /// Where that is.
        second_place: Place,
        /// What both make.
        path: String,
    },
    /// A resource that nobody declares.
    #[error("{id} ({place}) names {target}, which nothing declares{}", .meant.as_ref().map(|meant| format!("; did you mean {meant}?")).unwrap_or_default())]
    Unknown {
        /// Which one names it.
        id: ResourceId,
        /// Where.
        place: Place,
        /// What it names.
        target: ResourceId,
        /// What it probably means.
        meant: Option<ResourceId>,
    },
    /// An action that the notified resource does not have.
    #[error("{id} ({place}) asks {target} to `{action}`, which a {} cannot", target.kind)]
    Action {
        /// Which one notifies.
        id: ResourceId,
        /// Where.
        place: Place,
        /// The one that is notified.
        target: ResourceId,
        /// What it is asked.
        action: String,
    },
    /// Each waits for the other.
    #[error("{first} ({first_place}) and {second} ({second_place}) each need the other first{}", through(.between))]
    Circle {
        /// One of the circle.
        first: ResourceId,
        /// Where it is.
        first_place: Place,
        /// What it needs.
        second: ResourceId,
        /// Where that is.
        second_place: Place,
        /// The others of the circle.
        between: Vec<ResourceId>,
    },
}

fn through(between: &[ResourceId]) -> String {
    let names: Vec<String> = between.iter().map(ToString::to_string).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(", through {}", names.join(", ")),
    }
}

fn place(declaration: &Declaration) -> Place {
    let nowhere = || Place { file: String::new(), line: 1, column: 1 };
    declaration.place().cloned().unwrap_or_else(nowhere)
}

impl ResourceList {
    /// Checks declarations, each of which fits its schema, and puts them in order. The same
    /// resource declared again in the same way is one with two owners.
    pub fn new(
        declarations: Vec<Declaration>,
        schema: impl Fn(&str) -> Option<&'static Schema>,
    ) -> Result<Self, ListProblem> {
        if declarations.len() > MAX_RESOURCES {
            return Err(ListProblem::TooMany);
        }
        let mut entries = merged(declarations)?;
        let index: HashMap<ResourceId, usize> = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| (entry.declaration.id.clone(), index))
            .collect();
        check_references(&entries, &index, &schema)?;
        let providers = providers(&entries, &schema)?;
        for (at, entry) in entries.iter_mut().enumerate() {
            let declaration = &entry.declaration;
            let after = declaration.after.iter().filter_map(|id| index.get(id).copied());
            let mut needs: Vec<usize> = after.collect();
            if let Some(schema) = schema(&declaration.id.kind) {
                for thing in (schema.relations)(declaration).needs {
                    needs.extend(nearest(&providers, &thing).filter(|found| *found != at));
                }
            }
            needs.sort_unstable();
            needs.dedup();
            entry.needs = needs;
        }
        ordered(entries).map(|entries| Self { entries })
    }

    /// Returns the resources in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns where a resource is in the order.
    pub fn position(&self, id: &ResourceId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.declaration.id == *id)
    }
}

fn merged(declarations: Vec<Declaration>) -> Result<Vec<Entry>, ListProblem> {
    let mut entries: Vec<Entry> = Vec::with_capacity(declarations.len());
    let mut known: HashMap<ResourceId, usize> = HashMap::new();
    for declaration in declarations {
        let Some(at) = known.get(&declaration.id).copied() else {
            known.insert(declaration.id.clone(), entries.len());
            let owners = vec![declaration.recipe.clone()];
            entries.push(Entry { declaration, owners, needs: Vec::new() });
            continue;
        };
        let first = &entries[at].declaration;
        let again = Declaration {
            recipe: first.recipe.clone(),
            places: first.places.clone(),
            ..declaration.clone()
        };
        if again != *first {
            return Err(ListProblem::Twice {
                id: declaration.id.clone(),
                first: place(first),
                second: place(&declaration),
            });
        }
        if !entries[at].owners.contains(&declaration.recipe) {
            entries[at].owners.push(declaration.recipe);
        }
    }
    Ok(entries)
}

fn check_references(
    entries: &[Entry],
    index: &HashMap<ResourceId, usize>,
    schema: &impl Fn(&str) -> Option<&'static Schema>,
) -> Result<(), ListProblem> {
    for Entry { declaration, .. } in entries {
        let notified = declaration.notifies.iter().map(|notification| &notification.target);
        for target in declaration.after.iter().chain(notified) {
            if index.contains_key(target) {
                continue;
            }
            let names = index.keys().filter(|id| id.kind == target.kind);
            let meant = did_you_mean(&target.name, names.map(|id| id.name.as_str()));
            return Err(ListProblem::Unknown {
                id: declaration.id.clone(),
                place: place(declaration),
                target: target.clone(),
                meant: meant.map(|name| ResourceId::new(&target.kind, name)),
            });
        }
        for notification in &declaration.notifies {
            let known = schema(&notification.target.kind).is_some_and(|schema| {
                schema.actions.iter().any(|action| action.name == notification.action)
            });
            if !known {
                return Err(ListProblem::Action {
                    id: declaration.id.clone(),
                    place: place(declaration),
                    target: notification.target.clone(),
                    action: notification.action.clone(),
                });
            }
        }
    }
    Ok(())
}

type Providers = HashMap<Thing, Vec<usize>>;

fn providers(
    entries: &[Entry],
    schema: &impl Fn(&str) -> Option<&'static Schema>,
) -> Result<Providers, ListProblem> {
    let mut providers = Providers::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(schema) = schema(&entry.declaration.id.kind) else { continue };
        for thing in (schema.relations)(&entry.declaration).provides {
            let others = providers.entry(thing.clone()).or_default();
            // Lists of packages have many makers; a path has one.
            if let (Thing::Path(path), Some(other)) = (&thing, others.first()) {
                let first = &entries[*other].declaration;
                return Err(ListProblem::Contended {
                    first: first.id.clone(),
                    first_place: place(first),
                    second: entry.declaration.id.clone(),
                    second_place: place(&entry.declaration),
                    path: path.display().to_string(),
                });
            }
            others.push(index);
        }
    }
    Ok(providers)
}

/// Returns who makes a thing; of a path, who makes the nearest one above it.
fn nearest<'a>(providers: &'a Providers, thing: &Thing) -> impl Iterator<Item = usize> + 'a {
    let found = match thing {
        Thing::Path(path) => {
            path.ancestors().find_map(|path: &Path| providers.get(&Thing::Path(path.to_owned())))
        }
        other => providers.get(other),
    };
    found.into_iter().flatten().copied()
}

/// Puts entries in order: whatever may come now, the first declared first.
fn ordered(entries: Vec<Entry>) -> Result<Vec<Entry>, ListProblem> {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
    let mut missing: Vec<usize> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        missing.push(entry.needs.len());
        for need in &entry.needs {
            dependents[*need].push(index);
        }
    }
    let free = missing.iter().enumerate().filter(|(_, count)| **count == 0);
    let mut next: BinaryHeap<Reverse<usize>> = free.map(|(index, _)| Reverse(index)).collect();
    let mut order = Vec::with_capacity(entries.len());
    while let Some(Reverse(index)) = next.pop() {
        order.push(index);
        for dependent in &dependents[index] {
            missing[*dependent] -= 1;
            if missing[*dependent] == 0 {
                next.push(Reverse(*dependent));
            }
        }
    }
    if order.len() < entries.len() {
        return Err(circle(&entries, &missing));
    }
    let mut new_index = vec![0; entries.len()];
    for (new, old) in order.iter().enumerate() {
        new_index[*old] = new;
    }
    let mut slots: Vec<Option<Entry>> = entries.into_iter().map(Some).collect();
    let moved = order.iter().filter_map(|old| slots[*old].take());
    Ok(moved
        .map(|mut entry| {
            entry.needs.iter_mut().for_each(|need| *need = new_index[*need]);
            entry.needs.sort_unstable();
            entry
        })
        .collect())
}

/// Finds a circle among the entries that wait for something.
fn circle(entries: &[Entry], missing: &[usize]) -> ListProblem {
    let waits = |index: usize| missing[index] > 0;
    let begin = (0..entries.len()).find(|index| waits(*index)).unwrap_or_default();
    let mut way = vec![begin];
    let circle = loop {
        let at = way[way.len() - 1];
        // What waits needs something that waits.
        let need = entries[at].needs.iter().copied().find(|need| waits(*need)).unwrap_or(at);
        if let Some(from) = way.iter().position(|seen| *seen == need) {
            break way.split_off(from);
        }
        way.push(need);
    };
    let declaration = |at: usize| &entries[circle[at % circle.len()]].declaration;
    ListProblem::Circle {
        first: declaration(0).id.clone(),
        first_place: place(declaration(0)),
        second: declaration(1).id.clone(),
        second_place: place(declaration(1)),
        between: circle
            .iter()
            .skip(2)
            .map(|index| entries[*index].declaration.id.clone())
            .collect(),
    }
}
