//! What runs when neither a `skep.toml` nor a `Procfile` says so.
//!
//! Only what the frameworks' own starter layouts look like is recognised, and only if the server
//! is among the requirements: a wrong guess would be worse than the question.

use crate::layout::Layout;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detected {
    /// For the user: `Flask`, `Django`.
    pub(crate) framework: &'static str,
    /// What the service `web` runs.
    pub(crate) command: String,
    /// What runs before a release starts.
    pub(crate) release: Option<&'static str>,
    /// Build steps.
    pub(crate) steps: Vec<String>,
}

impl Detected {
    /// Returns what the user should know of it.
    pub(crate) fn notes(&self) -> Vec<String> {
        let framework = self.framework;
        let mut notes = vec![format!("{framework}: service `web` runs `{}`", self.command)];
        if let Some(release) = self.release {
            notes.push(format!("{framework}: each release runs `{release}` first"));
        }
        notes
            .extend(self.steps.iter().map(|step| format!("{framework}: each build runs `{step}`")));
        notes
    }
}

/// Why nothing was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// Neither framework.
    #[error(
        "no starter layout that Skep knows (Flask, FastAPI or Starlette in `app.py`, `main.py`, `wsgi.py` or a package; Django's `manage.py`)"
    )]
    Nothing,
    /// A framework without a server.
    #[error("{framework} in `{place}`, but no `{server}` in `{requirements}`")]
    NoServer {
        /// The framework.
        framework: &'static str,
        /// Where it was seen.
        place: String,
        /// The server that would run it.
        server: &'static str,
        /// Where the server should be required.
        requirements: &'static str,
    },
    /// A framework whose application object was not found.
    #[error("{framework} in `{place}`, but no {wanted} there")]
    NoApplication {
        /// The framework.
        framework: &'static str,
        /// Where it was seen.
        place: String,
        /// What was looked for.
        wanted: &'static str,
    },
}

/// A Python web framework whose application is an object of a module.
struct Framework {
    name: &'static str,
    /// Makes the application.
    constructor: &'static str,
    /// Runs it.
    server: &'static str,
    /// How a factory is named to the server.
    factory: fn(&str, &str) -> String,
}

const FRAMEWORKS: &[Framework] = &[
    Framework {
        name: "Flask",
        constructor: "Flask(",
        server: "gunicorn",
        factory: |module, name| format!("gunicorn '{module}:{name}()'"),
    },
    Framework {
        name: "FastAPI",
        constructor: "FastAPI(",
        server: "uvicorn",
        factory: |module, name| format!("uvicorn --factory {module}:{name}"),
    },
    Framework {
        name: "Starlette",
        constructor: "Starlette(",
        server: "uvicorn",
        factory: |module, name| format!("uvicorn --factory {module}:{name}"),
    },
];

/// Modules that usually hold the application, the most explicit first.
const MODULES: &[&str] = &["wsgi.py", "asgi.py", "app.py", "main.py", "application.py"];

/// Names that usually hold it, where a module only imports it.
const OBJECTS: &[&str] = &["app", "application"];

/// Functions that usually make it.
const FACTORIES: &[&str] = &["create_app", "make_app"];

/// Returns what the source directory seems to run.
pub(crate) fn detect(layout: &Layout) -> Result<Detected, DetectError> {
    if layout.has_file("manage.py") {
        return django(layout);
    }
    let candidates: Vec<&str> = MODULES
        .iter()
        .copied()
        .filter(|module| layout.has_file(module))
        .chain(layout.files().filter(|file| file.ends_with("/__init__.py")))
        .collect();
    let mut seen: Option<DetectError> = None;
    for place in candidates {
        let Some(text) = layout.text(place) else { continue };
        match module(layout, place, text) {
            Ok(Some(detected)) => return Ok(detected),
            Ok(None) => {}
            Err(error) => {
                seen.get_or_insert(error);
            }
        }
    }
    Err(seen.unwrap_or(DetectError::Nothing))
}

/// Looks for the application in one module.
fn module(layout: &Layout, place: &str, text: &str) -> Result<Option<Detected>, DetectError> {
    // `wsgi.py` often only imports the application that another module makes.
    let makes = |framework: &&Framework, text: &str| text.contains(framework.constructor);
    let framework = FRAMEWORKS.iter().find(|framework| makes(framework, text)).or_else(|| {
        let anywhere = |f: &&Framework| layout.python().any(|(_, text)| makes(f, text));
        matches!(place, "wsgi.py" | "asgi.py").then(|| FRAMEWORKS.iter().find(anywhere)).flatten()
    });
    let Some(framework) = framework else { return Ok(None) };
    let name = place.trim_end_matches("/__init__.py").trim_end_matches(".py");
    let command = if let Some(object) = object(text, framework.constructor) {
        format!("{} {name}:{object}", framework.server)
    } else if let Some(factory) = FACTORIES.iter().find(|f| defines(text, f)) {
        (framework.factory)(name, factory)
    } else {
        return Err(DetectError::NoApplication {
            framework: framework.name,
            place: place.to_owned(),
            wanted: "`app` or `create_app`",
        });
    };
    require(layout, framework.name, place, framework.server)?;
    Ok(Some(Detected { framework: framework.name, command, release: None, steps: Vec::new() }))
}

fn django(layout: &Layout) -> Result<Detected, DetectError> {
    let project = layout
        .text("manage.py")
        .and_then(settings_module)
        .filter(|project| layout.has_file(&format!("{project}/wsgi.py")))
        .or_else(|| {
            let mut found = layout.files().filter_map(|file| file.strip_suffix("/wsgi.py"));
            let only = found.next();
            if found.next().is_none() { only.map(str::to_owned) } else { None }
        });
    let Some(project) = project else {
        return Err(DetectError::NoApplication {
            framework: "Django",
            place: "manage.py".to_owned(),
            wanted: "project whose `wsgi.py` is beside it",
        });
    };
    require(layout, "Django", "manage.py", "gunicorn")?;
    // Without STATIC_ROOT collectstatic is an error.
    let collects = layout
        .python()
        .any(|(path, text)| path.contains("settings") && assigns(text, "STATIC_ROOT"));
    let steps = if collects {
        vec!["python manage.py collectstatic --noinput".to_owned()]
    } else {
        Vec::new()
    };
    Ok(Detected {
        framework: "Django",
        command: format!("gunicorn {project}.wsgi"),
        release: Some("python manage.py migrate --noinput"),
        steps,
    })
}

fn require(
    layout: &Layout,
    framework: &'static str,
    place: &str,
    server: &'static str,
) -> Result<(), DetectError> {
    if layout.requires(server) {
        return Ok(());
    }
    Err(DetectError::NoServer {
        framework,
        place: place.to_owned(),
        server,
        requirements: layout.requirements_file(),
    })
}

/// Returns the package of `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")`.
fn settings_module(text: &str) -> Option<String> {
    let behind = text.split_once("DJANGO_SETTINGS_MODULE")?.1;
    let value = behind.split(['"', '\'']).nth(2)?;
    let package = value.split('.').next()?;
    is_identifier(package).then(|| package.to_owned())
}

/// Returns the name a module gives its application: `app = Flask(…)`, else an object that it
/// assigns or imports.
fn object<'a>(text: &'a str, constructor: &str) -> Option<&'a str> {
    let made = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.split(':').next()?.trim_end();
        (value.contains(constructor) && is_identifier(name)).then_some(name)
    });
    made.or_else(|| {
        OBJECTS.iter().copied().find(|object| {
            assigns(text, object)
                || text.lines().any(|line| {
                    line.starts_with("from ")
                        && line.split_once(" import ").is_some_and(|(_, names)| {
                            names
                                .split(',')
                                .any(|n| n.rsplit(" as ").next().map(str::trim) == Some(object))
                        })
                })
        })
    })
}

fn assigns(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        line.strip_prefix(name)
            .map(str::trim_start)
            .is_some_and(|rest| rest.starts_with('=') && !rest.starts_with("=="))
    })
}

fn defines(text: &str, function: &str) -> bool {
    text.lines().any(|line| {
        line.strip_prefix("def ")
            .and_then(|rest| rest.strip_prefix(function))
            .is_some_and(|rest| rest.starts_with('('))
    })
}

/// Only such names go into a command line.
fn is_identifier(name: &str) -> bool {
    crate::command::is_variable_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(files: &[(&str, &str)]) -> Layout {
        files.iter().fold(Layout::new("shop"), |layout, (path, text)| layout.with_file(path, text))
    }

    #[test]
    fn starter_layouts_are_recognised() {
        let gunicorn = ("requirements.txt", "flask\ngunicorn");
        let uvicorn = ("requirements.txt", "fastapi\nuvicorn[standard]");
        for (files, expected) in [
            (&[gunicorn, ("app.py", "app = Flask(__name__)")][..], "gunicorn app:app"),
            (&[gunicorn, ("wsgi.py", "from shop import app")], ""),
            (
                &[
                    gunicorn,
                    ("wsgi.py", "from app import app as application"),
                    ("app.py", "app = Flask(__name__)"),
                ],
                "gunicorn wsgi:application",
            ),
            (
                &[
                    gunicorn,
                    ("flaskr/__init__.py", "def create_app(c=None):\n    app = Flask(__name__)"),
                ],
                "gunicorn 'flaskr:create_app()'",
            ),
            (&[uvicorn, ("main.py", "api: FastAPI = FastAPI()")], "uvicorn main:api"),
            (
                &[uvicorn, ("main.py", "def create_app():\n  return FastAPI()")],
                "uvicorn --factory main:create_app",
            ),
        ] {
            let found = detect(&layout(files));
            match expected {
                "" => assert_eq!(found, Err(DetectError::Nothing), "{files:?}"),
                expected => assert_eq!(found.unwrap().command, expected, "{files:?}"),
            }
        }
    }

    #[test]
    fn django_is_recognised_with_its_migrations_and_static_files() {
        let manage =
            ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')");
        let gunicorn = ("requirements.txt", "Django\ngunicorn");
        let files = [manage, gunicorn, ("mysite/wsgi.py", ""), ("other/wsgi.py", "")];
        let found = detect(&layout(&files)).unwrap();
        assert_eq!(found.command, "gunicorn mysite.wsgi");
        assert_eq!(found.release, Some("python manage.py migrate --noinput"));
        assert!(found.steps.is_empty());
        let files = [
            gunicorn,
            ("manage.py", ""),
            ("a/wsgi.py", ""),
            ("a/settings.py", "STATIC_ROOT = 'x'"),
        ];
        let found = detect(&layout(&files)).unwrap();
        assert_eq!(found.command, "gunicorn a.wsgi");
        assert_eq!(found.steps, ["python manage.py collectstatic --noinput"]);
    }

    #[test]
    fn a_framework_without_its_server_is_named() {
        let files = [("requirements.txt", "flask"), ("app.py", "app = Flask(__name__)")];
        assert_eq!(
            detect(&layout(&files)).unwrap_err().to_string(),
            "Flask in `app.py`, but no `gunicorn` in `requirements.txt`"
        );
        let files = [("manage.py", ""), ("requirements.txt", "gunicorn")];
        assert_eq!(
            detect(&layout(&files)).unwrap_err().to_string(),
            "Django in `manage.py`, but no project whose `wsgi.py` is beside it there"
        );
    }
}
