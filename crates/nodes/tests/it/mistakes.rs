//! What is refused, where, and in which words.

use nodes::{MAX_GROUPS, parse, parse_role};

/// Returns `line:column label` of every problem.
fn problems(file: &str, text: &str) -> Vec<String> {
    let errors = match file.starts_with("roles/") {
        true => parse_role(file, text).map(|_| ()).unwrap_err(),
        false => parse(file, text).map(|_| ()).unwrap_err(),
    };
    let line =
        |e: &report::Excerpt| format!("{}:{} {}", e.position.line, e.position.column, e.label);
    errors.excerpts.iter().map(line).collect()
}

#[test]
fn a_mistake_is_shown_with_a_caret() {
    let errors = parse(
        "nodes.json",
        "{\n  \"web\": {\n    \"runlist\": [],\n    \"run_list\": [\"recipe[nginx:site]\"]\n  }\n}\n",
    );
    insta::assert_snapshot!(report::Failure::from(errors.unwrap_err()), @r#"
    error: `nodes.json` has 2 errors
     --> nodes.json:3:5
      |
    3 |     "runlist": [],
      |     ^^^^^^^^^ unknown key in group `web`; did you mean `run_list`?
     --> nodes.json:4:31
      |
    4 |     "run_list": ["recipe[nginx:site]"]
      |                               ^ a recipe is written `cookbook::name`
    "#);
}

#[test]
fn values_are_held_to_the_schema() {
    for (text, expected) in [
        ("region = 1", "1:10 expected a string; write `\"1\"`"),
        ("region = [\"eu\"]", "1:10 expected a string, found a list"),
        ("region = \"a\\nb\"", "1:10 holds the control character '\\n'"),
        ("security_groups = \"a\"", "1:19 expected a list; put it in `[` `]`"),
        ("security_groups = 1", "1:19 expected a list of strings, found a number"),
        ("security_groups = [1]", "1:20 expected a string, found a number"),
        (
            "run_list = true",
            "1:12 expected a list of items such as `recipe[nginx]`, found a boolean",
        ),
        ("run_list = [\"roles[a]\"]", "1:14 did you mean `role[…]`?"),
        ("run_list = [\"r\\u0065cipe[a\"]", "1:13 `]` is missing"),
        ("default_attributes = []", "1:22 expected a dict, found a list"),
        ("converge = \"aply\"", "1:12 did you mean `\"apply\"`?"),
        ("converge = \"x\"", "1:12 expected one of `\"apply\"`, `\"plan\"`, `\"off\"`"),
        (
            "converge = false",
            "1:12 expected one of `\"apply\"`, `\"plan\"`, `\"off\"`, found a boolean",
        ),
        ("converge_every = 30", "1:18 `30` has no unit; write `\"30s\"`"),
        ("converge_every = \"30s\"", "1:18 must be at least `1m`"),
        ("converge_every = false", "1:18 expected a duration such as `\"30m\"`, found a boolean"),
        (
            "autoscale = true",
            "1:13 expected `false` or a dict with timeout, node_min, node_max, found a boolean",
        ),
        (
            "autoscale = { node_mn = 1 }",
            "1:15 unknown key in `autoscale`; did you mean `node_min`?",
        ),
        ("autoscale = { node_min = -1 }", "1:26 expected a whole number from 0 to 10000"),
        ("autoscale = { node_min = \"2\" }", "1:26 expected a whole number, found a string"),
        ("autoscale = { node_min = 2 }", "1:13 `timeout` and `node_max` of `autoscale` is missing"),
        (
            "autoscale = { timeout = 9, node_min = 2, node_max = 1 }",
            "1:53 `node_max` is below `node_min`",
        ),
        ("packer = \"yes\"", "1:10 expected `true`, `false` or a dict, found a string"),
        ("source_image = \"webb\"", "1:16 no such group; did you mean `web`?"),
        ("source_image = \"x\"", "1:16 no such group"),
        ("source_image = \"web\"", "1:16 the image of `web` would start from itself"),
        ("default_attributes.at = 2020-01-01", "1:25 JSON has no dates; write it as a string"),
        ("default_attributes.at = nan", "1:25 JSON has no `inf` and no `nan`"),
        ("colour = 1", "1:1 unknown key in group `web`"),
    ] {
        let found: Vec<String> = problems("nodes.toml", &format!("[web]\n{text}\n"))
            .iter()
            .map(|problem| problem.replacen("2:", "1:", 1))
            .collect();
        assert_eq!(found, [expected], "{text}");
    }
}

#[test]
fn what_is_wrong_with_the_file_itself() {
    for (file, text, expected) in [
        ("nodes.json", "", "1:1 not JSON: EOF while parsing a value"),
        ("nodes.json", "[]", "1:1 expected a dict of groups, found a list"),
        ("nodes.json", "{\"web\": {},}", "1:12 not JSON: trailing comma"),
        ("nodes.json", "{\n // x\n}", "2:2 not JSON: key must be a string"),
        (
            "nodes.json",
            "{\"web\": {\"region\": \"a\tb\"}}",
            "1:22 not JSON: control character (\\u0000-\\u001F) found while parsing a string",
        ),
        ("nodes.json", "{\u{a0}}", "1:2 not JSON: key must be a string"),
        ("nodes.json", "{\"web\": {}, \"web\": {}}", "1:13 this key is there twice"),
        (
            "nodes.json",
            "{\"a\": {\"region\": \"\\ud800\"}}",
            "1:25 not JSON: unexpected end of hex escape",
        ),
        (
            "nodes.json",
            "{\"a\": {\"default_attributes\": {\"n\": 18446744073709551616}}}",
            "1:36 a whole number beyond 64 bits; write it as a string",
        ),
        ("nodes.json", "{\"a\": {\"description\": null}}", "1:23 expected a string, found null"),
        ("nodes.json", "{\"a\": []}", "1:7 expected a dict: `a` is a group, found a list"),
        ("nodes.json", "{\"a/b\": {}}", "1:2 '/' in a name; it has letters, digits, `_` and `-`"),
        ("nodes.json", "{\"__bse__\": {}}", "1:2 did you mean `__base__`?"),
        ("nodes.toml", "[web]\n[web]", "2:2 duplicate key"),
        ("nodes.toml", "[web]\nregion = \"a\"\nregion = \"b\"", "3:1 duplicate key"),
        ("nodes.toml", "[settings]\nmerge = \"dep\"\n", "2:9 did you mean `\"deep\"`?"),
        (
            "nodes.toml",
            "[settings]\nrole_prefix = \"a.\"\n",
            "2:15 Chef takes letters, digits, `_` and `-` in the name of a role",
        ),
        ("nodes.toml", "[stages.a]\nrun_list = []\n", "2:1 unknown key in stage `a`"),
        ("nodes.toml", "[stages]\na = 1\n", "2:5 expected a dict: `a` is a stage, found a number"),
        (
            "nodes.toml",
            "[a]\nsource_image = \"b\"\n[b]\nsource_image = \"a\"\nsource_ami = \"x\"\n",
            "5:1 a group has `source_ami` or `source_image`, not both",
        ),
    ] {
        assert_eq!(problems(file, text), [expected], "{text}");
    }
    let cycle = problems("nodes.toml", "[a]\nsource_image = \"b\"\n[b]\nsource_image = \"a\"\n");
    assert_eq!(cycle.len(), 2, "{cycle:?}");
}

#[test]
fn what_is_inherited_is_told_once() {
    let text = "__base__.autoscale = { timeout = 1 }\n[a]\n[b]\n[c]\nautoscale = false\n";
    assert_eq!(
        problems("nodes.toml", text),
        ["1:22 `node_min` and `node_max` of `autoscale` is missing"]
    );
}

#[test]
fn there_may_not_be_too_many_groups() {
    let text: String = (0..=MAX_GROUPS).map(|number| format!("[g{number}]\n")).collect();
    assert_eq!(problems("nodes.toml", &text), [format!("1:1 more than {MAX_GROUPS} groups")]);
}

#[test]
fn roles_of_others_are_read_strictly() {
    for (text, expected) in [
        ("{}", "1:1 `name` is missing"),
        (
            "{\"name\": \"a.b\"}",
            "1:10 Chef takes letters, digits, `_` and `-` in the name of a role",
        ),
        ("{\"name\": \"a\", \"chef_type\": \"node\"}", "1:28 expected `\"role\"`"),
        (
            "{\"name\": \"a\", \"runlist\": []}",
            "1:15 Chef ignores this key; did you mean `run_list`?",
        ),
        ("{\"name\": \"a\", \"recipes\": []}", "1:15 an old spelling; call it `run_list`"),
        ("{\"name\": \"a\", \"run_list\": [\"Role[b]\"]}", "1:29 did you mean `role[…]`?"),
        ("{\"name\": \"a\", \"description\": 1}", "1:30 expected a string, found a number"),
        ("{\"name\": \"a\", \"default_attributes\": []}", "1:37 expected a dict, found a list"),
        (
            "{\"name\": \"a\", \"env_run_lists\": {\"_default\": []}}",
            "1:33 Chef puts this one in place of `run_list`",
        ),
    ] {
        assert_eq!(problems("roles/a.json", text), [expected], "{text}");
    }
}
