//! Data paths: what the user names, and what known starter layouts imply.
//!
//! A release is read-only to its app and replaced as a whole, so a database beside the code would
//! fail, or begin empty with each release. Flask's and Django's starter layouts put theirs exactly
//! there; [`STARTERS`] says how each is recognised and what of it is kept. What is implied is said
//! in the app's notes, and never contradicts what the user names.

use crate::layout::Layout;
use crate::model::DataPath;
use crate::problem::Problems;
use crate::reader::{Spanned, is_plain};

/// Files of the top level that are code or Skep's own, whatever the user says.
const NEVER_DATA: &[&str] =
    &["skep.toml", "Procfile", ".git", "pyproject.toml", "requirements.txt"];

/// A starter layout that keeps data beside its code.
struct Starter {
    /// Returns the path that is data, if the layout is this one.
    path: fn(&Layout) -> Option<String>,
    /// Whose it is.
    whose: &'static str,
}

const STARTERS: &[Starter] = &[
    Starter { path: flask_instance, whose: "Flask's instance folder" },
    Starter { path: django_sqlite, whose: "Django's default database" },
    Starter { path: django_media, whose: "Django's MEDIA_ROOT" },
];

/// Checks the user's data paths and adds those that the layout implies.
pub(crate) fn read(
    named: &[Spanned<String>],
    layout: &Layout,
    problems: &Problems,
    notes: &mut Vec<String>,
) -> Vec<DataPath> {
    let mut paths: Vec<DataPath> = Vec::new();
    for text in named {
        let checked = normalise(&text.value).map_err(str::to_owned);
        let checked = checked.and_then(|path| match refusal(&path, &paths, layout) {
            Some(label) => Err(label),
            None => Ok(path),
        });
        match checked {
            Ok(path) => paths.push(DataPath { path, implied: false }),
            Err(label) => problems.add(text.span.clone(), label),
        }
    }
    for starter in STARTERS {
        let Some(path) = (starter.path)(layout) else { continue };
        if paths.iter().any(|other| overlap(&path, &other.path)) {
            continue;
        }
        notes.push(format!("`{path}` is kept as data: {}", starter.whose));
        paths.push(DataPath { path, implied: true });
    }
    if uses_flask(layout) && is_package(layout) {
        notes.push(
            "the environment's `var` is kept as data: Flask's instance folder of installed packages"
                .to_owned(),
        );
    }
    paths
}

/// Returns the path without `.` parts and slashes at its end.
fn normalise(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') {
        return Err("must be relative to the source directory");
    }
    if text.starts_with('~') {
        return Err("must be relative to the source directory; `~` is not expanded");
    }
    if !is_plain(text) {
        return Err("not a path");
    }
    if text.contains(['*', '?', '[']) {
        return Err("patterns are not supported; name a file or a directory");
    }
    let parts: Vec<&str> =
        text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err("leaves the source directory");
    }
    if parts.is_empty() {
        return Err("the whole source cannot be data; name what the app writes");
    }
    Ok(parts.join("/"))
}

fn refusal(path: &str, others: &[DataPath], layout: &Layout) -> Option<String> {
    if let Some(other) = others.iter().find(|other| overlap(path, &other.path)) {
        return Some(if other.path == path {
            format!("`{path}` is named twice")
        } else {
            format!("overlaps `{}`; name the outer one only", other.path)
        });
    }
    if let Some(own) = NEVER_DATA.iter().find(|own| overlap(path, own)) {
        return Some(format!("`{own}` belongs to the source, not to its data"));
    }
    let environment = layout.environments().find(|environment| overlap(path, environment))?;
    Some(format!("`{environment}` is a Python environment; each release has its own"))
}

/// Returns whether one path is the other or lies in it.
fn overlap(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(a, b) || within(b, a)
}

fn uses_flask(layout: &Layout) -> bool {
    layout.requires("flask") || layout.python().any(|(_, text)| text.contains("Flask("))
}

fn is_package(layout: &Layout) -> bool {
    layout.has_file("setup.py")
        || layout.text("pyproject.toml").is_some_and(|text| text.contains("[build-system]"))
}

fn flask_instance(layout: &Layout) -> Option<String> {
    // Flask-SQLAlchemy puts relative SQLite files into the instance folder since 3.0.
    let mentions = |text: &str| {
        text.contains("instance_relative_config")
            || text.contains("instance_path")
            || (text.contains("sqlite:///") && layout.requires("flask-sqlalchemy"))
    };
    let used = layout.has_directory("instance") || layout.python().any(|(_, text)| mentions(text));
    (used && uses_flask(layout)).then(|| "instance".to_owned())
}

fn django_settings(layout: &Layout) -> impl Iterator<Item = &str> {
    let django = layout.has_file("manage.py");
    layout
        .python()
        .filter(move |(path, _)| django && path.contains("settings"))
        .map(|(_, text)| text)
}

fn django_sqlite(layout: &Layout) -> Option<String> {
    let there = layout.has_file("manage.py") && layout.has_file("db.sqlite3");
    let named = django_settings(layout).any(|text| text.contains("db.sqlite3"));
    (there || named).then(|| "db.sqlite3".to_owned())
}

/// `MEDIA_ROOT = BASE_DIR / "media"`, or the same with `os.path.join`.
fn django_media(layout: &Layout) -> Option<String> {
    let line = django_settings(layout)
        .flat_map(str::lines)
        .find(|line| line.trim_start().starts_with("MEDIA_ROOT") && line.contains("BASE_DIR"))?;
    let quote = line.chars().find(|c| matches!(c, '"' | '\''))?;
    let mut parts = line.split(quote).skip(1);
    let path = normalise(parts.next()?).ok()?;
    // One quoted part only: more are a path that this reading would cut.
    (parts.count() == 1 && refusal(&path, &[], layout).is_none()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn implied(layout: &Layout) -> Vec<String> {
        let problems = Problems::new("skep.toml", "");
        let mut notes = Vec::new();
        let paths = read(&[], layout, &problems, &mut notes);
        assert!(paths.iter().all(|path| path.implied));
        assert!(notes.len() >= paths.len());
        paths.into_iter().map(|path| path.path).collect()
    }

    #[test]
    fn starter_layouts_keep_their_data() {
        let flask = || Layout::new("x").with_file("requirements.txt", "flask");
        let factory = "app = Flask(__name__, instance_relative_config=True)";
        assert_eq!(implied(&flask()), [""; 0]);
        assert_eq!(implied(&flask().with_directory("instance")), ["instance"]);
        assert_eq!(implied(&flask().with_file("flaskr/__init__.py", factory)), ["instance"]);
        assert_eq!(implied(&Layout::new("x").with_directory("instance")), [""; 0]);
        let sqlalchemy = Layout::new("x")
            .with_file("requirements.txt", "Flask-SQLAlchemy")
            .with_file("app.py", "app = Flask(__name__)\nURI = 'sqlite:///x.db'");
        assert_eq!(implied(&sqlalchemy), ["instance"]);

        let settings =
            "DATABASES = {'NAME': BASE_DIR / 'db.sqlite3'}\nMEDIA_ROOT = BASE_DIR / 'media'";
        let django =
            Layout::new("x").with_file("manage.py", "").with_file("shop/settings.py", settings);
        assert_eq!(implied(&django), ["db.sqlite3", "media"]);
        let joined = "MEDIA_ROOT = os.path.join(BASE_DIR, 'a', 'b')";
        let django =
            Layout::new("x").with_file("manage.py", "").with_file("shop/settings.py", joined);
        assert_eq!(implied(&django), [""; 0]);
    }

    #[test]
    fn what_the_user_names_wins_over_what_is_implied() {
        let layout =
            Layout::new("x").with_file("requirements.txt", "flask").with_directory("instance");
        let named = [Spanned { value: "./instance/uploads/".to_owned(), span: 0..0 }];
        let paths = read(&named, &layout, &Problems::new("skep.toml", ""), &mut Vec::new());
        assert_eq!(paths, [DataPath { path: "instance/uploads".to_owned(), implied: false }]);
    }
}
