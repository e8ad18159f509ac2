//! Real directories.

use std::path::Path;

use app::model::{DataPath, Origin};
use app::{LoadError, MAX_FILE_BYTES, load};
use report::{Failure, Kind};

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("shop").tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

fn failure(directory: &Path) -> Failure {
    let failure = Failure::from(load(directory).unwrap_err());
    assert_eq!(failure.kind, Kind::Usage);
    failure
}

#[test]
fn the_app_file_comes_first_then_the_procfile_then_the_code() {
    let flask = [("requirements.txt", "flask\ngunicorn"), ("app.py", "app = Flask(__name__)")];
    let app_file = ("skep.toml", "app = \"a\"\nservices.web.command = \"gunicorn a\"");
    let mut files = vec![flask[0], flask[1]];
    assert_eq!(load(directory(&files).path()).unwrap().origin, Origin::Detected);
    files.push(("Procfile", "web: gunicorn b"));
    assert_eq!(load(directory(&files).path()).unwrap().origin, Origin::Procfile);
    files.push(app_file);
    assert_eq!(load(directory(&files).path()).unwrap().origin, Origin::AppFile);
}

#[test]
fn djangos_starter_layout_is_served_with_its_database_kept() {
    let directory = directory(&[
        ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')"),
        ("mysite/settings.py", "'NAME': BASE_DIR / 'db.sqlite3'"),
        ("mysite/wsgi.py", ""),
        ("requirements.txt", "Django\ngunicorn"),
    ]);
    let app = load(directory.path()).unwrap();
    assert_eq!(app.services["web"].command.text, "gunicorn mysite.wsgi");
    assert_eq!(app.data, [DataPath { path: "db.sqlite3".to_owned(), implied: true }]);
    assert_eq!(
        app.notes,
        [
            "Django: service `web` runs `gunicorn mysite.wsgi`",
            "Django: each release runs `python manage.py migrate --noinput` first",
            "`db.sqlite3` is kept as data: Django's default database",
        ]
    );
}

#[test]
fn a_directory_that_says_nothing_is_told_what_to_write() {
    let parent = directory(&[("my-shop/readme.md", "")]);
    let failure = failure(&parent.path().join("my-shop"));
    let shown = failure.to_string().replace(&parent.path().display().to_string(), "[dir]");
    insta::assert_snapshot!(shown, @r#"
error: `[dir]/my-shop` does not say what it runs: no `skep.toml`, no `Procfile`
  caused by: no starter layout that Skep knows (Flask, FastAPI or Starlette in `app.py`, `main.py`, `wsgi.py` or a package; Django's `manage.py`)
hint: write `skep.toml`:
  app = "my-shop"

  [services.web]
  command = "gunicorn my_shop.wsgi"
"#);
}

#[test]
fn a_framework_without_a_server_is_told_which_to_require() {
    let directory = directory(&[("app.py", "app = Flask(__name__)"), ("pyproject.toml", "flask")]);
    let shown = failure(directory.path()).to_string();
    let shown = shown.replace(&directory.path().display().to_string(), "[dir]");
    insta::assert_snapshot!(shown, @r#"
error: `[dir]` does not say what it runs: no `skep.toml`, no `Procfile`
  caused by: Flask in `app.py`, but no `gunicorn` in `pyproject.toml`
hint: add `gunicorn` to `pyproject.toml`
"#);
}

#[test]
fn files_that_are_no_plain_text_are_refused() {
    let directory = directory(&[]);
    let path = directory.path().join("skep.toml");
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    assert!(matches!(load(directory.path()), Err(LoadError::Read { .. })));
    assert_eq!(
        failure(directory.path()).causes,
        ["it is a symbolic link; a regular file is needed"]
    );

    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(failure(directory.path()).causes, ["it is not a regular file"]);

    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, b"app = \"x\"\n# \xff\n").unwrap();
    assert!(matches!(load(directory.path()), Err(LoadError::NotText { line: 2, .. })));

    std::fs::write(&path, "#".repeat(MAX_FILE_BYTES as usize + 1)).unwrap();
    assert!(matches!(load(directory.path()), Err(LoadError::TooLarge { .. })));

    assert!(matches!(load(&directory.path().join("none")), Err(LoadError::Directory { .. })));
}

#[test]
fn a_named_pipe_does_not_block() {
    let directory = directory(&[]);
    let path = directory.path().join("skep.toml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert_eq!(failure(directory.path()).causes, ["it is not a regular file"]);
}
