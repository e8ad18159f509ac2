//! What a build makes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use release::{Artifact, ArtifactError, BuildEvent, Identity, switch_current};

use crate::fixture::{Place, REQUIREMENT, Source, app, data, identity};

fn installed_anything(events: &[BuildEvent]) -> bool {
    events.iter().any(
        |event| matches!(event, BuildEvent::Started { what } if what.starts_with("environment")),
    )
}

/// Runs a program of the artifact as the app's user, with nothing in its environment.
fn run(artifact: &Artifact, program: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&artifact.code_directory).env_clear();
    if let Identity::User(user) = identity() {
        command.uid(user.uid).gid(user.gid);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_code_change_installs_nothing_and_no_change_builds_nothing() {
    let place = Place::new();
    let source = Source::new();
    source.write("requirements.txt", REQUIREMENT);
    source.write("wsgi.py", "VALUE = 1\ndef fail():\n    raise RuntimeError\n");
    let app = app("shop");

    let plan = place.plan(&app, &source).unwrap();
    assert!(plan.existing.is_none());
    assert!(plan.lines[0].starts_with("environment from requirements.txt with Python 3"));
    let (first, events) = place.build(&app, &source).unwrap();
    assert!(installed_anything(&events));
    assert_eq!(place.leftovers("shop"), [""; 0]);
    first.verify().unwrap();

    let plan = place.plan(&app, &source).unwrap();
    assert_eq!(plan.existing.as_ref(), Some(&first));
    assert!(plan.lines[0].ends_with("was built before: nothing to build"), "{:?}", plan.lines);

    source.write("wsgi.py", "VALUE = 2\n");
    let (second, events) = place.build(&app, &source).unwrap();
    assert!(!installed_anything(&events), "{events:?}");
    assert_ne!(second.id, first.id);
    assert_eq!(second.environment, first.environment);
    let python = second.python.clone().unwrap();
    assert_eq!(run(&second, &python, &["-c", "import wsgi; print(wsgi.VALUE)"]), "2\n");

    // Scripts find their interpreter although the environment was renamed into place.
    let script = second.environment.as_ref().unwrap().bin_directory.join("gunicorn");
    assert!(run(&second, &script, &["--version"]).contains("23.0.0"));

    // Tracebacks name the artifact, not the stage.
    let code = "import wsgi, traceback\ntry: wsgi.fail()\nexcept RuntimeError: print(traceback.format_exc())";
    let traceback = run(&first, &python, &["-c", code]);
    assert!(traceback.contains(first.code_directory.to_str().unwrap()), "{traceback}");
    // Bytecode is there and is what is used: nothing could be written, and mtimes do not matter.
    assert!(
        run(&first, &python, &["-c", "import wsgi; print(wsgi.__cached__)"])
            .contains("__pycache__")
    );
    let cached = fs::read_dir(first.code_directory.join("__pycache__")).unwrap().next().unwrap();
    let header = fs::read(cached.unwrap().path()).unwrap();
    assert_eq!(header[4..8], [1, 0, 0, 0], "unchecked hash, PEP 552");

    for artifact in [&first, &second] {
        switch_current(&place.home, artifact).unwrap();
        let current = place.home.current("shop").canonicalize().unwrap();
        assert_eq!(current, artifact.directory.canonicalize().unwrap());
        assert!(current.join("environment/bin/gunicorn").exists());
    }
}

#[test]
fn an_artifact_is_nobodys_to_change() {
    let place = Place::new();
    let source = Source::new();
    source.write("requirements.txt", REQUIREMENT);
    source.write("app.py", "");
    source.write("tool", "#!/bin/sh\n");
    fs::set_permissions(source.path().join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    let (artifact, _) = place.build(&app("shop"), &source).unwrap();

    let mine = rustix::process::geteuid().as_raw();
    let environment = artifact.environment.clone().unwrap();
    for root in [&artifact.directory, &environment.directory] {
        for entry in walkdir::WalkDir::new(root) {
            let entry = entry.unwrap();
            let found = entry.path().symlink_metadata().unwrap();
            assert_eq!(found.uid(), mine, "{}", entry.path().display());
            if !found.is_symlink() {
                assert_eq!(found.mode() & 0o222, 0, "{}", entry.path().display());
            }
            if found.is_file() {
                assert_eq!(found.nlink(), 1, "{}", entry.path().display());
            }
        }
    }
    assert_eq!(artifact.code_directory.join("tool").metadata().unwrap().mode() & 0o777, 0o555);
    if mine == 0 {
        let text = run(
            &artifact,
            Path::new("/bin/sh"),
            &[
                "-c",
                "echo x 2>/dev/null > new || echo x 2>/dev/null > app.py || rm -f tool 2>/dev/null || echo refused",
            ],
        );
        assert_eq!(text, "refused\n");
    }

    let file = artifact.code_directory.join("app.py");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "changed").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let Err(ArtifactError::Changed { differences, .. }) = artifact.verify() else { panic!() };
    assert_eq!(differences[0].to_string(), "app.py has another length");
}

#[test]
fn the_same_inputs_give_the_same_ids_in_another_home() {
    let source = Source::new();
    source.write("requirements.txt", &format!(".\n{REQUIREMENT}"));
    source.write(
        "pyproject.toml",
        "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n",
    );
    source
        .write("setup.cfg", "[metadata]\nname = shop\nversion = 1\n[options]\npy_modules = shop\n");
    source.write("shop.py", "NAMES = {'a', 'b', 'c'}\ndef f(x): return x in {'d', 'e', 'f'}\n");
    let app = app("shop");
    let [first, second] = [Place::new(), Place::new()].map(|place| {
        let (artifact, _) = place.build(&app, &source).unwrap();
        (artifact.id, artifact.environment.clone().unwrap().id, artifact.manifest().unwrap())
    });
    assert_eq!(first, second);
}

/// uv and build backends cache a project that is required by its path; a fresh copy is always new.
#[test]
fn an_edit_of_a_project_required_as_dot_is_in_the_next_artifact() {
    let place = Place::new();
    let source = Source::new();
    source.write("requirements.txt", "-e .\n");
    source.write(
        "setup.py",
        "from setuptools import setup\nsetup(name='shop', version='1', py_modules=['shop'])\n",
    );
    let app = app("shop");
    let mut ids = Vec::new();
    for value in ["1", "2", "3"] {
        source.write("shop.py", &format!("VALUE = {value}\n"));
        let plan = place.plan(&app, &source).unwrap();
        assert!(
            plan.lines[1].starts_with("requirements.txt asks for \"-e .\""),
            "{:?}",
            plan.lines
        );
        let (artifact, _) = place.build(&app, &source).unwrap();
        let environment = artifact.environment.clone().unwrap();
        // Isolated: what is imported is what is installed, not what lies in the directory.
        let code = "import shop; print(shop.VALUE, shop.__file__)";
        let text = run(&artifact, &environment.python, &["-I", "-c", code]);
        assert!(text.starts_with(value) && text.contains("/site-packages/"), "{text}");
        assert!(environment.has_var);
        let var = fs::read_link(environment.prefix.join("var")).unwrap();
        assert_eq!(var, place.home.data("shop").join("env-var"));
        ids.push(environment.id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_lock_installs_what_it_locks_without_development_groups() {
    let place = Place::new();
    let source = Source::new();
    source.write(
        "pyproject.toml",
        "[project]\nname = \"shop\"\nversion = \"1\"\nrequires-python = \">=3.9\"\n\
         dependencies = [\"packaging\"]\n[dependency-groups]\ndev = [\"iniconfig\"]\n",
    );
    source.write("app.py", "");
    let status = Command::new(place.tools.uv())
        .args(["lock", "--quiet", "--no-cache", "--python", "/usr/bin/python3"])
        .env("UV_SYSTEM_CERTS", "1")
        .current_dir(source.path())
        .status()
        .unwrap();
    assert!(status.success());
    let (artifact, _) = place.build(&app("shop"), &source).unwrap();
    let names = installed(&artifact);
    assert_eq!(names, ["packaging"]);
    assert!(!artifact.environment.unwrap().has_var);
}

fn installed(artifact: &Artifact) -> Vec<String> {
    let lib = artifact.environment.as_ref().unwrap().prefix.join("lib");
    let mut names: Vec<String> = walkdir::WalkDir::new(lib)
        .min_depth(3)
        .max_depth(3)
        .into_iter()
        .filter_map(|entry| entry.unwrap().file_name().to_str().map(str::to_owned))
        .filter_map(|name| Some(name.split_once(".dist-info")?.0.split('-').next()?.to_owned()))
        .collect();
    names.sort();
    names
}

#[test]
fn steps_run_in_the_code_with_the_environment_first_and_their_output_is_kept() {
    let place = Place::new();
    let source = Source::new();
    source.write("requirements.txt", REQUIREMENT);
    source.write("static/site.scss", "a{}");
    let mut app = app("shop");
    app.env.insert(
        "THEME".to_owned(),
        app::model::Variable { value: Some("dark".to_owned()), ..Default::default() },
    );
    app.build.steps = vec![
        "mkdir static/out && command -v gunicorn > static/out/where".to_owned(),
        "echo \"$THEME $(pwd) $(id -u) ${DATABASE_URL-none}\"; echo to stderr >&2".to_owned(),
    ];
    let (artifact, events) = place.build(&app, &source).unwrap();
    let environment = artifact.environment.clone().unwrap();
    let place_of = fs::read_to_string(artifact.code_directory.join("static/out/where")).unwrap();
    assert_eq!(Path::new(place_of.trim()), environment.bin_directory.join("gunicorn"));
    let lines: Vec<&String> = events
        .iter()
        .filter_map(|event| if let BuildEvent::Line(line) = event { Some(line) } else { None })
        .collect();
    let uid = match identity() {
        Identity::User(user) => user.uid,
        Identity::Same => rustix::process::geteuid().as_raw(),
    };
    let said = lines.iter().position(|line| line.starts_with("dark ")).unwrap();
    assert!(lines[said].ends_with(&format!("/code {uid} none")), "{}", lines[said]);
    assert_eq!(lines[said + 1], "to stderr");
    let logs: Vec<_> = fs::read_dir(place.home.build_logs("shop")).unwrap().collect();
    let log = fs::read_to_string(logs[0].as_ref().unwrap().path()).unwrap();
    assert!(log.contains("to stderr"));
}

#[test]
fn data_is_a_link_and_what_a_build_writes_there_is_not_kept() {
    let place = Place::new();
    let source = Source::new();
    source.write("app.py", "");
    source.write("media/old.jpg", "jpg");
    source.write("db.sqlite3-wal", "wal");
    let mut app = app("shop");
    app.data = vec![data("media"), data("db.sqlite3"), data("var/cache")];
    app.build.steps = vec!["test ! -e media && mkdir media && touch media/new".to_owned()];
    let (artifact, events) = place.build(&app, &source).unwrap();
    for path in ["media", "db.sqlite3", "var/cache"] {
        let target = fs::read_link(artifact.code_directory.join(path)).unwrap();
        assert_eq!(target, place.home.data("shop").join(path));
    }
    assert!(!artifact.code_directory.join("db.sqlite3-wal").exists());
    let notice = BuildEvent::Notice(
        "the build wrote to media, which is data: what it wrote is not kept".to_owned(),
    );
    assert!(events.contains(&notice), "{events:?}");
    // No path of this installation is in the manifest.
    let manifest = fs::read_to_string(artifact.directory.join("manifest")).unwrap();
    assert!(manifest.contains("\ndata media media\n"));
    assert!(!manifest.contains(place.root().to_str().unwrap()));
    artifact.verify().unwrap();
}

#[test]
fn an_app_without_dependencies_has_no_environment() {
    let place = Place::new();
    let source = Source::new();
    source.write("run.sh", "#!/bin/sh\n");
    let (artifact, events) = place.build(&app("plain"), &source).unwrap();
    assert_eq!((artifact.environment, artifact.python), (None, None));
    assert!(!installed_anything(&events));

    source.write("server.py", "");
    let (artifact, _) = place.build(&app("plain"), &source).unwrap();
    assert!(artifact.environment.is_none() && artifact.python.is_some());
}

#[test]
fn node_modules_are_installed_from_the_lock_in_the_code() {
    let place = Place::new();
    let source = Source::new();
    source.write("package.json", r#"{"name":"web","version":"1.0.0"}"#);
    source.write(
        "package-lock.json",
        r#"{"name":"web","version":"1.0.0","lockfileVersion":3,"requires":true,
            "packages":{"":{"name":"web","version":"1.0.0"}}}"#,
    );
    let result = place.build(&app("web"), &source);
    if ["/usr/bin/npm", "/usr/local/bin/npm"].iter().any(|npm| Path::new(npm).exists()) {
        let (_, events) = result.unwrap();
        assert!(events.contains(&BuildEvent::Started { what: "npm ci".to_owned() }));
    } else {
        assert!(matches!(result, Err(release::BuildError::NoNpm)));
    }
}
