//! Which version of each cookbook: a thin layer over pubgrub.
//!
//! Pure: what there is comes through [`Universe`]. The newest version that fits wins. Where nothing fits,
//! the solver's derivation is told in sentences.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use pubgrub::{
    Dependencies, DependencyProvider, Map, PackageResolutionStatistics, PubGrubError, Ranges,
    resolve,
};

use crate::sentences::sentences;
use crate::version::Version;

/// Most decisions of one solution: tens of cookbooks take tens.
const MAX_DECISIONS: usize = 100_000;

pub(crate) type Set = Ranges<Version>;

/// What there is to choose from.
pub(crate) trait Universe {
    /// Why something cannot be told.
    type Error;

    /// Returns the versions of a cookbook, the preferred one first.
    fn versions(&self, name: &str) -> Result<Vec<Version>, Self::Error>;

    /// Returns what a version needs.
    fn needs(&self, name: &str, version: Version) -> Result<Vec<(String, Set)>, Self::Error>;
}

/// Why there is no solution.
#[derive(Debug)]
pub(crate) enum Unsolved<E> {
    /// Nothing fits, in sentences.
    Conflict(Vec<String>),
    /// Something could not be told.
    Failed(E),
    /// The solver gave up.
    TooHard,
}

/// Chooses a version of each of `roots` and of whatever they need.
pub(crate) fn solve<U: Universe>(
    universe: &U,
    roots: impl IntoIterator<Item = (String, Set)>,
) -> Result<BTreeMap<String, Version>, Unsolved<U::Error>> {
    let zero: Version = Version::default();
    let problem = Problem {
        universe,
        roots: roots.into_iter().collect(),
        failure: RefCell::default(),
        steps: RefCell::new(0),
    };
    match resolve(&problem, Package::Repository, zero) {
        Ok(chosen) => {
            let named = chosen.into_iter().filter_map(|(package, version)| match package {
                Package::Cookbook(name) => Some((name, version)),
                Package::Repository => None,
            });
            Ok(named.collect())
        }
        Err(PubGrubError::NoSolution(tree)) => Err(Unsolved::Conflict(sentences(tree))),
        Err(_) => match problem.failure.into_inner() {
            Some(error) => Err(Unsolved::Failed(error)),
            None => Err(Unsolved::TooHard),
        },
    }
}

/// A node of the problem.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Package {
    Repository,
    Cookbook(String),
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository => f.write_str("this repository"),
            Self::Cookbook(name) => f.write_str(name),
        }
    }
}

struct Problem<'u, U: Universe> {
    universe: &'u U,
    roots: BTreeMap<String, Set>,
    /// What the universe failed with: pubgrub wants an error without borrowed types.
    failure: RefCell<Option<U::Error>>,
    steps: RefCell<usize>,
}

/// Stands for a failure that is kept in the problem.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

impl<U: Universe> Problem<'_, U> {
    fn keep<T>(&self, result: Result<T, U::Error>) -> Result<T, Stopped> {
        result.map_err(|error| {
            self.failure.borrow_mut().replace(error);
            Stopped
        })
    }
}

impl<U: Universe> DependencyProvider for Problem<'_, U> {
    type P = Package;
    type V = Version;
    type VS = Set;
    type Priority = (u32, Reverse<usize>);
    type M = String;
    type Err = Stopped;

    fn prioritize(
        &self,
        package: &Package,
        range: &Set,
        statistics: &PackageResolutionStatistics,
    ) -> Self::Priority {
        let Package::Cookbook(name) = package else { return (u32::MAX, Reverse(0)) };
        // Those with the fewest choices first: that finds a contradiction soonest.
        let versions = self.universe.versions(name).unwrap_or_default();
        let count = versions.iter().filter(|version| range.contains(*version)).count();
        (statistics.conflict_count(), Reverse(count))
    }

    fn choose_version(&self, package: &Package, range: &Set) -> Result<Option<Version>, Stopped> {
        match package {
            Package::Repository => Ok(Some(Version::default())),
            Package::Cookbook(name) => {
                let versions = self.keep(self.universe.versions(name))?;
                Ok(versions.into_iter().find(|version| range.contains(version)))
            }
        }
    }

    fn get_dependencies(
        &self,
        package: &Package,
        version: &Version,
    ) -> Result<Dependencies<Package, Set, String>, Stopped> {
        let needs: Vec<(String, Set)> = match package {
            Package::Repository => self.roots.clone().into_iter().collect(),
            Package::Cookbook(name) => self.keep(self.universe.needs(name, *version))?,
        };
        let mut constraints: Map<Package, Set> = Map::default();
        for (name, set) in needs {
            let known = constraints.entry(Package::Cookbook(name)).or_insert_with(Ranges::full);
            *known = known.intersection(&set);
        }
        Ok(Dependencies::Available(constraints))
    }

    fn should_cancel(&self) -> Result<(), Stopped> {
        let mut steps = self.steps.borrow_mut();
        *steps += 1;
        if *steps > MAX_DECISIONS { Err(Stopped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::version::Requirement;

    /// Cookbooks with their versions and what those need.
    #[derive(Debug, Default)]
    struct Shelf(BTreeMap<String, BTreeMap<Version, Vec<(String, String)>>>);

    impl Shelf {
        fn with(mut self, name: &str, version: &str, needs: &[(&str, &str)]) -> Self {
            let needs = needs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            let known = self.0.entry(name.to_owned()).or_default();
            known.insert(version.parse().unwrap(), needs);
            self
        }

        fn solve(&self, roots: &[&str]) -> Result<Vec<String>, String> {
            let roots = roots.iter().map(|name| ((*name).to_owned(), Ranges::full()));
            match solve(self, roots) {
                Ok(chosen) => Ok(chosen.iter().map(|(name, v)| format!("{name} {v}")).collect()),
                Err(Unsolved::Conflict(lines)) => Err(lines.join("\n")),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    impl Universe for Shelf {
        type Error = ();

        fn versions(&self, name: &str) -> Result<Vec<Version>, ()> {
            let versions = self.0.get(name).map(|known| known.keys().rev().copied().collect());
            Ok(versions.unwrap_or_default())
        }

        fn needs(&self, name: &str, version: Version) -> Result<Vec<(String, Set)>, ()> {
            let needs = self.0[name][&version].iter();
            Ok(needs
                .map(|(name, text)| (name.clone(), text.parse::<Requirement>().unwrap().ranges))
                .collect())
        }
    }

    #[test]
    fn the_newest_that_fits_is_chosen() {
        let shelf = Shelf::default()
            .with("web", "1.0.0", &[("nginx", ">= 1.0"), ("base", "~> 1.0")])
            .with("nginx", "1.0.0", &[])
            .with("nginx", "2.0.0", &[("base", ">= 2.0")])
            .with("nginx", "1.5.0", &[("base", ">= 1.1")])
            .with("base", "1.2.0", &[])
            .with("base", "2.0.0", &[]);
        assert_eq!(shelf.solve(&["web"]).unwrap(), ["base 1.2.0", "nginx 1.5.0", "web 1.0.0"]);
    }

    #[test]
    fn a_conflict_is_told_in_sentences() {
        let shelf = Shelf::default()
            .with("web", "1.0.0", &[("base", "~> 1.0")])
            .with("mail", "0.3.0", &[("base", ">= 2.0")])
            .with("base", "1.2.0", &[])
            .with("base", "2.1.0", &[]);
        insta::assert_snapshot!(shelf.solve(&["web", "mail"]).unwrap_err(), @"
        Because mail needs base >=2.0.0 and web 1.0.0 needs base >=1.0.0, <2.0.0, mail and web exclude each other.
        And because this repository has mail and this repository has web, they cannot all be had.
        ");
        let missing =
            Shelf::default().with("web", "1.0.0", &[("base", ">= 3.0")]).with("base", "2.1.0", &[]);
        insta::assert_snapshot!(missing.solve(&["web"]).unwrap_err(), @"
        Because there is no base >=3.0.0 and web 1.0.0 needs base >=3.0.0, web cannot be had.
        And because this repository has web, they cannot all be had.
        ");
    }

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    fn any_shelf() -> impl Strategy<Value = Shelf> {
        let need =
            (0..NAMES.len(), prop_oneof!["= [12]\\.0", ">= [12]\\.0", "< [23]\\.0", "~> [12]\\.0"]);
        let needs = proptest::collection::vec(need, 0..3);
        let version = (0..NAMES.len(), 1..4_u32, needs);
        proptest::collection::vec(version, 1..9).prop_map(|versions| {
            versions.into_iter().fold(Shelf::default(), |shelf, (name, number, needs)| {
                let needs: Vec<(&str, &str)> = needs
                    .iter()
                    .filter(|(need, _)| *need != name)
                    .map(|(need, text)| (NAMES[*need], text.as_str()))
                    .collect();
                shelf.with(NAMES[name], &format!("{number}.0.0"), &needs)
            })
        })
    }

    /// Returns whether any choice fits, by trying all of them.
    fn has_solution(shelf: &Shelf, root: &str) -> bool {
        fn extend(
            shelf: &Shelf,
            chosen: &mut BTreeMap<String, Version>,
            open: &BTreeSet<String>,
        ) -> bool {
            let Some(name) = open.iter().find(|name| !chosen.contains_key(*name)) else {
                return chosen.iter().all(|(name, version)| {
                    let needs = shelf.needs(name, *version).unwrap();
                    needs
                        .iter()
                        .all(|(need, set)| chosen.get(need).is_some_and(|v| set.contains(v)))
                });
            };
            shelf.versions(name).unwrap().into_iter().any(|version| {
                let mut open = open.clone();
                open.extend(shelf.needs(name, version).unwrap().into_iter().map(|(name, _)| name));
                chosen.insert(name.clone(), version);
                let found = extend(shelf, chosen, &open);
                chosen.remove(name);
                found
            })
        }
        extend(shelf, &mut BTreeMap::new(), &BTreeSet::from([root.to_owned()]))
    }

    proptest! {
        #[test]
        fn what_is_chosen_fits_and_is_found_if_there_is_one(shelf in any_shelf()) {
            let solved = solve(&shelf, [("a".to_owned(), Ranges::full())]);
            match solved {
                Ok(chosen) => {
                    for (name, version) in &chosen {
                        for (need, set) in shelf.needs(name, *version).unwrap() {
                            prop_assert!(set.contains(&chosen[&need]), "{name} needs {need}");
                        }
                    }
                }
                Err(Unsolved::Conflict(lines)) => {
                    prop_assert!(!has_solution(&shelf, "a"), "{}", lines.join("\n"));
                }
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
