//! Roles: their bytes, reading them back, and what is done to their files.

use std::collections::BTreeMap;

use nodes::generated::{Adopt, Decision, Lock, Refusal, digest};
use nodes::roles::{Change, PlanError, Scope, paths, plan, recorded_after, refusal};
use nodes::{NodesFile, Role, parse, parse_role};
use proptest::prelude::*;

use crate::groups::{JSON, TOML, nodes};

const ROLE: &str = include_str!("../../testdata/example/roles/12_04-bee.json");

fn role(nodes: &NodesFile, group: &str) -> Role {
    Role::of(&nodes.group(group).unwrap(), &nodes.settings).unwrap()
}

#[test]
fn the_example_gives_its_role_byte_for_byte() {
    assert_eq!(role(&parse("nodes.json", JSON).unwrap(), "12_04-bee").to_text(), ROLE);
    assert_eq!(role(&parse("nodes.toml", TOML).unwrap(), "12_04-bee").to_text(), ROLE);
}

#[test]
fn a_role_reads_back() {
    let read = parse_role("roles/12_04-bee.json", ROLE).unwrap();
    assert_eq!(read, role(&parse("nodes.json", JSON).unwrap(), "12_04-bee"));
    assert_eq!(read.to_text(), ROLE);
}

#[test]
fn a_role_of_somebody_else_is_read() {
    let text = r#"{"name":"web","json_class":"Chef::Role","env_run_lists":{"prod":["role[base]"]},
        "run_list":["nginx","recipe[app::web@1.2]"]}"#;
    let role = parse_role("roles/web.json", text).unwrap();
    assert_eq!(role.description, "");
    let items: Vec<String> = role.run_list.iter().map(ToString::to_string).collect();
    assert_eq!(items, ["recipe[nginx]", "recipe[app::web@1.2]"]);
    assert_eq!(role.env_run_lists["prod"][0].to_string(), "role[base]");
    assert_eq!(parse_role("x.json", &role.to_text()).unwrap(), role);
}

#[test]
fn numbers_and_text_are_written_by_the_rules() {
    let nodes = parse(
        "nodes.json",
        r#"{"web": {"description": "Größe \"x\" \\ / \u00e9", "default_attributes": {
            "z": [], "y": {}, "x": [1, {"b": null, "a": true}],
            "big": 18446744073709551615, "small": -9223372036854775808, "zero": -0,
            "whole": 1.0, "tenth": 0.1, "large": 1e21, "tiny": 1.5e-9,
            "control": "\u0007\b\f\n\r\t\u001f\u007f\u2028", "é": "日本", "\"": 1}}}"#,
    )
    .unwrap();
    let expected = r#"{
    "name": "role-web",
    "chef_type": "role",
    "json_class": "Chef::Role",
    "description": "Größe \"x\" \\ / é",
    "override_attributes": {},
    "default_attributes": {
        "\"": 1,
        "big": 18446744073709551615,
        "control": "\u0007\b\f\n\r\t\u001f<7f><2028>",
        "large": 1e21,
        "small": -9223372036854775808,
        "tenth": 0.1,
        "tiny": 1.5e-9,
        "whole": 1.0,
        "x": [
            1,
            {
                "a": true,
                "b": null
            }
        ],
        "y": {},
        "z": [],
        "zero": -0.0,
        "é": "日本"
    },
    "run_list": []
}
"#;
    let expected = expected.replace("<7f>", "\u{7f}").replace("<2028>", "\u{2028}");
    assert_eq!(role(&nodes, "web").to_text(), expected);
}

#[test]
fn the_prefix_is_a_setting_and_chef_s_rule_for_names_is_kept() {
    let nodes = nodes("[settings]\nrole_prefix = \"\"\n[web]\n[\"12.04\"]\n");
    assert_eq!(role(&nodes, "web").name, "web");
    let error = Role::of(&nodes.group("12.04").unwrap(), &nodes.settings).unwrap_err();
    assert_eq!(
        report::Failure::from(error).to_string(),
        "error: group `12.04` cannot be a role: Chef takes letters, digits, `_` and `-` in `12.04`\n\
         hint: call it `12_04`"
    );
}

fn decisions(changes: &[Change]) -> Vec<(&str, Decision)> {
    changes.iter().map(|change| (change.path.as_str(), change.decision)).collect()
}

/// Makes the changes to a disk that is a map.
fn made(found: &mut BTreeMap<String, Vec<u8>>, changes: &[Change]) {
    for change in changes {
        match (change.decision, &change.text) {
            (Decision::Create | Decision::Update, Some(text)) => {
                found.insert(change.path.clone(), text.clone().into_bytes());
            }
            (Decision::Remove, _) => drop(found.remove(&change.path)),
            _ => {}
        }
    }
}

#[test]
fn roles_are_created_updated_and_removed() {
    let before = nodes("[web]\nrun_list = [\"a\"]\n[db]\n[old]\n");
    let (mut lock, mut found) = (Lock::default(), BTreeMap::new());
    let create = plan(&before, Scope::Create(None), &lock, &found, Adopt::No).unwrap();
    assert_eq!(
        decisions(&create),
        ["roles/db.json", "roles/old.json", "roles/web.json"].map(|path| (path, Decision::Create))
    );
    made(&mut found, &create);
    lock = recorded_after(&lock, &create);
    let again = plan(&before, Scope::Create(None), &lock, &found, Adopt::No).unwrap();
    assert!(again.iter().all(|change| change.decision == Decision::Unchanged));
    assert_eq!(recorded_after(&lock, &again), lock);

    let after = nodes("[web]\nrun_list = [\"b\"]\n[db]\n[new]\n");
    let update = plan(&after, Scope::Update(None), &lock, &found, Adopt::No).unwrap();
    assert_eq!(
        decisions(&update),
        [
            ("roles/db.json", Decision::Unchanged),
            ("roles/old.json", Decision::Remove),
            ("roles/web.json", Decision::Update),
        ]
    );
    assert_eq!(paths(&after, &lock).len(), 4);
    made(&mut found, &update);
    lock = recorded_after(&lock, &update);
    assert_eq!(lock.files.keys().collect::<Vec<_>>(), ["roles/db.json", "roles/web.json"]);
    let none = plan(&after, Scope::Update(Some("new")), &lock, &found, Adopt::No).unwrap_err();
    assert!(matches!(none, PlanError::NoRole(name) if name == "new"));
}

#[test]
fn what_is_not_skep_s_is_left_alone() {
    let nodes = nodes("[web]\n[db]\n");
    let found: BTreeMap<String, Vec<u8>> = [
        ("roles/web.json".to_owned(), b"{}".to_vec()),
        ("roles/db.json".to_owned(), b"{}".to_vec()),
    ]
    .into();
    let mut lock = Lock::default();
    lock.files.insert("roles/db.json".to_owned(), digest(b"{ }"));
    let changes = plan(&nodes, Scope::Create(None), &lock, &found, Adopt::No).unwrap();
    assert_eq!(
        decisions(&changes),
        [
            ("roles/db.json", Decision::Refuse(Refusal::Edited)),
            ("roles/web.json", Decision::Refuse(Refusal::NotGenerated)),
        ]
    );
    assert_eq!(recorded_after(&lock, &changes), lock);
    insta::assert_snapshot!(refusal(&changes).unwrap(), @r"
    error: nothing was written: 2 files are not Skep's
      roles/db.json   edited since Skep wrote it
      roles/web.json  not written by Skep
    hint: --adopt    to write over them, and call them Skep's
    ");
    let adopted = plan(&nodes, Scope::Create(None), &lock, &found, Adopt::Yes).unwrap();
    assert!(adopted.iter().all(|change| change.decision == Decision::Update));
    assert!(refusal(&adopted).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_and_number_survives_a_role(text in any::<String>(), number in any::<f64>(), integer in any::<i64>()) {
        let number = if number.is_finite() { number } else { 0.0 };
        let json = serde_json::json!({"web": {"default_attributes": {
            "text": text, "number": number, "integer": integer, text.clone(): 1
        }}});
        let nodes = parse("nodes.json", &json.to_string()).unwrap();
        let written = role(&nodes, "web").to_text();
        let read = parse_role("roles/web.json", &written).unwrap();
        prop_assert_eq!(&read.default_attributes, json["web"]["default_attributes"].as_object().unwrap());
        prop_assert_eq!(read.to_text(), written);
    }
}
