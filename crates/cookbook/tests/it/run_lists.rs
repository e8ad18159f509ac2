//! Run lists: roles expanded, each recipe at its first place.

use cookbook::{Effective, Roles, RunListError};
use insta::assert_snapshot;
use nodes::NodesFile;
use report::Failure;

use crate::scene::Scene;

fn expand(scene: &Scene, nodes: &NodesFile, group: &str) -> Result<Effective, RunListError> {
    Effective::of_group(group, Roles { nodes: Some(nodes), directory: &scene.root() })
}

fn recipes(effective: &Effective) -> Vec<String> {
    effective.steps.iter().map(|step| step.recipe.to_string()).collect()
}

#[test]
fn roles_are_groups_or_files_and_their_items_stand_where_they_stand() {
    let scene = Scene::new().file(
        "roles/legacy.json",
        r#"{"name": "legacy", "run_list": ["recipe[ntp]"], "default_attributes": {"ntp": {"on": true}}}"#,
    );
    let nodes = nodes::parse(
        "nodes.toml",
        "[__base__]\nrun_list = [\"recipe[base]\"]\npost_run_list = [\"recipe[last]\"]\n\
         [common]\nrun_list = [\"recipe[users::admins]\"]\ndefault_attributes = { a = 1 }\n\
         [web]\nrun_list = [\"role[role-common]\", \"nginx@1.2\", \"role[legacy]\", \"recipe[base]\"]\n\
         default_attributes = { a = 2 }\noverride_attributes = { b = 1 }\n",
    );
    let nodes = nodes.unwrap();
    let effective = expand(&scene, &nodes, "web").unwrap();
    assert_eq!(
        recipes(&effective),
        ["base::default", "users::admins", "last::default", "nginx::default", "ntp::default"]
    );
    assert_eq!(effective.steps[3].version.as_deref(), Some("1.2"));
    let layers: Vec<_> =
        effective.layers.iter().map(|layer| (layer.level.name(), layer.giver.as_str())).collect();
    // A role's own come above those of the roles in it.
    assert_eq!(
        layers,
        [("role", "common"), ("role", "legacy"), ("role", "web"), ("role, override", "web")]
    );
}

#[test]
fn unknown_roles_and_circles_are_errors() {
    let scene = Scene::new();
    let told = |text: &str, group: &str| {
        let nodes = nodes::parse("nodes.toml", text).unwrap();
        Failure::from(expand(&scene, &nodes, group).unwrap_err()).to_string()
    };
    assert_snapshot!(told("[common]\n[web]\nrun_list = [\"role[comon]\"]\n", "web"), @r#"
    error: no role `comon`: neither a group nor a file of `roles/` is called so
     --> nodes.toml:3:13
      |
    3 | run_list = ["role[comon]"]
      |             ^^^^^^^^^^^^^ 
    hint: did you mean `role[common]`?
    "#);
    assert_snapshot!(told("[a]\nrun_list = [\"role[b]\"]\n[b]\nrun_list = [\"role[c]\"]\n[c]\nrun_list = [\"role[b]\"]\n", "a"), @"error: roles include each other: b → c → b");
    let scene = Scene::new().file("roles/x.json", "{\"name\": \"x\", \"runlist\": []}");
    let nodes = nodes::parse("nodes.toml", "[web]\nrun_list = [\"role[x]\"]\n").unwrap();
    assert_snapshot!(Failure::from(expand(&scene, &nodes, "web").unwrap_err()), @r#"
    error: `roles/x.json` has 1 error
     --> roles/x.json:1:15
      |
    1 | {"name": "x", "runlist": []}
      |               ^^^^^^^^^ Chef ignores this key; did you mean `run_list`?
    "#);
}
