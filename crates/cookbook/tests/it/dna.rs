//! DNA: what chef-solo takes.

use cookbook::{parse_dna, parse_node_attributes};
use insta::assert_snapshot;
use proptest::prelude::*;
use report::Failure;

#[test]
fn everything_but_the_run_list_is_attributes() {
    let dna = parse_dna(
        "dna/asg/web.json",
        r#"{"id": "web", "run_list": ["role[web]", "nginx::tls"], "chef_environment": "staging",
            "nginx": {"port": 81}}"#,
    );
    let dna = dna.unwrap();
    let items: Vec<String> = dna.run_list.iter().map(|written| written.item.to_string()).collect();
    assert_eq!(items, ["role[web]", "recipe[nginx::tls]"]);
    assert_eq!(dna.stage.as_deref(), Some("staging"));
    assert_eq!(
        dna.attributes.value.to_json(),
        serde_json::json!({"id": "web", "nginx": {"port": 81}})
    );
}

#[test]
fn the_legacy_spelling_is_taken_and_both_are_an_error() {
    let dna =
        parse_dna("d.json", r#"{"recipes": ["nginx"], "chef_environment": "_default"}"#).unwrap();
    assert_eq!((dna.run_list.len(), dna.stage), (1, None));
    let told = |text: &str| Failure::from(parse_dna("d.json", text).unwrap_err()).to_string();
    assert_snapshot!(told(r#"{"recipes": ["nginx"], "run_list": []}"#), @r#"
    error: `d.json` has 1 error
     --> d.json:1:2
      |
    1 | {"recipes": ["nginx"], "run_list": []}
      |  ^^^^^^^^^ `run_list` and `recipes` both say what runs; keep `run_list`
    "#);
    assert_snapshot!(told(r#"{"run_list": ["recipe[a", 5, "roles[x]"], "chef_environment": 1}"#), @r#"
    error: `d.json` has 4 errors
     --> d.json:1:15
      |
    1 | {"run_list": ["recipe[a", 5, "roles[x]"], "chef_environment": 1}
      |               ^^^^^^^^^^ `]` is missing
     --> d.json:1:27
      |
    1 | {"run_list": ["recipe[a", 5, "roles[x]"], "chef_environment": 1}
      |                           ^ expected an item such as `recipe[nginx]`, found a number
     --> d.json:1:30
      |
    1 | {"run_list": ["recipe[a", 5, "roles[x]"], "chef_environment": 1}
      |                              ^^^^^^^^^^ did you mean `role[…]`?
     --> d.json:1:63
      |
    1 | {"run_list": ["recipe[a", 5, "roles[x]"], "chef_environment": 1}
      |                                                               ^ expected a string, found a number
    "#);
    assert_snapshot!(told(r#"{"run_list": "recipe[a]"}"#), @r#"
    error: `d.json` has 1 error
     --> d.json:1:14
      |
    1 | {"run_list": "recipe[a]"}
      |              ^^^^^^^^^^^ expected a list of items such as `recipe[nginx]`, found a string
    "#);
    assert_snapshot!(told("[]"), @"
    error: `d.json` has 1 error
     --> d.json:1:1
      |
    1 | []
      | ^^ expected a dict: a node, found a list
    ");
    assert_snapshot!(Failure::from(parse_node_attributes("n.toml", "a = 2026-01-01").unwrap_err()), @"
    error: `n.toml` has 1 error
     --> n.toml:1:5
      |
    1 | a = 2026-01-01
      |     ^^^^^^^^^^ JSON has no dates; write it as a string
    ");
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "(\\{|\\}|\\[|\\]|:|,|\"run_list\"|\"recipes\"|\"a\"|1|null| ){0,24}") {
        cookbook::fuzz_dna(text.as_bytes());
    }
}
