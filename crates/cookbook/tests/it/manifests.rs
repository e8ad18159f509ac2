//! `cookbook.toml` and `cookbooks.toml`: what is right, and how mistakes are told.

use cookbook::{Source, parse_manifest, parse_sources};
use insta::assert_snapshot;
use proptest::prelude::*;
use report::Failure;

fn wrong(text: &str) -> String {
    let errors = parse_manifest("cookbooks/web/cookbook.toml", text).unwrap_err();
    Failure::from(errors).to_string()
}

fn wrong_sources(text: &str) -> String {
    Failure::from(parse_sources(text).unwrap_err()).to_string()
}

#[test]
fn a_manifest_is_read() {
    let manifest = parse_manifest(
        "cookbook.toml",
        "name = \"web\"\nversion = \"1.2\"\n[dependencies]\nbase = \"~> 1.0\"\n",
    );
    let manifest = manifest.unwrap();
    assert_eq!((manifest.name.as_str(), manifest.version.to_string()), ("web", "1.2.0".to_owned()));
    assert_eq!(manifest.dependencies["base"].requirement.to_string(), "~> 1.0");
    assert_eq!(manifest.dependencies["base"].origin.position.line, 4);
}

#[test]
fn all_mistakes_of_a_manifest_are_told_at_once() {
    assert_snapshot!(wrong(
        "nam = \"web\"\nversion = \"1\"\ndescription = 5\n[dependencies]\n\
         base = \"1.2\"\nweb = \"*\"\n\"a b\" = \"*\"\nnginx = \">= 1, >< 2\"\n"
    ), @r#"
    error: `cookbooks/web/cookbook.toml` has 7 errors
     --> cookbooks/web/cookbook.toml:1:1
      |
    1 | nam = "web"
      | ^^^ unknown key in a cookbook; did you mean `name`?
     --> cookbooks/web/cookbook.toml:1:1
      |
    1 | nam = "web"
      | ^ `name` of a cookbook is missing
     --> cookbooks/web/cookbook.toml:2:12
      |
    2 | version = "1"
      |            ^ expected a version of two or three numbers, such as `1.2.0`
     --> cookbooks/web/cookbook.toml:3:15
      |
    3 | description = 5
      |               ^ expected a string, found a number
     --> cookbooks/web/cookbook.toml:5:9
      |
    5 | base = "1.2"
      |         ^^^ write `= 1.2` for this one, or `~> 1.2` for those like it
     --> cookbooks/web/cookbook.toml:7:1
      |
    7 | "a b" = "*"
      | ^^^^^ ' ' in a name; it has letters, digits, `_`, `-` and `.`
     --> cookbooks/web/cookbook.toml:8:16
      |
    8 | nginx = ">= 1, >< 2"
      |                ^^^^ expected a requirement such as `~> 1.2`, `>= 1.2` or `*`
    "#);
    assert_snapshot!(wrong("name = \"web\"\nname = \"x\"\n"), @r#"
    error: `cookbooks/web/cookbook.toml` has 1 error
     --> cookbooks/web/cookbook.toml:2:1
      |
    2 | name = "x"
      | ^^^^ duplicate key
    "#);
    assert_snapshot!(wrong("name = \"web\"\nversion = \"1.0\"\ndependencies = [\"base\"]\n"), @r#"
    error: `cookbooks/web/cookbook.toml` has 1 error
     --> cookbooks/web/cookbook.toml:3:16
      |
    3 | dependencies = ["base"]
      |                ^^^^^^^^ expected a dict: names of cookbooks, found a list
    "#);
}

#[test]
fn sources_are_read_as_they_are_written_in_the_lock() {
    let file = parse_sources(
        "[sources]\na = { path = \"../a\" }\nb = { git = \"https://x/b.git\" }\n\
         c = { git = \"https://x/c.git\", branch = \"main\", directory = \"c\", deploy_key = \"k\" }\n\
         [overrides]\nb = { path = \"../b\" }\n",
    );
    let file = file.unwrap();
    let shown = |name: &str| file.sources[name].source.to_string();
    assert_eq!(shown("a"), "path ../a");
    assert_eq!(shown("b"), "git https://x/b.git");
    assert_eq!(shown("c"), "git https://x/c.git at main in c");
    assert_eq!(file.overrides["b"].source, Source::Path("../b".to_owned()));
}

#[test]
fn mistakes_of_sources_are_told() {
    assert_snapshot!(wrong_sources(
        "[source]\n[sources]\na = { path = \"../a\", git = \"x\" }\nb = {}\n\
         c = { path = \"../c\", tag = \"v1\" }\nd = { git = \"--upload-pack=x\" }\n\
         e = { git = \"x\", tag = \"1\", branch = \"b\" }\nf = { git = \"x\", directory = \"../f\" }\n\
         g = \"../g\"\n"
    ), @r#"
    error: `cookbooks.toml` has 8 errors
     --> cookbooks.toml:1:2
      |
    1 | [source]
      |  ^^^^^^ unknown key in sources of cookbooks; did you mean `sources`?
     --> cookbooks.toml:3:22
      |
    3 | a = { path = "../a", git = "x" }
      |                      ^^^ a source has `path` or `git`, not both
     --> cookbooks.toml:4:1
      |
    4 | b = {}
      | ^ a source has `path` or `git`
     --> cookbooks.toml:5:22
      |
    5 | c = { path = "../c", tag = "v1" }
      |                      ^^^ only a source with `git` has this
     --> cookbooks.toml:6:13
      |
    6 | d = { git = "--upload-pack=x" }
      |             ^^^^^^^^^^^^^^^^^ this cannot be `git`
     --> cookbooks.toml:7:1
      |
    7 | e = { git = "x", tag = "1", branch = "b" }
      | ^ one of `tag`, `branch` and `revision`
     --> cookbooks.toml:8:18
      |
    8 | f = { git = "x", directory = "../f" }
      |                  ^^^^^^^^^ expected a path below the root of the git repository
     --> cookbooks.toml:9:5
      |
    9 | g = "../g"
      |     ^^^^^^ expected a dict: a source, found a string
    "#);
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "(name|version|\\[sources\\]|\\[dependencies\\]|=|\"|1\\.2|~>|git|\n| ){0,30}") {
        cookbook::fuzz_cookbook_toml(text.as_bytes());
        cookbook::fuzz_cookbooks_toml(text.as_bytes());
        cookbook::fuzz_cookbooks_lock(text.as_bytes());
    }
}
