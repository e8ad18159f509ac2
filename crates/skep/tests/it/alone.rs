//! What needs no agent.

use insta::assert_snapshot;

use crate::context::Context;

#[test]
fn the_overview_lists_every_command() {
    assert_snapshot!(Context::new().run(&["--help"]), @"");
}

#[test]
fn help_is_the_doc_comment() {
    assert_snapshot!(Context::new().run(&["up", "--help"]), @"");
}

#[test]
fn a_wrong_command_line_is_64_not_clap_s_2() {
    let context = Context::new();
    assert_snapshot!(context.run(&["deplyo"]), @"");
    assert_snapshot!(context.run(&["rollback", "--to", "latest"]), @"");
    assert_snapshot!(context.run(&["up", "--listen", "localhost:80"]), @"");
    assert_snapshot!(context.run(&["-C", "missing", "ps"]), @"");
    assert!(context.run(&[]).starts_with("exit 64\n"));
    assert!(context.run(&["run", "shop"]).starts_with("exit 64\n"));
}

#[test]
fn mistakes_in_words_are_told_before_an_agent_is_asked() {
    let context = Context::new();
    assert_snapshot!(context.run(&["scale", "web=two"]), @"");
    assert_snapshot!(context.run(&["env:set", "1A=x"]), @"");
    assert_snapshot!(context.run(&["env:set", "shop"]), @"");
    assert_snapshot!(context.run(&["env:set", "A=-", "B=-"]), @"");
    assert_snapshot!(context.run(&["app:remove", "shop/web"]), @"");
    assert!(!context.home().exists(), "nothing was installed on the way");
}

#[test]
fn an_empty_machine_has_empty_lists() {
    let context = Context::new();
    assert_snapshot!(context.run(&["apps"]), @"");
    assert_snapshot!(context.run(&["ps", "--json"]), @"");
    assert_snapshot!(context.run(&["apps", "-q"]), @"");
    assert_snapshot!(context.run(&["logs", "shop", "-f"]), @"");
    assert_snapshot!(context.run(&["rollback", "--json"]), @"");
    assert!(!context.home().exists(), "a list installs nothing");
}

#[test]
fn no_agent_is_69() {
    let context = Context::new();
    assert_snapshot!(context.run(&["agent:status"]), @"");
    assert_snapshot!(context.run(&["agent:stop"]), @"");
}

#[test]
fn a_directory_without_an_app_starts_nothing() {
    let context = Context::new();
    assert_snapshot!(context.run(&["up", "./nowhere"]), @"");
    let text = context.run(&["deploy"]);
    assert!(text.starts_with("exit 64\n"), "{text}");
    assert!(!context.home().exists());
}

#[test]
fn a_newer_home_is_refused() {
    let context = Context::new();
    std::fs::create_dir(context.home()).unwrap();
    std::fs::write(context.home().join("FORMAT"), "skep-home 99 abcdef\n").unwrap();
    assert_snapshot!(context.run(&["apps"]), @"");
}

#[test]
fn a_unit_can_be_looked_at_first() {
    let context = Context::new();
    let text = context.run(&["agent:install", "--print"]);
    for line in ["KillMode=process", "Delegate=yes", "Restart=always", "agent:start --foreground"] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert!(text.contains("Environment=SKEP_HOME=[TMP]/state"), "{text}");
    assert!(!context.home().exists());
}

#[test]
fn doctor_says_what_it_found_in_a_stable_shape() {
    let context = Context::new();
    let output = context.command(&["doctor", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["home", "disk", "user", "kernel", "cgroups", "ports", "python", "uv", "git", "agent", "boot"]
    );
    let states = ["ok", "warning", "problem"];
    assert!(checks.iter().all(|check| states.contains(&check["state"].as_str().unwrap())));
    assert!(checks.iter().all(|check| check["text"].is_string()));
    let expected = i32::from(report["ok"] == false);
    assert_eq!(output.status.code(), Some(expected));
    // And the same for people, one line a check and its hints.
    let text = context.run(&["doctor"]);
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    assert!(!context.home().exists(), "doctor changes nothing");
}

#[test]
fn doctor_fails_where_the_home_is_not_ours() {
    let context = Context::new();
    std::fs::create_dir(context.home()).unwrap();
    std::fs::write(context.home().join("FORMAT"), "PG_VERSION 15\n").unwrap();
    let text = context.run(&["doctor"]);
    assert!(text.starts_with("exit 1\n"), "{text}");
    assert!(text.contains("is not a Skep home"), "{text}");
}
