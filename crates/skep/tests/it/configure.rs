//! From a repository to a machine: plan, converge, and what is taken back. Everything lies below a
//! temporary directory, so that it is the same for root and for an ordinary user.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use crate::context::Context;
use crate::scene::{Scene, TinyApp, assert_says, copy_example};

/// A repository whose recipes work below `machine/` of the working directory.
fn repository() -> Context {
    let context = Context::new();
    context.write(
        "nodes.toml",
        "[__base__]\npost_run_list = [\"recipe[app::extra]\"]\n\
         [web]\nrun_list = [\"recipe[app]\"]\ndefault_attributes = { app = { port = 8080 } }\n\
         [stages.production]\ndefault_attributes = { app = { port = 80 } }\n",
    );
    let node = serde_json::json!({ "top": machine(&context) });
    context.write("node.json", &node.to_string());
    context.write(
        "cookbooks/app/cookbook.toml",
        "name = \"app\"\nversion = \"1.0.0\"\n[dependencies]\nbase = \"~> 1.0\"\n",
    );
    context.write("cookbooks/base/cookbook.toml", "name = \"base\"\nversion = \"1.1.0\"\n");
    context.write("cookbooks/base/attributes/default.toml", "[app]\nport = 1\nname = \"app\"\n");
    context.write("cookbooks/app/attributes/default.toml", "[app]\nport = 2\n");
    context.write(
        "cookbooks/app/recipes/default.star",
        r#"# The app's files.
top = attr("top")
directory(top + "/etc", mode = "0755", recursive = True)
conf = template(top + "/etc/app.conf", source = "app.conf.j2", mode = "0640")
file(top + "/etc/motd", source = "motd")
execute("make", command = ["touch", top + "/made"], creates = top + "/made")
execute("count", command = ["sh", "-c", "echo ran >> %s/count" % top], action = "nothing", subscribes = run(conf))
print("the port is %d" % attr("app.port"))
"#,
    );
    context.write(
        "cookbooks/app/recipes/extra.star",
        "file(attr(\"top\") + \"/extra\", content = \"x\")\n",
    );
    context.write(
        "cookbooks/app/templates/app.conf.j2",
        "name {{ node.app.name }}\nport {{ node.app.port }}\n",
    );
    context.write("cookbooks/app/files/motd", "hello\n");
    context
}

fn machine(context: &Context) -> PathBuf {
    // What a plan prints must not depend on how the temporary directory is reached.
    context.work().canonicalize().unwrap().join("machine")
}

/// Runs a command of this repository; how long reading took is left out.
fn run(context: &Context, words: &[&str]) -> String {
    let words = [words, &["--node-attributes", "node.json"]].concat();
    let text = context.run(&words);
    let mut parts = text.split("; read in ");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str(part.split_once(" ms").map_or("", |(_, rest)| rest));
    }
    shown
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_machine_becomes_what_its_recipes_say_and_stays_so() {
    let context = repository();
    let machine = machine(&context);
    assert_snapshot!(run(&context, &["plan"]), @"
    exit 2
    --- stdout
    + directory[[TMP]/project/machine/etc]  mode: 0755
    + template[[TMP]/project/machine/etc/app.conf]  mode: 0640, content: +2 -0
    + file[[TMP]/project/machine/etc/motd]  content: +1 -0
    ! execute[make]  touch [TMP]/project/machine/made
    + file[[TMP]/project/machine/extra]  content: +1 -0
    ↻ execute[count] run  (notified by template[[TMP]/project/machine/etc/app.conf])
    4 to create, 1 to run, 1 to notify, 1 unchanged
    --- stderr
    cookbooks/app/recipes/default.star:8: the port is 8080
    ");
    assert!(!machine.exists(), "a plan changes nothing");
    assert_snapshot!(run(&context, &["converge", "--locked"]), @"
    exit 0
    --- stdout
    6 changed, 1 unchanged
    --- stderr
    cookbooks/app/recipes/default.star:8: the port is 8080
    + directory[[TMP]/project/machine/etc]  mode: 0755
    + template[[TMP]/project/machine/etc/app.conf]  mode: 0640, content: +2 -0
    + file[[TMP]/project/machine/etc/motd]  content: +1 -0
    ! execute[make]  touch [TMP]/project/machine/made
    + file[[TMP]/project/machine/extra]  content: +1 -0
    ! execute[count]  sh -c echo ran >> [TMP]/project/machine/count
    ↻ execute[count]  for template[[TMP]/project/machine/etc/app.conf]
    ");
    assert_eq!(read(&machine.join("etc/app.conf")), "name app\nport 8080\n");
    assert_eq!(
        fs::metadata(machine.join("etc/app.conf")).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert_eq!(read(&machine.join("count")), "ran\n");
    assert_snapshot!(run(&context, &["plan", "-q"]), @"
    exit 0
    --- stdout
    6 unchanged
    ");
    assert_snapshot!(run(&context, &["converge", "-q"]), @"
    exit 0
    --- stdout
    6 unchanged
    ");

    // Somebody edits by hand; a stage says something else.
    fs::write(machine.join("etc/motd"), "hacked\n").unwrap();
    assert_snapshot!(run(&context, &["plan", "-q", "--diff", "--stage", "production"]), @"
    exit 2
    --- stdout
    ~ template[[TMP]/project/machine/etc/app.conf]  content: +1 -1
        @@ -1,2 +1,2 @@
         name app
        -port 8080
        +port 80
    ~ file[[TMP]/project/machine/etc/motd]  content: +1 -1
        @@ -1 +1 @@
        -hacked
        +hello
    ↻ execute[count] run  (notified by template[[TMP]/project/machine/etc/app.conf])
    2 to update, 1 to notify, 4 unchanged
    ");
    assert_snapshot!(run(&context, &["converge", "--stage", "production"]), @"
    exit 0
    --- stdout
    3 changed, 4 unchanged
    --- stderr
    cookbooks/app/recipes/default.star:8: the port is 80
    ~ template[[TMP]/project/machine/etc/app.conf]  content: +1 -1
    ~ file[[TMP]/project/machine/etc/motd]  content: +1 -1
    ! execute[count]  sh -c echo ran >> [TMP]/project/machine/count
    ↻ execute[count]  for template[[TMP]/project/machine/etc/app.conf]
    ");
    assert_eq!(read(&machine.join("count")), "ran\nran\n", "told of the change, once");

    // A recipe leaves the run list: what it made goes, and only that.
    fs::write(machine.join("ours"), "").unwrap();
    context.write("nodes.toml", "[web]\nrun_list = [\"recipe[app::extra]\"]\n");
    assert_snapshot!(run(&context, &["plan", "-q"]), @"
    exit 2
    --- stdout
    - file[[TMP]/project/machine/etc/motd]  removed  (nobody declares it any more)
    - template[[TMP]/project/machine/etc/app.conf]  removed  (nobody declares it any more)
    - directory[[TMP]/project/machine/etc]  removed if it is empty  (nobody declares it any more)
    3 to delete, 1 unchanged
    ");
    assert_snapshot!(run(&context, &["converge", "-q"]), @"
    exit 0
    --- stdout
    3 taken back, 3 unchanged
    ");
    assert!(!machine.join("etc").exists() && machine.join("extra").exists());
    assert!(machine.join("ours").exists(), "it was found, not made");
}

#[test]
fn a_part_takes_nothing_back() {
    let context = repository();
    let machine = machine(&context);
    run(&context, &["converge"]);
    let text = run(&context, &["converge", "--recipe", "app::extra"]);
    assert!(text.starts_with("exit 0"), "{text}");
    let text = run(&context, &["plan", "--phase", "deploy"]);
    assert!(text.starts_with("exit 0"), "{text}");
    assert!(machine.join("etc/motd").exists());
}

#[test]
fn a_saved_plan_is_applied_as_it_was_or_not_at_all() {
    let context = repository();
    let machine = machine(&context);
    assert!(run(&context, &["plan", "--save", "web.plan"]).starts_with("exit 2"));
    assert!(run(&context, &["converge", "--apply", "web.plan"]).starts_with("exit 0"));
    assert!(run(&context, &["converge", "--apply", "web.plan"]).starts_with("exit 1"));
    fs::remove_file(machine.join("made")).unwrap();
    assert!(run(&context, &["plan", "--save", "web.plan"]).starts_with("exit 2"));
    fs::write(machine.join("etc/motd"), "moved\n").unwrap();
    assert_snapshot!(run(&context, &["converge", "--apply", "web.plan"]), @"
    exit 1
    --- stderr
    cookbooks/app/recipes/default.star:8: the port is 8080
    error: `web.plan` cannot be applied
      caused by: not the plan that was saved: file[[TMP]/project/machine/etc/motd] is different on the machine
    hint: skep plan --save web.plan    makes a new one
    ");
    assert_eq!(read(&machine.join("etc/motd")), "moved\n");
    context.write("not.plan", "{");
    assert_snapshot!(run(&context, &["converge", "--apply", "not.plan"]), @"
    exit 64
    --- stderr
    error: `not.plan` cannot be applied
      caused by: not a saved plan
      caused by: EOF while parsing an object at line 1 column 1
    ");
}

#[test]
fn dna_is_what_chef_solo_takes() {
    let context = repository();
    let machine = machine(&context);
    let dna = serde_json::json!({
        "id": "web", "run_list": ["role[role-web]"], "top": machine, "app": { "port": 7 },
        "chef_environment": "nowhere",
    });
    context.write("dna.json", &dna.to_string());
    assert_snapshot!(context.run(&["converge", "--dna", "dna.json"]), @"
    exit 0
    --- stdout
    6 changed, 1 unchanged
    --- stderr
    the nodes file has no stage `nowhere`: ignored
    cookbooks/app/recipes/default.star:8: the port is 7
    + directory[[TMP]/project/machine/etc]  mode: 0755
    + template[[TMP]/project/machine/etc/app.conf]  mode: 0640, content: +2 -0
    + file[[TMP]/project/machine/etc/motd]  content: +1 -0
    ! execute[make]  touch [TMP]/project/machine/made
    + file[[TMP]/project/machine/extra]  content: +1 -0
    ! execute[count]  sh -c echo ran >> [TMP]/project/machine/count
    ↻ execute[count]  for template[[TMP]/project/machine/etc/app.conf]
    ");
    assert_eq!(read(&machine.join("etc/app.conf")), "name app\nport 7\n");
}

#[test]
fn why_an_attribute_is_what_it_is() {
    let context = repository();
    assert_snapshot!(run(&context, &["attr:why", "app.port", "--stage", "production"]), @"
    exit 0
    --- stdout
    LEVEL     GIVEN BY    VALUE  FROM                                      RESULT
    stage     production  80     nodes.toml:7                              wins
    role      web         8080   nodes.toml:5                              hidden
    cookbook  app         2      cookbooks/app/attributes/default.toml:2   hidden
    cookbook  base        1      cookbooks/base/attributes/default.toml:2  hidden
    ");
    assert_snapshot!(run(&context, &["attr:why", "app.prot"]), @"
    exit 64
    --- stderr
    error: there is no attribute `app.prot`
    hint: did you mean `app.port`?
    ");
    assert_snapshot!(run(&context, &["attr:why", "app.port", "--stage", "prodution"]), @"
    exit 64
    --- stderr
    error: there is no stage `prodution`
    hint: did you mean `production`?
    ");
}

#[test]
fn what_is_wrong_is_told_before_anything_is_changed() {
    let context = repository();
    let machine = machine(&context);
    context.write(
        "cookbooks/app/recipes/extra.star",
        "file(attr(\"top\") + \"/extra\", mod = \"0644\")\n",
    );
    assert_snapshot!(run(&context, &["converge", "-q"]), @r#"
    exit 64
    --- stderr
    error: failed to evaluate recipe `app::extra`
     --> cookbooks/app/recipes/extra.star:1:30
      |
    1 | file(attr("top") + "/extra", mod = "0644")
      |                              ^^^^^^^^^^^^ file has no `mod`; did you mean `mode`?
    "#);
    context.write("cookbooks/app/recipes/extra.star", "execute(\"touch /x\")\n");
    assert_snapshot!(run(&context, &["plan", "-q"]), @"
    exit 64
    --- stderr
    error: execute[touch /x]: execute needs `creates`, `removes`, `only_if` or `not_if`, or the action `nothing` and somebody who notifies it: without one it would run every time
    ");
    context.write("cookbooks/app/recipes/extra.star", "include_recipe(\"other\")\n");
    context.write("cookbooks/other/cookbook.toml", "name = \"other\"\nversion = \"1.0\"\n");
    assert_snapshot!(run(&context, &["plan", "-q"]), @r#"
    exit 64
    --- stderr
    error: failed to evaluate recipe `app::extra`
     --> cookbooks/app/recipes/extra.star:1:1
      |
    1 | include_recipe("other")
      | ^^^^^^^^^^^^^^^^^^^^^^^ cookbook `other` is there, but no cookbook of the run list needs it
    hint: write `other = "*"` below `[dependencies]` of the cookbook that uses it
    "#);
    context.write("nodes.toml", "[web]\nrun_list = [\"recipe[ap]\"]\n[mail]\n");
    assert_snapshot!(run(&context, &["plan", "-q"]), @"
    exit 64
    --- stderr
    error: which group does this machine belong to?
    hint: --group GROUP    one of mail, web
    ");
    assert_snapshot!(run(&context, &["plan", "-q", "--group", "web"]), @r#"
    exit 64
    --- stderr
    error: there is no cookbook `ap`
     --> nodes.toml:2:13
      |
    2 | run_list = ["recipe[ap]"]
      |             ^^^^^^^^^^^^ 
    hint: did you mean `app`?
    "#);
    assert_snapshot!(run(&context, &["plan", "-q", "--recipe", "app::extra", "--locked"]), @r#"
    exit 64
    --- stderr
    error: failed to evaluate recipe `app::extra`
     --> cookbooks/app/recipes/extra.star:1:1
      |
    1 | include_recipe("other")
      | ^^^^^^^^^^^^^^^^^^^^^^^ cookbook `other` is there, but no cookbook of the run list needs it
    hint: write `other = "*"` below `[dependencies]` of the cookbook that uses it
    "#);
    context.write("cookbooks/base/cookbook.toml", "name = \"base\"\nversion = \"2.0.0\"\n");
    assert_snapshot!(run(&context, &["plan", "-q", "--group", "mail"]), @"
    exit 64
    --- stderr
    error: the cookbooks' versions do not fit together
      caused by: Because app 1.0.0 needs base >=1.0.0, <2.0.0 and this repository has base 2.0.0, app 1.0.0 cannot be had.
      caused by: And because this repository has app 1.0.0, they cannot all be had.
    ");
    assert!(!machine.exists());
}

#[test]
fn what_fails_is_told_and_the_rest_is_done() {
    let context = repository();
    let machine = machine(&context);
    fs::create_dir_all(machine.join("etc/motd")).unwrap();
    assert_snapshot!(run(&context, &["converge"]), @"
    exit 3
    --- stdout
    4 changed, 1 failed, 2 unchanged
    --- stderr
    cookbooks/app/recipes/default.star:8: the port is 8080
    + template[[TMP]/project/machine/etc/app.conf]  mode: 0640, content: +2 -0
    x file[[TMP]/project/machine/etc/motd]: `[TMP]/project/machine/etc/motd` is a directory, not a regular file
    ! execute[make]  touch [TMP]/project/machine/made
    + file[[TMP]/project/machine/extra]  content: +1 -0
    ! execute[count]  sh -c echo ran >> [TMP]/project/machine/count
    ↻ execute[count]  for template[[TMP]/project/machine/etc/app.conf]
    error: this machine is not what the recipes say
      caused by: file[[TMP]/project/machine/etc/motd]: `[TMP]/project/machine/etc/motd` is a directory, not a regular file
    hint: skep converge    tries again: what is done stays
    ");
    assert!(machine.join("made").exists());
}

#[test]
fn cookbooks_are_begun_checked_and_described() {
    let context = Context::new();
    assert_snapshot!(context.run(&["cookbook:new", "shop"]), @"
    exit 0
    --- stdout
    cookbooks/shop/cookbook.toml
    cookbooks/shop/attributes/default.toml
    cookbooks/shop/recipes/default.star
    cookbooks/shop/templates/default.conf.j2
    --- stderr
    hint: skep plan --recipe shop
    ");
    assert_snapshot!(context.run(&["cookbook:new", "shop"]), @"
    exit 5
    --- stderr
    error: `cookbooks/shop` is there already
    ");
    assert_snapshot!(context.run(&["cookbook:new", "a.b"]), @"
    exit 64
    --- stderr
    error: `a.b` is no name of a cookbook: a cookbook's name has no dot
    ");
    assert_snapshot!(context.run(&["cookbook:check"]), @"
    exit 0
    --- stderr
    1 recipe: nothing wrong
    ");
    assert_snapshot!(context.run(&["cookbook:docs"]), @r#"
    exit 0
    --- stdout
    # shop 0.1.0

    | recipe | |
    |---|---|
    | `shop::default` |  |

    | attribute | default | |
    |---|---|---|
    | `shop.directory` | `"/etc/shop"` | cookbooks/shop/attributes/default.toml:2 |
    "#);
    context.write("cookbooks/shop/recipes/bad.star", "file(\"x\")\n");
    context.write("data_bags/users/anna.json", "{\"id\": \"ana\"}");
    assert_snapshot!(context.run(&["cookbook:check"]), @r#"
    exit 64
    --- stderr
    error: failed to evaluate recipe `shop::bad`
     --> cookbooks/shop/recipes/bad.star:1:6
      |
    1 | file("x")
      |      ^^^ `path` of file must be an absolute path without `..`, not `x`
    error: `data_bags/users/anna.json` has 1 error
     --> data_bags/users/anna.json:1:8
      |
    1 | {"id": "ana"}
      |        ^^^^^ `id` must be `anna`, as the file is called
    error: 2 things are wrong
    "#);
    assert_snapshot!(context.run(&["cookbook:check", "shpo"]), @"
    exit 64
    --- stderr
    error: there is no cookbook `shpo`
    hint: did you mean `shop`?
    ");
}

#[test]
fn recipes_read_what_the_agent_knows() {
    let scene = Scene::serving(&TinyApp::new("shop"));
    scene.run(&["env:set", "shop", "DATABASE_URL=postgres://u:hunter2@db/x"]).expect(0);
    let infra = scene.home.directory("infra");
    let write = |path: &str, text: &str| {
        let path = infra.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("cookbooks/web/cookbook.toml", "name = \"web\"\nversion = \"1.0.0\"\n");
    let top = infra.join("machine");
    write(
        "cookbooks/web/recipes/default.star",
        &format!(
            "found = services(\"shop/web\")\nprint(\"%d ready, first %d\" % (len(found), found[0].slot))\n\
             print(len(services(\"shop/none\")))\n\
             file(\"{}\", content = env_of(\"shop\", \"DATABASE_URL\"), mode = \"0600\")\n",
            top.display()
        ),
    );
    let skep = || scene.home.skep().in_directory(&infra);
    let planned = skep().run(["plan", "--recipe", "web", "--diff"]).expect(2);
    assert_says(&planned, &["1 ready, first 0", "content changed (sensitive)"]);
    assert!(!planned.stdout.contains("hunter2"), "{planned}");
    skep().run(["converge", "--recipe", "web"]).expect(0);
    assert_eq!(read(&top), "postgres://u:hunter2@db/x");
    write("cookbooks/web/recipes/default.star", "env_of(\"shop\", \"NONE\")\n");
    let refused = skep().run(["plan", "--recipe", "web"]).expect(64);
    assert_says(&refused, &["app `shop` has no variable `NONE`", "skep env:set shop NONE"]);
    write("cookbooks/web/recipes/default.star", "env_of(\"shpo\", \"NONE\")\n");
    skep().run(["plan", "--recipe", "web"]).expect(64);
    // What cannot be asked is unknown, not "no".
    scene.run(&["agent:stop"]).expect(0);
    let unknown = skep().run(["plan", "--recipe", "web"]).expect(69);
    assert_says(&unknown, &["no agent runs"]);
}

#[test]
fn json_has_the_same() {
    let context = repository();
    let json = |words: &[&str]| -> serde_json::Value {
        let words = [words, &["--node-attributes", "node.json", "--json"]].concat();
        let output = context.command(&words).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let plan = json(&["plan"]);
    assert_eq!(plan["counts"]["create"], 4);
    assert_eq!(plan["steps"][0]["recipes"][0]["cookbook"], "app");
    assert_eq!(json(&["converge"])["outcomes"][0]["result"]["is"], "changed");
    let why = json(&["attr:why", "app.port"]);
    assert_eq!((why["value"].as_i64(), why["said"][0]["line"].as_i64()), (Some(8080), Some(5)));
    let docs = context.command(&["cookbook:docs", "app", "--json"]).output().unwrap();
    let docs: serde_json::Value = serde_json::from_slice(&docs.stdout).unwrap();
    assert_eq!(docs[0]["recipes"][0]["about"], "The app's files.");
}

#[test]
fn a_recipe_that_deletes_is_in_force_until_what_it_deletes_is_back() {
    let context = repository();
    let machine = machine(&context);
    context.write(
        "cookbooks/app/recipes/delete-extra.star",
        r#"top = attr("top")
execute("save", command = ["cp", top + "/extra", top + "/saved"], only_if = exists(top + "/extra"))
file(top + "/gone", content = "bye")
"#,
    );
    let with_extra = fs::read_to_string(context.work().join("nodes.toml")).unwrap();
    assert!(run(&context, &["converge"]).starts_with("exit 0"));
    assert!(!machine.join("gone").exists());
    context.write("nodes.toml", "[web]\nrun_list = [\"recipe[app]\"]\n");
    let planned = run(&context, &["plan", "-q"]);
    assert!(
        planned.contains("machine/extra]  removed") && planned.contains("machine/gone]"),
        "{planned}"
    );
    assert!(run(&context, &["converge"]).starts_with("exit 0"));
    assert!(!machine.join("extra").exists() && machine.join("gone").exists());
    // It ran while what it deletes was still there.
    assert_eq!(read(&machine.join("saved")), "x");
    let again = run(&context, &["plan", "-q"]);
    assert!(again.starts_with("exit 0"), "{again}");
    context.write("nodes.toml", &with_extra);
    assert!(run(&context, &["converge"]).starts_with("exit 0"));
    assert!(machine.join("extra").exists() && !machine.join("gone").exists());
}

#[test]
fn one_run_at_a_time() {
    let context = repository();
    let machine = machine(&context);
    fs::create_dir(&machine).unwrap();
    let pipe = machine.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    // It waits for somebody to write.
    context.write(
        "cookbooks/app/recipes/extra.star",
        "execute(\"wait\", command = [\"cat\", attr(\"top\") + \"/pipe\"], creates = attr(\"top\") + \"/etc\")\n",
    );
    context.write("nodes.toml", "[web]\nrun_list = [\"recipe[app::extra]\"]\n");
    let words = ["converge", "--node-attributes", "node.json"];
    let mut first = context.command(&words).spawn().unwrap();
    // Opening for writing waits until the command has opened it for reading: by then the run has begun.
    let writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let second = run(&context, &["converge", "-q"]);
    assert!(second.starts_with("exit 6"), "{second}");
    assert!(second.contains(&format!("(process {})", first.id())), "{second}");
    drop(writer);
    // The command did not make what it says that it makes.
    assert_eq!(first.wait().unwrap().code(), Some(1));
}

#[test]
fn run_lists_are_held_against_the_cookbooks() {
    let context = repository();
    context.write("cookbooks/app/recipes/web.star", "include_recipe(\"app\")\n");
    context.write(
        "nodes.toml",
        "[web]\nrun_list = [\"recipe[app::web]\", \"recipe[app]\", \"recipe[app::wbe]\"]\n",
    );
    assert_snapshot!(context.run(&["lint", "-q"]), @r#"
    exit 1
    --- stdout
    warning[already-included]: `recipe[app::web]` includes `app::default` already
     --> nodes.toml:2:33
      |
    2 | run_list = ["recipe[app::web]", "recipe[app]", "recipe[app::wbe]"]
      |                                 ^^^^^^^^^^^^^
    hint: leave it out here
    error[unknown-recipe]: no cookbook has `app::wbe`
     --> nodes.toml:2:48
      |
    2 | run_list = ["recipe[app::web]", "recipe[app]", "recipe[app::wbe]"]
      |                                                ^^^^^^^^^^^^^^^^^^
    hint: did you mean `recipe[app::web]`?
    "#);
}

#[test]
fn the_example_is_right_and_can_be_planned() {
    let context = Context::new();
    copy_example("thena-infra", &context.work());
    let checked = context.run(&["cookbook:check"]);
    assert!(checked.starts_with("exit 0"), "{checked}");
    assert_snapshot!(context.run(&["lint"]), @"
    exit 0
    --- stderr
    nodes.toml, roles and generated.lock: nothing found
    ");
    let planned = context.run(&["plan", "--stage", "staging", "--diff"]);
    assert!(planned.starts_with("exit 2"), "{planned}");
    for said in ["lazy-apps = true", "env = DATABASE_URL=sqlite", "processes = 1"] {
        assert!(planned.contains(said), "{said}: {planned}");
    }
    let deploy = context.run(&["plan", "--phase", "deploy"]);
    assert!(!deploy.contains("nginx.conf"), "{deploy}");
}
