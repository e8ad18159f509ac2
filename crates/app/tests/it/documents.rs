//! The manual, the sample and the schema say what the code does.
//!
//! Generated parts are compared with the files; `SKEP_BLESS=1 cargo test -p app` rewrites them.

use std::path::PathBuf;

use app::model::{Listen, Ready};
use app::schema::{Kind, sections};
use app::{Layout, parse, reference};
use toml_edit::{Document, TableLike};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn sample() -> String {
    std::fs::read_to_string(repository("docs/skep.sample.toml")).unwrap()
}

/// Asserts that a file holds `expected`, or writes it when asked to.
fn assert_file(path: &str, expected: &str) {
    let path = repository(path);
    if std::env::var_os("SKEP_BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is out of date: SKEP_BLESS=1 cargo test -p app", path.display());
}

#[test]
fn the_schema_is_the_key_table() {
    assert_file("schema/skep.schema.json", &reference::json_schema());
}

#[test]
fn the_manual_has_the_tables() {
    let mut manual = std::fs::read_to_string(repository("docs/app-file.md")).unwrap();
    for (name, table) in [
        ("keys", reference::keys_markdown()),
        ("servers", reference::servers_markdown()),
        ("variables", reference::variables_markdown()),
    ] {
        let opening = format!("<!-- {name}: printed by crates/app/src/reference.rs -->\n");
        let (before, rest) = manual.split_once(&opening).unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        manual = format!("{before}{opening}\n{table}\n\n<!-- end -->{after}");
    }
    assert_file("docs/app-file.md", &manual);
}

#[test]
fn the_manuals_mistakes_are_what_is_printed() {
    let text = "app = \"shop\"\n\n[services.web]\ncomand = \"gunicorn shop.wsgi\"\nstop_grace = 30\n\
                command = \"gunicorn shop.wsgi\"\n";
    let errors = parse("skep.toml", text, &Layout::new("shop")).unwrap_err();
    let shown = report::Failure::from(errors).to_string();
    let manual = std::fs::read_to_string(repository("docs/app-file.md")).unwrap();
    assert!(manual.contains(&shown), "{shown}");
}

#[test]
fn the_sample_is_read_and_says_what_it_says() {
    let app = parse("skep.sample.toml", &sample(), &Layout::new("x")).unwrap();
    assert_eq!(app.name, "shop");
    let web = &app.services["web"];
    assert_eq!((web.listen, web.ready, web.processes), (Listen::Fd, Ready::Http, 2));
    assert_eq!((web.idle_ms, web.in_flight), (1000, 64));
    let queue = &app.services["queue"];
    assert_eq!((queue.listen, queue.ready), (Listen::None, Ready::StaysUp(5000)));
    assert_eq!(app.services["live"].listen, Listen::Fixed(5200));
    assert!(app.env["SECRET_KEY"].secret);
    assert!(app.notes.is_empty(), "{:?}", app.notes);
}

/// Where the sample shows a default, it is the default.
#[test]
fn the_samples_defaults_are_the_defaults() {
    let app = parse("skep.sample.toml", &sample(), &Layout::new("x")).unwrap();
    let bare = parse(
        "skep.toml",
        "app = \"shop\"\nservices.web.command = \"gunicorn --threads 4 shop.wsgi\"",
        &Layout::new("x"),
    )
    .unwrap();
    let (mut shown, plain) = (app.services["web"].clone(), bare.services["web"].clone());
    shown.processes = plain.processes;
    shown.hosts.clone_from(&plain.hosts);
    shown.health.clone_from(&plain.health);
    shown.user.clone_from(&plain.user);
    shown.open_files = plain.open_files;
    shown.env.clone_from(&plain.env);
    assert_eq!(shown, plain);
    assert_eq!(app.deploy, bare.deploy);
    assert_eq!(app.build.timeout_ms, bare.build.timeout_ms);
    assert_eq!(app.release.timeout_ms, bare.release.timeout_ms);
}

#[test]
fn the_sample_shows_every_key() {
    let text = sample();
    let document = Document::parse(text.as_str()).unwrap();
    let root = document.as_table();
    let tables = |name: &str| -> Vec<&dyn TableLike> {
        let parent = root.get(name).and_then(|item| item.as_table_like()).unwrap();
        parent.iter().filter_map(|(_, item)| item.as_table_like()).collect()
    };
    let one = |name: &str| vec![root.get(name).and_then(|item| item.as_table_like()).unwrap()];
    for (section, keys) in sections() {
        let found = match section {
            "top level" => vec![root as &dyn TableLike],
            "[build]" => one("build"),
            "[release]" => one("release"),
            "[deploy]" => one("deploy"),
            "[env] NAME = { … }" => tables("env"),
            "[services.NAME]" => tables("services"),
            other => panic!("no such section: {other}"),
        };
        for key in keys {
            assert!(
                found.iter().any(|table| table.contains_key(key.name)),
                "{section} {} is not in the sample",
                key.name
            );
        }
    }
}

/// A section that the key table nests but `sections` leaves out would be missing in the manual.
#[test]
fn every_named_section_of_the_table_is_listed() {
    fn nested(keys: &'static [app::schema::Key], found: &mut usize) {
        *found += 1;
        for key in keys {
            if let Kind::Table(keys) | Kind::Named(keys) | Kind::Variables(keys) = key.kind {
                nested(keys, found);
            }
        }
    }
    let mut found = 0;
    nested(app::schema::APP_FILE, &mut found);
    assert_eq!(found, sections().len());
}
