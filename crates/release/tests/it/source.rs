//! Which files a build sees.

use std::fs;
use std::os::unix::fs::symlink;

use release::{BuildError, SourceError};
use report::Failure;

use crate::fixture::{Place, Source, app, data, identity};

fn paths(place: &Place, app: &app::model::App, source: &Source) -> Vec<String> {
    let plan = place.plan(app, source).unwrap();
    plan.source.entries.into_iter().map(|entry| entry.path).collect()
}

#[test]
fn git_says_which_files_and_the_app_file_has_the_last_word() {
    let place = Place::new();
    let source = Source::new();
    source.git(&["init", "--quiet"]);
    for path in ["app.py", "gone.py", "docs/a.md", "docs/b.md", "data.json"] {
        source.write(path, path);
    }
    source.write(".gitignore", "*.log\ndist/\n");
    source.git(&["add", "."]);
    source.git(&["commit", "--quiet", "-m", "x"]);
    let app = app("shop");
    let label = place.plan(&app, &source).unwrap().source_label();
    assert_eq!(label.len(), 7, "{label}");

    fs::remove_file(source.path().join("gone.py")).unwrap();
    source.write("new file.py", "");
    source.write("x.log", "");
    source.write("dist/app.js", "");
    source.write("__pycache__/x.pyc", "");
    source.write("env/pyvenv.cfg", "");
    symlink("/usr/bin/python3", source.path().join("env/python")).unwrap();
    symlink("../app.py", source.path().join("docs/link")).unwrap();
    assert_eq!(
        paths(&place, &app, &source),
        [".gitignore", "app.py", "data.json", "docs/a.md", "docs/b.md", "docs/link", "new file.py"]
    );
    let label = place.plan(&app, &source).unwrap().source_label();
    assert!(label.ends_with(" uncommitted"), "{label}");

    let mut app = app;
    app.build.include = vec!["dist".to_owned()];
    app.build.exclude = vec!["docs/*.md".to_owned(), "./.gitignore".to_owned()];
    app.data = vec![data("data.json")];
    assert_eq!(paths(&place, &app, &source), ["app.py", "dist/app.js", "docs/link", "new file.py"]);
}

#[test]
fn without_git_everything_but_what_tools_make() {
    let place = Place::new();
    let source = Source::new();
    for path in [
        "app.py",
        "pkg/node_modules/x/index.js",
        "pkg/__pycache__/x.pyc",
        "venv/pyvenv.cfg",
        "odd/pyvenv.cfg",
        "odd/bin/x",
        ".env.example",
    ] {
        source.write(path, "");
    }
    assert_eq!(paths(&place, &app("shop"), &source), [".env.example", "app.py"]);
    assert!(place.plan(&app("shop"), &source).unwrap().source_label().starts_with("files "));
}

#[test]
fn a_submodule_is_an_error_with_two_ways_out() {
    let place = Place::new();
    let library = Source::new();
    library.git(&["init", "--quiet"]);
    library.write("lib.py", "");
    library.git(&["add", "."]);
    library.git(&["commit", "--quiet", "-m", "x"]);
    let source = Source::new();
    source.git(&["init", "--quiet"]);
    source.git(&["submodule", "--quiet", "add", library.path().to_str().unwrap(), "vendor/lib"]);
    let mut app = app("shop");
    let error = place.plan(&app, &source).unwrap_err();
    assert!(matches!(&error, BuildError::Source(SourceError::Submodule(p)) if p == "vendor/lib"));
    assert_eq!(Failure::from(error).hints.len(), 2);
    app.build.exclude = vec!["vendor".to_owned()];
    assert_eq!(paths(&place, &app, &source), [".gitmodules"]);
}

#[test]
fn a_repositorys_own_configuration_is_not_run_as_root() {
    let release::Identity::User(user) = identity() else { return };
    let place = Place::new();
    let source = Source::new();
    source.git(&["init", "--quiet"]);
    source.write("app.py", "");
    // Whoever owns the tree could write this: git runs it to ask what has changed.
    let proof = source.path().join("proof");
    let hook = format!("id -u > {}; false", proof.display());
    source.git(&["config", "core.fsmonitor", &hook]);
    for entry in walkdir::WalkDir::new(source.path()) {
        let entry = entry.unwrap();
        std::os::unix::fs::lchown(entry.path(), Some(user.uid), Some(user.gid)).unwrap();
    }
    assert!(paths(&place, &app("shop"), &source).contains(&"app.py".to_owned()));
    if let Ok(uid) = fs::read_to_string(&proof) {
        assert_eq!(uid.trim(), user.uid.to_string());
    }
}

#[test]
fn an_edit_is_seen_however_fast_and_however_dated() {
    let place = Place::new();
    let source = Source::new();
    let app = app("shop");
    let mut digests = Vec::new();
    // Same length, and the same modification time set by hand.
    for text in ["one", "two", "six"] {
        source.write("app.py", text);
        let file = fs::File::options().write(true).open(source.path().join("app.py")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        for _ in 0..2 {
            digests.push(place.plan(&app, &source).unwrap().source.digest);
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 3);
}
