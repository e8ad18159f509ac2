//! What recipes say of each other, for the lints of the nodes file: read from their text, not evaluated,
//! so that one that is wrong keeps nobody from linting.

use std::collections::{BTreeMap, BTreeSet};

use nodes::{DEFAULT_RECIPE, RecipeFacts};

use crate::resolution::Resolution;
use crate::tree::TreeError;

/// What makes a recipe one that provides a service.
const SERVICES: [&str; 2] = ["service(", "systemd_unit("];

impl Resolution {
    /// Returns what is known of every recipe, by `cookbook::name`.
    ///
    /// A recipe that no other one includes counts as one that provides a service: it is there to be in run
    /// lists.
    pub fn recipe_facts(&self) -> Result<BTreeMap<String, RecipeFacts>, TreeError> {
        let mut facts = BTreeMap::new();
        for name in self.cookbooks.keys() {
            for recipe in self.recipes(name)? {
                let text = self.text(name, &recipe)?;
                facts.insert(format!("{name}::{recipe}"), read(&text));
            }
        }
        let included: BTreeSet<String> =
            facts.values().flat_map(|facts: &RecipeFacts| facts.includes.iter().cloned()).collect();
        for (name, facts) in &mut facts {
            facts.provides_service |= !included.contains(name);
        }
        Ok(facts)
    }
}

/// Reads one recipe's text.
fn read(text: &str) -> RecipeFacts {
    let mut facts = RecipeFacts::default();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        facts.provides_service |= SERVICES.iter().any(|service| line.contains(service));
        for call in line.split("include_recipe(").skip(1) {
            let Some(quote) = call.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
                continue;
            };
            let Some((name, _)) = call[1..].split_once(quote) else { continue };
            facts.includes.insert(match name.contains("::") {
                true => name.to_owned(),
                false => format!("{name}::{DEFAULT_RECIPE}"),
            });
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_are_found_in_the_text() {
        let facts = read(
            "# include_recipe(\"no::no\")\ninclude_recipe(\"base\"); include_recipe('nginx::tls')\n\
             include_recipe(name)\n",
        );
        let includes: Vec<&str> = facts.includes.iter().map(String::as_str).collect();
        assert_eq!(includes, ["base::default", "nginx::tls"]);
        assert!(!facts.provides_service);
        assert!(read("  app_service(\"shop/web\")").provides_service);
    }
}
