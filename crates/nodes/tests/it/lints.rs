//! What is allowed and probably not meant.

use std::collections::{BTreeMap, BTreeSet};

use nodes::{Facts, RecipeFacts, Severity, lint};

use crate::groups::nodes;

/// Returns `line severity rule text` of every finding.
fn found(text: &str, facts: &Facts) -> Vec<String> {
    let line = |lint: nodes::Lint| {
        let severity = if lint.severity == Severity::Error { "error" } else { "warning" };
        let rule = lint.rule.name();
        let line = lint.excerpt.position.line;
        format!("{line} {severity} {}: {}; {}", rule, lint.text, lint.hint)
    };
    lint(&nodes(text), facts).into_iter().map(line).collect()
}

#[test]
fn an_item_in_both_lists_runs_early() {
    let text = "[__base__]\nrun_list = [\"a\"]\npost_run_list = [\n  \"a::default\",\n]\n\
                [web]\nrun_list = [\"b\"]\n[db]\nrun_list = [\"b\"]\n";
    assert_eq!(
        found(text, &Facts::default()),
        [
            "4 warning runs-early: `recipe[a::default]` runs at its first place, nodes.toml:2, and not \
          here; keep one of them"
        ]
    );
}

#[test]
fn roles_in_run_lists() {
    let text = "[web]\nrun_list = [\n\"role[role-db]\",\n\"role[legacy]\",\n\"role[bd]\",\n]\n\
                [db]\nrun_list = [\"x\"]\n";
    let facts = Facts { roles: Some(BTreeSet::from(["legacy".to_owned()])), recipes: None };
    assert_eq!(
        found(text, &facts),
        [
            "3 warning sub-role: `role[role-db]` in a run list hides what runs; name its recipes",
            "4 warning sub-role: `role[legacy]` in a run list hides what runs; name its recipes",
            "5 error unknown-role: neither a group nor a file is `role[bd]`; name a group, or put \
             the role into `roles/`",
            "5 warning sub-role: `role[bd]` in a run list hides what runs; name its recipes",
        ]
    );
}

#[test]
fn names_and_empty_lists() {
    assert_eq!(
        found("[\"12.04\"]\n", &Facts::default()),
        [
            "1 error dotted-name: Chef refuses the dot in the role `12.04`; call it `12_04`",
            "1 warning nothing-to-run: its run list is empty: nothing would be configured; give it, \
             or `__base__`, a `run_list`",
        ]
    );
}

#[test]
fn keys_that_a_merge_hides() {
    let text = "[__base__.default_attributes]\nnginx = { port = 80, log = { level = \"x\", file = 1 } }\n\
                plain = { a = 1 }\n[web]\nrun_list = [\"a\"]\n[web.default_attributes]\n\
                nginx = { port = 81, log = { level = \"y\" } }\nplain = { a = 2, b = 3 }\n";
    assert_eq!(
        found(text, &Facts::default()),
        ["7 warning hidden-keys: `default_attributes.nginx` replaces the one of `__base__`, \
          nodes.toml:2, and with it `log.file`; repeat them here, or `merge = \"deep\"` in `settings`"]
    );
    assert!(found(&format!("settings.merge = \"deep\"\n{text}"), &Facts::default()).is_empty());
}

#[test]
fn recipes_are_held_against_the_cookbooks() {
    let facts = |includes: &[&str], provides_service| RecipeFacts {
        includes: includes.iter().map(|name| (*name).to_owned()).collect(),
        provides_service,
    };
    let recipes = BTreeMap::from([
        ("service::api".to_owned(), facts(&["python::default"], true)),
        ("python::default".to_owned(), facts(&["ssl::default"], false)),
        ("ssl::default".to_owned(), facts(&["python::default"], false)),
        ("git::client".to_owned(), facts(&[], false)),
    ]);
    let text = "[web]\nrun_list = [\n\"service::api\",\n\"ssl\",\n\"git::client\",\n\
                \"service::apl\",\n\"x::y\",\n]\n";
    assert_eq!(
        found(text, &Facts { recipes: Some(recipes), roles: None }),
        [
            "4 warning already-included: `recipe[service::api]` includes `ssl::default` already; \
             leave it out here",
            "5 warning no-service: `git::client` provides no service; let the recipe that needs it \
             say `include_recipe(\"git::client\")`",
            "6 error unknown-recipe: no cookbook has `service::apl`; did you mean \
             `recipe[service::api]`?",
            "7 error unknown-recipe: no cookbook has `x::y`; skep cookbook:check",
        ]
    );
}
