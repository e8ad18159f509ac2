//! The guide and the sample say what the code does.
//!
//! Generated parts are compared with the files; `SKEP_BLESS=1 cargo test -p nodes` rewrites them.

use std::path::PathBuf;

use nodes::schema::{Kind, sections};
use nodes::{Facts, Role, lint, parse, reference};
use toml_edit::{Document, TableLike};

const GUIDE: &str = "docs/guide/nodes-file.md";

/// What the guide shows the mistakes of.
const MISTAKEN: &str =
    "[web]\nrunlist = []\nrun_list = [\"recipe[nginx:site]\"]\nconverge = \"aply\"\n";

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// Returns the text of the first block of a language, and where it is.
fn block(guide: &str, language: &str) -> std::ops::Range<usize> {
    let opening = format!("\n```{language}\n");
    let start = guide.find(&opening).unwrap() + opening.len();
    let end = start + guide[start..].find("```").unwrap();
    start..end
}

#[test]
fn the_guide_is_up_to_date() {
    let mut guide = read(GUIDE);
    let nodes = parse("nodes.toml", &guide[block(&guide, "toml")]).unwrap();
    let role = Role::of(&nodes.group("web").unwrap(), &nodes.settings).unwrap().to_text();
    let errors = report::Failure::from(parse("nodes.toml", MISTAKEN).unwrap_err());
    for (language, text) in [("json", role), ("text", format!("{errors}\n"))] {
        let place = block(&guide, language);
        guide.replace_range(place, &text);
    }
    let opening = "<!-- keys: printed by crates/nodes/src/reference.rs -->\n";
    let (before, rest) = guide.split_once(opening).unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let guide = format!("{before}{opening}\n{}\n\n<!-- end -->{after}", reference::keys_markdown());
    if std::env::var_os("SKEP_BLESS").is_some() {
        std::fs::write(repository(GUIDE), &guide).unwrap();
    }
    assert!(read(GUIDE) == guide, "{GUIDE} is out of date: SKEP_BLESS=1 cargo test -p nodes");
}

#[test]
fn the_guide_names_every_rule_and_limit() {
    let guide = read(GUIDE);
    for rule in nodes::Rule::ALL {
        assert!(guide.contains(&format!("`{}`", rule.name())), "{}", rule.name());
    }
    for limit in [
        format!("{} KiB", nodes::MAX_FILE_BYTES / 1024),
        format!("{} levels", nodes::MAX_DEPTH),
        format!("{} groups", nodes::MAX_GROUPS),
        format!("{} characters", nodes::MAX_NAME_BYTES),
        format!("{} items", nodes::MAX_ITEMS),
    ] {
        assert!(guide.contains(&limit), "{limit}");
    }
}

#[test]
fn the_sample_is_read_and_says_what_it_says() {
    let nodes = parse("nodes.sample.toml", &read("docs/nodes.sample.toml")).unwrap();
    assert_eq!(nodes.names().collect::<Vec<_>>(), ["bee", "web"]);
    let (bee, web) = (nodes.group("bee").unwrap(), nodes.group("web").unwrap());
    assert_eq!(bee.autoscale().unwrap().node_max, 8);
    assert_eq!((bee.text("source_image"), bee.text("source_ami")), ("web", ""));
    assert_eq!(web.converge_every_ms(), Some(1_800_000));
    let runs: Vec<String> = web.run_list().iter().map(|step| step.item.to_string()).collect();
    assert_eq!(
        runs,
        ["recipe[base]", "recipe[nginx@1.2]", "recipe[service::www]", "recipe[service::collect]"]
    );
    assert_eq!(nodes.settings, nodes::Settings::default(), "it shows the defaults");
    assert!(nodes.stages.contains_key("staging"));
    assert!(lint(&nodes, &Facts::default()).is_empty());
}

#[test]
fn the_sample_shows_every_key() {
    let text = read("docs/nodes.sample.toml");
    let document = Document::parse(text.as_str()).unwrap();
    let root = document.as_table();
    let table = |path: &[&str]| -> &dyn TableLike {
        let mut table: &dyn TableLike = root;
        for key in path {
            table = table.get(key).unwrap().as_table_like().unwrap();
        }
        table
    };
    for (section, keys) in sections() {
        let found = match section {
            "[GROUP]" => vec![table(&["__base__"]), table(&["web"]), table(&["bee"])],
            "autoscale = { … }" => vec![table(&["bee", "autoscale"])],
            "[settings]" => vec![table(&["settings"])],
            "[stages.NAME]" => vec![table(&["stages", "staging"])],
            other => panic!("no such section: {other}"),
        };
        for key in keys {
            let shown = found.iter().any(|table| table.contains_key(key.name));
            assert!(shown, "{section} {} is not in the sample", key.name);
            if let Kind::Switched(nested) = key.kind {
                let listed = sections().iter().any(|(_, keys)| std::ptr::eq(*keys, nested));
                assert!(listed, "{} is not in the manual", key.name);
            }
        }
    }
}
