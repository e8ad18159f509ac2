//! The solver's derivation in our words.

use std::sync::Arc;

use pubgrub::{
    DefaultStringReporter, DerivationTree, Derived, External, Map, Ranges, ReportFormatter,
    Reporter as _, Term,
};

use crate::solve::{Package, Set};

pub(crate) type Tree = DerivationTree<Package, Set, String>;

/// Leaves out what says nothing: "there is no mail but 0.3.0" beside "mail 0.3.0 needs …".
fn shorten(tree: &mut Tree) {
    let DerivationTree::Derived(derived) = tree else { return };
    shorten(Arc::make_mut(&mut derived.cause1));
    shorten(Arc::make_mut(&mut derived.cause2));
    let (one, other) = (&derived.cause1, &derived.cause2);
    let wider = [(one, other), (other, one)].into_iter().find_map(|(none, other)| match &**none {
        DerivationTree::External(External::NoVersions(package, set)) => {
            widened(other, package, set)
        }
        _ => None,
    });
    if let Some(wider) = wider {
        *tree = wider;
    }
}

/// Returns what is said of a cookbook as said of more of its versions; `None` if it is what others need.
fn widened(tree: &Tree, package: &Package, more: &Set) -> Option<Tree> {
    match tree {
        DerivationTree::External(External::FromDependencyOf(of, set, other, of_other))
            if of == package =>
        {
            let (set, of_other) = (set.union(more), of_other.clone());
            let wider = External::FromDependencyOf(of.clone(), set, other.clone(), of_other);
            Some(DerivationTree::External(wider))
        }
        DerivationTree::Derived(derived) => {
            let Some(Term::Positive(set)) = derived.terms.get(package) else { return None };
            let mut derived = derived.clone();
            derived.terms.insert(package.clone(), Term::Positive(set.union(more)));
            Some(DerivationTree::Derived(derived))
        }
        DerivationTree::External(_) => None,
    }
}

/// Returns why nothing fits, one sentence each.
pub(crate) fn sentences(mut tree: Tree) -> Vec<String> {
    shorten(&mut tree);
    let text = DefaultStringReporter::report_with_formatter(&tree, &Sentences);
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

struct Sentences;

type Terms = Map<Package, Term<Set>>;
type Fact = External<Package, Set, String>;
type Derivation = Derived<Package, Set, String>;

fn with(package: &Package, set: &Set) -> String {
    match package {
        Package::Repository => package.to_string(),
        Package::Cookbook(name) if *set == Ranges::full() => name.clone(),
        Package::Cookbook(name) => format!("{name} {set}"),
    }
}

fn needs(package: &Package, set: &Set, other: &Package, of_other: &Set) -> String {
    format!("{} needs {}", with(package, set), with(other, of_other))
}

fn fact(fact: &Fact) -> String {
    match fact {
        External::NotRoot(..) => "this repository is asked for".to_owned(),
        External::NoVersions(package, set) => format!("there is no {}", with(package, set)),
        External::FromDependencyOf(Package::Repository, _, other, of_other) => {
            format!("this repository has {}", with(other, of_other))
        }
        External::FromDependencyOf(package, set, other, of_other) => {
            needs(package, set, other, of_other)
        }
        External::Custom(package, set, why) => {
            format!("{} cannot be had: {why}", with(package, set))
        }
    }
}

fn conclusion(terms: &Terms) -> String {
    // That this repository is asked for goes without saying.
    let others = terms.iter().filter(|(package, _)| **package != Package::Repository);
    let terms: Vec<_> = others.collect();
    match terms.as_slice() {
        [] => "they cannot all be had".to_owned(),
        [(package, Term::Positive(set))] => format!("{} cannot be had", with(package, set)),
        [(package, Term::Negative(set))] => format!("{} must be had", with(package, set)),
        [(package, Term::Positive(set)), (other, Term::Negative(of_other))]
        | [(other, Term::Negative(of_other)), (package, Term::Positive(set))] => {
            needs(package, set, other, of_other)
        }
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|(package, term)| match term {
                    Term::Positive(set) => with(package, set),
                    Term::Negative(set) => format!("anything but {}", with(package, set)),
                })
                .collect();
            format!("{} exclude each other", names.join(" and "))
        }
    }
}

impl ReportFormatter<Package, Set, String> for Sentences {
    type Output = String;

    fn format_external(&self, external: &Fact) -> String {
        fact(external)
    }

    fn format_terms(&self, terms: &Terms) -> String {
        conclusion(terms)
    }

    fn explain_both_external(&self, one: &Fact, other: &Fact, terms: &Terms) -> String {
        format!("Because {} and {}, {}.", fact(one), fact(other), conclusion(terms))
    }

    fn explain_both_ref(
        &self,
        one: usize,
        first: &Derivation,
        other: usize,
        second: &Derivation,
        terms: &Terms,
    ) -> String {
        let (first, second) = (conclusion(&first.terms), conclusion(&second.terms));
        format!("Because {first} ({one}) and {second} ({other}), {}.", conclusion(terms))
    }

    fn explain_ref_and_external(
        &self,
        one: usize,
        first: &Derivation,
        external: &Fact,
        terms: &Terms,
    ) -> String {
        let first = conclusion(&first.terms);
        format!("Because {first} ({one}) and {}, {}.", fact(external), conclusion(terms))
    }

    fn and_explain_external(&self, external: &Fact, terms: &Terms) -> String {
        format!("And because {}, {}.", fact(external), conclusion(terms))
    }

    fn and_explain_ref(&self, one: usize, first: &Derivation, terms: &Terms) -> String {
        format!("And because {} ({one}), {}.", conclusion(&first.terms), conclusion(terms))
    }

    fn and_explain_prior_and_external(&self, prior: &Fact, other: &Fact, terms: &Terms) -> String {
        format!("And because {} and {}, {}.", fact(prior), fact(other), conclusion(terms))
    }
}
