//! What needs no agent.

use insta::assert_snapshot;

use crate::context::Context;

#[test]
fn the_overview_lists_every_command() {
    assert_snapshot!(Context::new().run(&["--help"]), @r"
    exit 0
    --- stdout
    Builds, deploys and serves web apps, and keeps every request answered while it does

    Usage: skep [OPTIONS] COMMAND [APP | APP/SERVICE | DIR] …

    Apps:
      up               Build, deploy and serve the app in a directory
      deploy           Deploy a new release of an app
      rollback         Make an earlier good release current again
      watch            Follow a deploy that is going on
      apps             List apps
      releases         List an app's releases: when, who, what changed, why they failed
      ps               Show what runs
      logs             Print what an app's processes write
      run              Run a command in the current release, with the app's environment
      scale            Change how many slots services have, or print today's scale
      restart          Replace slots one by one, each when its successor has answered
      stop             Stop an app or one service of it
      start            Start what was stopped
      down             Take an app down, or all of them
      app:remove       Remove an app with its releases, data and variables
      app:restore      Bring a removed app back from its archive

    Variables:
      env:set          Set variables of an app
      env:unset        Unset variables of an app
      env              List an app's variables
      env:explain      Show every variable that processes get, and where each comes from

    Node groups:
      group:list       List the groups of the nodes file
      group:show       Show a group with all that it inherits
      group:diff       Compare two groups with all that they inherit
      lint             Check the nodes file and the roles for what is allowed and probably not meant

    Roles:
      role:create      Write the Chef role of a group, or of every group
      role:update      Bring the roles that are there up to date with the nodes file
      role:show        Print the Chef role of a group, or of every group

    Recipes on this machine:
      plan             Show what the recipes of this machine's group would change
      converge         Make this machine what the recipes of its group say

    Attributes:
      attr:why         Show what every level says of an attribute, and which one wins

    Cookbooks:
      cookbook:new     Start a cookbook in this directory's cookbooks/
      cookbook:check   Check manifests, attributes, recipes, templates and data bags without a machine
      cookbook:docs    Print what a cookbook has: its recipes and attributes, as Markdown

    Kitchen:
      kitchen:list     List the instances of kitchen.toml, and how far each is
      kitchen:create   Make the machine of an instance, or of all of them
      kitchen:converge Run a suite's recipes in its machine
      kitchen:verify   Run a suite's checks in its machine
      kitchen:test     Try a suite from the beginning to the end
      kitchen:diff     List the files that were changed in a machine since it was made
      kitchen:exec     Run a command in the machine of an instance
      kitchen:login    Open a shell in the machine of an instance
      kitchen:destroy  End the machine of an instance, or of all of them, with everything in it

    Agent:
      agent:status     Show the agent: its version, since when it runs, what is wrong
      agent:install    Start the agent at every boot
      agent:stop       Stop the agent; services go on
      agent:start      Start the agent, if it does not run

    This machine:
      doctor           Check what is missing here, and what cannot be enforced
      completions      Print completions for a shell

    Options:
      -C DIR         Work as if started in DIR
      -q, --quiet    Print data and errors only
          --json     Print data as JSON
      -h, --help     This, or with a command that command's help
      -V, --version  The version

    APP may be left out in the app's own directory. SKEP_HOME names another installation.
    Short names stand for longer ones: `skep up` is `skep app:up`, `skep plan` is `skep node:plan`.
    ");
}

#[test]
fn help_is_the_doc_comment() {
    assert_snapshot!(Context::new().run(&["up", "--help"]), @r"
    exit 0
    --- stdout
    Build, deploy and serve the app in a directory

    Runs in the foreground and shows what the app writes; Ctrl-C drains what it started. When this
    command ends in any other way (a closed terminal, kill -9), the agent drains as well.

    With --detach the app stays: the same as `skep deploy`.

    Usage: skep up [OPTIONS] [DIR]

    Arguments:
      [DIR]
              The app's directory (a path with a slash or a dot), or an app to be deployed again from
              where it came from [default: this directory]

    Options:
      -d, --detach
              Leave the app running

          --listen <ADDR>
              Where the app is served, ADDR:PORT, :PORT or PORT; belongs to the app and is kept
              [default: 0.0.0.0:80 as root, else the first free port from 8000]

          --plan
              Say what would be done and do nothing; exit code 2 if there is anything to do

      -v, --verbose
              Show every line that build steps and the release command write

      -h, --help
              Print help (see a summary with '-h')

    Global options:
          --json
              Print data as JSON: one value, or one value a line where it is a stream

      -q, --quiet
              Print data and errors only

      -C <DIR>
              Work as if started in DIR

    Examples:
      skep up
      skep up examples/guestbook --listen :8080
    ");
}

#[test]
fn a_wrong_command_line_is_64_not_clap_s_2() {
    let context = Context::new();
    assert_snapshot!(context.run(&["deplyo"]), @r"
    exit 64
    --- stderr
    error: unrecognized subcommand 'deplyo'

      tip: some similar subcommands exist: 'node:plan', 'app:deploy', 'deploy'

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
    error: invalid value 'localhost:80' for '--listen <ADDR>': not ADDR:PORT, :PORT or PORT, for example 127.0.0.1:8000

    For more information, try '--help'.
    ");
    assert_snapshot!(context.run(&["-C", "missing", "ps"]), @r"
    exit 64
    --- stderr
    error: `[TMP]/project/missing` is not a directory
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
    exit 64
    --- stderr
    error: nothing here yet
    hint: skep up    in an app's directory
    ");
    assert_snapshot!(context.run(&["rollback", "--json"]), @r#"
    exit 64
    --- stderr
    {"kind":"usage","message":"nothing here yet","hints":["skep up    in an app's directory"]}
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
    error: failed to open the directory `[TMP]/project/nowhere`
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
