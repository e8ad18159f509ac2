//! The commands of the nodes file, in the repository that the guide describes.

use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use crate::context::Context;

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/nodes-file.md")
}

/// Returns the text of the first block of a language.
fn block<'g>(guide: &'g str, language: &str) -> &'g str {
    let (_, rest) = guide.split_once(&format!("\n```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

fn repository() -> Context {
    let context = Context::new();
    context.write("nodes.toml", block(&fs::read_to_string(guide()).unwrap(), "toml"));
    context
}

/// Every block of commands is run, one after the other; `SKEP_BLESS=1` writes what they print.
#[test]
fn the_guide_shows_what_is_printed() {
    const OPENING: &str = "```console\n";
    let context = repository();
    let committed = fs::read_to_string(guide()).unwrap();
    let mut parts = committed.split(OPENING);
    let mut written = parts.next().unwrap().to_owned();
    for part in parts {
        let (session, rest) = part.split_once("```").unwrap();
        written.push_str(OPENING);
        for line in session.lines() {
            let Some(command) = line.strip_prefix("$ skep ") else { continue };
            let words: Vec<&str> = command.split(' ').collect();
            let output = context.command(&words).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{command}");
            let text = String::from_utf8(output.stdout).unwrap();
            written.extend([line, "\n", &text]);
        }
        written.extend(["```", rest]);
    }
    if std::env::var_os("SKEP_BLESS").is_some() {
        fs::write(guide(), &written).unwrap();
    }
    let committed = fs::read_to_string(guide()).unwrap();
    let hint = "SKEP_BLESS=1 cargo test -p skep nodes";
    assert!(committed == written, "the guide is out of date: {hint}");
}

#[test]
fn roles_are_planned_written_kept_and_adopted() {
    let context = repository();
    assert_snapshot!(context.run(&["role:create", "web", "--plan"]), @r"
    exit 2
    --- stdout
    ROLE            STATE
    roles/web.json  new
    ");
    assert!(!context.work().join("roles").exists());
    assert_snapshot!(context.run(&["roles:create", "web"]), @r"
    exit 0
    --- stdout
    ROLE            STATE
    roles/web.json  new
    ");
    assert_snapshot!(context.run(&["role:create", "web", "--plan"]), @r"
    exit 0
    --- stdout
    ROLE            STATE
    roles/web.json  unchanged
    ");
    let path = context.work().join("roles/web.json");
    let shown = context.command(&["role:show", "web"]).output().unwrap();
    assert_eq!(fs::read(&path).unwrap(), shown.stdout);

    context.write("roles/bee.json", "{}");
    assert_snapshot!(context.run(&["role:create"]), @r"
    exit 1
    --- stderr
    error: nothing was written: 1 file is not Skep's
      roles/bee.json not written by Skep
      next           --adopt    to write over them, and call them Skep's
    ");
    assert_eq!(fs::read_to_string(context.work().join("roles/bee.json")).unwrap(), "{}");
    assert_snapshot!(context.run(&["role:create", "--adopt"]), @r"
    exit 0
    --- stdout
    ROLE            STATE
    roles/bee.json  changed
    roles/web.json  unchanged
    ");

    context.write("nodes.toml", "[web]\nrun_list = [\"recipe[nginx]\"]\n[db]\n");
    assert_snapshot!(context.run(&["roles:update"]), @r"
    exit 0
    --- stdout
    ROLE            STATE
    roles/bee.json  its group is gone
    roles/web.json  changed
    ");
    assert_snapshot!(context.run(&["role:update", "db"]), @r"
    exit 64
    --- stderr
    error: `db` has no role yet
    hint: skep role:create db
    ");
}

#[test]
fn two_groups_are_compared() {
    assert_snapshot!(repository().run(&["group:diff", "bee", "web"]), @r#"
    exit 0
    --- stdout
    IN   KEY                            VALUE                                      FROM
    bee  autoscale                      {"node_max":8,"node_min":2,"timeout":120}  bee, nodes.toml:15
    bee  default_attributes.nginx.port  80                                         __base__, nodes.toml:11
    web  default_attributes.nginx.port  8080                                       web, nodes.toml:26
    bee  default_attributes.nginx.user  www-data                                   __base__, nodes.toml:11
    bee  description                    works through the queues                   bee, nodes.toml:14
    web  description                    answers what the world asks                web, nodes.toml:20
    bee  instance_type                  m1.large                                   __base__, nodes.toml:4
    web  instance_type                  m3.xlarge                                  web, nodes.toml:21
    bee  run_list                       recipe[service::workers]                   bee, nodes.toml:17
    web  run_list                       recipe[nginx]                              web, nodes.toml:23
    web  run_list                       recipe[service::www]                       web, nodes.toml:23
    bee  security_groups                bee                                        bee, nodes.toml:16
    web  security_groups                www                                        web, nodes.toml:22
    "#);
}

#[test]
fn json_has_the_same() {
    let context = repository();
    let json = |words: &[&str]| -> serde_json::Value {
        let output = context.command(&[words, &["--json"]].concat()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(json(&["group:list"])[0]["autoscale"]["node_max"], 8);
    let shown = json(&["group:show", "web"]);
    assert_eq!(shown["role"], "role-web");
    assert_eq!(shown["run_list"][3], "recipe[service::collect]");
    let nginx = &shown["values"][1];
    assert_eq!(
        (nginx["path"].as_str(), nginx["line"].as_u64()),
        (Some("default_attributes.nginx"), Some(26))
    );
    assert_eq!(nginx["hides"][0]["group"], "__base__");
    assert_eq!(json(&["group:diff", "web", "web"]), serde_json::json!([]));
    assert_eq!(json(&["lint"])[0]["rule"], "hidden-keys");
    assert_eq!(json(&["role:show", "web"])["name"], "role-web");
    assert_eq!(json(&["role:create"])[0]["decision"], "create");
}

#[test]
fn what_is_wrong_is_told() {
    let context = Context::new();
    assert_snapshot!(context.run(&["group:list"]), @r"
    exit 64
    --- stderr
    error: no `nodes.toml` and no `nodes.json` in `[TMP]/project`
    hint: -C DIR    names the directory that has it
    ");
    context.write("nodes.toml", "[web]\nrunlist = []\n");
    assert_snapshot!(context.run(&["group:show", "web"]), @r"
    exit 64
    --- stderr
    error: `nodes.toml` has 1 error
     --> nodes.toml:2:1
      |
    2 | runlist = []
      | ^^^^^^^ unknown key in group `web`; did you mean `run_list`?
    ");
    context.write("nodes.toml", "[\"12.04-web\"]\nrun_list = [\"role[other]\"]\n");
    assert_snapshot!(context.run(&["lint"]), @r#"
    exit 1
    --- stdout
    error[dotted-name]: Chef refuses the dot in the role `12.04-web`
     --> nodes.toml:1:2
      |
    1 | ["12.04-web"]
      |  ^^^^^^^^^^^
    hint: call it `12_04-web`
    error[unknown-role]: neither a group nor a file is `role[other]`
     --> nodes.toml:2:13
      |
    2 | run_list = ["role[other]"]
      |             ^^^^^^^^^^^^^
    hint: name a group, or put the role into `roles/`
    warning[sub-role]: `role[other]` in a run list hides what runs
     --> nodes.toml:2:13
      |
    2 | run_list = ["role[other]"]
      |             ^^^^^^^^^^^^^
    hint: name its recipes
    --- stderr
    nodes.toml: 2 errors, 1 warning
    "#);
    assert_snapshot!(context.run(&["role:create"]), @r"
    exit 64
    --- stderr
    error: group `12.04-web` cannot be a role: Chef takes letters, digits, `_` and `-` in `role-12.04-web`
    hint: call it `12_04-web`
    ");
    assert_snapshot!(context.run(&["group:show", "12.04-wbe"]), @r"
    exit 64
    --- stderr
    error: `nodes.toml` has no group `12.04-wbe`
    hint: did you mean `12.04-web`?
    ");
    context.write("roles/x.json", "{\"name\": \"x\", \"runlist\": []}");
    context.write("nodes.toml", "[web]\nrun_list = [\"a\"]\n");
    assert_snapshot!(context.run(&["lint"]), @r#"
    exit 64
    --- stderr
    error: `roles/x.json` has 1 error
     --> roles/x.json:1:15
      |
    1 | {"name": "x", "runlist": []}
      |               ^^^^^^^^^ Chef ignores this key; did you mean `run_list`?
    "#);
    context.write("generated.lock", "<<<<<<< HEAD\n");
    assert_snapshot!(context.run(&["role:update"]), @r"
    exit 64
    --- stderr
    error: `generated.lock` does not start with `# skep generated 1`
    hint: a newer Skep may have written it
    ");
    context.write("nodes.json", "{}");
    assert_snapshot!(context.run(&["group:list"]), @r"
    exit 64
    --- stderr
    error: both `nodes.toml` and `nodes.json` are in `[TMP]/project`
    hint: keep one of them
    ");
}
