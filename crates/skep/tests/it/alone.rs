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
    assert_snapshot!(context.run(&["deplyo"]), @r"
    exit 64
    --- stderr
    error: unrecognized subcommand 'deplyo'

      tip: some similar subcommands exist: 'app:deploy', 'deploy'

    Usage: skep [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(context.run(&["rollback", "--to", "latest"]), @r"
    exit 64
    --- stderr
    error: invalid value 'latest' for '--to <RELEASE>': not a release such as v12

    For more information, try '--help'.
    ");
    assert_snapshot!(context.run(&["up", "--listen", "localhost:80"]), @r"
    exit 64
    --- stderr
    error: invalid value 'localhost:80' for '--listen <ADDR>': not ADDR:PORT or :PORT, for example 127.0.0.1:8000

    For more information, try '--help'.
    ");
    assert_snapshot!(context.run(&["-C", "missing", "ps"]), @r"
    exit 64
    --- stderr
    error: `[TMP]/work/missing` is not a directory
    ");
    assert!(context.run(&[]).starts_with("exit 64\n"));
    assert!(context.run(&["run", "shop"]).starts_with("exit 64\n"));
}

#[test]
fn mistakes_in_words_are_told_before_an_agent_is_asked() {
    let context = Context::new();
    assert_snapshot!(context.run(&["scale", "web=two"]), @r"
    exit 64
    --- stderr
    error: `web=two` is not SERVICE=N
    hint: for example: skep scale web=4 queue=2
    ");
    assert_snapshot!(context.run(&["env:set", "1A=x"]), @r"
    exit 64
    --- stderr
    error: `1A` is not a variable's name
    hint: letters, digits and underscores, not a digit first
    ");
    assert_snapshot!(context.run(&["env:set", "shop"]), @r"
    exit 64
    --- stderr
    error: which variable?
    hint: skep env:set [APP] KEY=VALUE …
    ");
    assert_snapshot!(context.run(&["env:set", "A=-", "B=-"]), @r"
    exit 64
    --- stderr
    error: standard input can be the value of one variable only
    ");
    assert_snapshot!(context.run(&["app:remove", "shop/web"]), @r"
    exit 64
    --- stderr
    error: only whole apps can be removed
    hint: skep scale shop web=0    stops the service for good
    ");
    assert!(!context.home().exists(), "nothing was installed on the way");
}

#[test]
fn an_empty_machine_has_empty_lists() {
    let context = Context::new();
    assert_snapshot!(context.run(&["apps"]), @r"
    exit 0
    --- stderr
    nothing here yet
    hint: skep up    in an app's directory
    ");
    assert_snapshot!(context.run(&["ps", "--json"]), @r"
    exit 0
    --- stdout
    []
    ");
    assert_snapshot!(context.run(&["apps", "-q"]), @"exit 0");
    assert_snapshot!(context.run(&["logs", "shop", "-f"]), @r"
    exit 1
    --- stderr
    error: nothing here yet
    hint: skep up    in an app's directory
    ");
    assert_snapshot!(context.run(&["rollback", "--json"]), @r#"
    exit 1
    --- stderr
    {"kind":"failed","message":"nothing here yet","hints":["skep up    in an app's directory"]}
    "#);
    assert!(!context.home().exists(), "a list installs nothing");
}

#[test]
fn no_agent_is_69() {
    let context = Context::new();
    assert_snapshot!(context.run(&["agent:status"]), @r"
    exit 69
    --- stderr
    error: no agent runs for `[TMP]/state`
    hint: any `skep` command that needs it starts it, for example `skep ps`
    ");
    assert_snapshot!(context.run(&["agent:stop"]), @r"
    exit 0
    --- stderr
    the agent does not run
    ");
}

#[test]
fn a_directory_without_an_app_starts_nothing() {
    let context = Context::new();
    assert_snapshot!(context.run(&["up", "./nowhere"]), @r"
    exit 64
    --- stderr
    error: failed to open the directory `[TMP]/work/nowhere`
      caused by: No such file or directory (os error 2)
    ");
    let text = context.run(&["deploy"]);
    assert!(text.starts_with("exit 64\n"), "{text}");
    assert!(!context.home().exists());
}

#[test]
fn a_newer_home_is_refused() {
    let context = Context::new();
    std::fs::create_dir(context.home()).unwrap();
    std::fs::write(context.home().join("FORMAT"), "skep-home 99 abcdef\n").unwrap();
    assert_snapshot!(context.run(&["apps"]), @r"
    exit 64
    --- stderr
    error: `[TMP]/state` has format 99, this build knows up to 1
    hint: run the newer `skep`, or set SKEP_HOME elsewhere
    ");
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
        [
            "home", "disk", "user", "kernel", "cgroups", "ports", "python", "uv", "git", "agent",
            "boot"
        ]
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
