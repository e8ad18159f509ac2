//! What a Python project's environment is made from.
//!
//! Detection, first match:
//!
//! | found | installed |
//! |---|---|
//! | `uv.lock` beside `pyproject.toml` | what it locks, without development groups |
//! | `pyproject.toml` with a build system, `setup.py` or `setup.cfg` | its dependencies and the project itself |
//! | `pyproject.toml` with `[project]` alone | its dependencies |
//! | `requirements.txt` | what it lists |
//! | `setup.py` | its dependencies and the project itself |
//! | none | no environment: the plain interpreter, or not Python at all |
//!
//! A `pyproject.toml` that only configures tools is not a project. Where code of the source is
//! installed into the environment ([`Project::installs_source`]) the whole source set is an input of
//! the environment; elsewhere only the files that say what to install, so that a code change
//! installs nothing.

use std::collections::BTreeSet;

use disk::DiskError;
use toml_edit::{DocumentMut, Item};

use crate::requirements;
use crate::source::{SourceEntry, SourceSet};
use crate::tree::Tree;
use crate::wish::{NotAWish, Wish};

/// Largest file that is read to find out what to install: lock files of large projects have some
/// megabytes.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;
/// Most requirements files that include each other.
const MAX_REQUIREMENTS_FILES: usize = 100;

/// How an environment is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `uv sync --frozen`.
    Lock,
    /// The project itself, `uv pip install .`.
    Project,
    /// Only the dependencies of `pyproject.toml`.
    Dependencies,
    /// `uv pip install -r requirements.txt`.
    Requirements,
}

impl Kind {
    /// Returns the file that decides, for messages and keys.
    pub fn file(self) -> &'static str {
        match self {
            Self::Lock => "uv.lock",
            Self::Project => "the project",
            Self::Dependencies => "pyproject.toml",
            Self::Requirements => "requirements.txt",
        }
    }
}

/// What an environment is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// How it is filled.
    pub kind: Kind,
    /// Files it is made from; all of the source set where that is installed too.
    pub inputs: Vec<SourceEntry>,
    /// Why code of the source is installed, for example `requirements.txt asks for "."`.
    pub installs_source: Option<String>,
}

/// What was found out about a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detected {
    /// `None`: no environment.
    pub(crate) project: Option<Project>,
    /// Which interpreter; `None`: nothing here is Python.
    pub(crate) wish: Option<Wish>,
    /// Where the wish comes from.
    pub(crate) wished_by: &'static str,
    /// What a person should know.
    pub(crate) notices: Vec<String>,
}

/// Why it could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A file is not TOML.
    #[error("`{file}` is not valid TOML")]
    Toml {
        /// The file.
        file: String,
        /// Where and why.
        #[source]
        source: Box<toml_edit::TomlError>,
    },
    /// A requirements file names another that the source set does not have.
    #[error("`{from}` includes `{file}`, which is not in the source set")]
    MissingRequirements {
        /// The one that names it.
        from: String,
        /// The missing one.
        file: String,
    },
    /// Requirements files without end.
    #[error("more than {MAX_REQUIREMENTS_FILES} requirements files include each other")]
    TooManyRequirements,
    /// `uv.lock` alone.
    #[error("`uv.lock` is there but `pyproject.toml` is not")]
    LockAlone,
    /// The wished Python is no version.
    #[error("the Python wished by {by} cannot be read")]
    Wish {
        /// Whose wish.
        by: &'static str,
        /// Why.
        #[source]
        source: NotAWish,
    },
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Finds out what `source` needs; `wished` is the app file's `[build] python`.
pub(crate) fn detect(source: &SourceSet, wished: Option<&str>) -> Result<Detected, ProjectError> {
    let files = Files { tree: Tree::open(&source.directory)?, source };
    let pyproject = files.toml("pyproject.toml")?;
    let has_setup = source.has_file("setup.py") || source.has_file("setup.cfg");
    let mut notices = Vec::new();
    let described = pyproject.as_ref().map_or(Described::Nothing, |p| describe(p, has_setup));
    let requirements = source.has_file("requirements.txt");

    let project = if source.has_file("uv.lock") {
        if pyproject.is_none() {
            return Err(ProjectError::LockAlone);
        }
        Some(files.lock()?)
    } else if described == Described::Project {
        Some(files.whole(Kind::Project, "the project itself is installed"))
    } else if described == Described::Dependencies {
        Some(files.some(Kind::Dependencies, &["pyproject.toml"]))
    } else if requirements {
        Some(files.requirements()?)
    } else if source.has_file("setup.py") {
        Some(files.whole(Kind::Project, "the project itself is installed"))
    } else {
        None
    };
    if let Some(project) = &project {
        notices.extend(ignored_files(source, project.kind));
    }
    let (wish, wished_by) = wish(&files, wished, pyproject.as_ref(), project.is_some())?;
    Ok(Detected { project, wish, wished_by, notices })
}

/// Says which descriptions of dependencies are there and not used.
fn ignored_files(source: &SourceSet, kind: Kind) -> Vec<String> {
    let others: &[&str] = match kind {
        Kind::Lock | Kind::Requirements => &[],
        Kind::Project | Kind::Dependencies => {
            &["requirements.txt", "poetry.lock", "pdm.lock", "Pipfile.lock"]
        }
    };
    others
        .iter()
        .filter(|file| source.has_file(file))
        .map(|file| {
            format!("{file} is not used: pyproject.toml says what is installed (uv lock pins it)")
        })
        .collect()
}

/// What a `pyproject.toml` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Described {
    Nothing,
    Dependencies,
    Project,
}

fn describe(pyproject: &DocumentMut, has_setup: bool) -> Described {
    let has = |name: &str| pyproject.get(name).is_some_and(Item::is_table_like);
    let poetry = pyproject.get("tool").and_then(|tool| tool.get("poetry")).is_some();
    match (has("build-system"), has("project")) {
        (true, true) => Described::Project,
        (true, false) if has_setup || poetry => Described::Project,
        (false, true) if has_setup => Described::Project,
        (false, true) => Described::Dependencies,
        _ => Described::Nothing,
    }
}

fn wish(
    files: &Files<'_>,
    wished: Option<&str>,
    pyproject: Option<&DocumentMut>,
    has_project: bool,
) -> Result<(Option<Wish>, &'static str), ProjectError> {
    let version_file = files.text(".python-version")?.map(|text| {
        text.lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .unwrap_or_default()
            .to_owned()
    });
    let requires = pyproject
        .and_then(|document| document.get("project")?.get("requires-python")?.as_str())
        .map(str::to_owned);
    let (text, by) = if let Some(text) = wished {
        (text.to_owned(), "`[build] python`")
    } else if let Some(text) = version_file {
        (text, "`.python-version`")
    } else if let Some(text) = requires {
        (text, "`requires-python`")
    } else if has_project || files.source.entries.iter().any(|entry| is_python(&entry.path)) {
        (String::new(), "nobody")
    } else {
        return Ok((None, "nobody"));
    };
    match text.parse() {
        Ok(wish) => Ok((Some(wish), by)),
        Err(source) => Err(ProjectError::Wish { by, source }),
    }
}

fn is_python(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|extension| extension == "py")
}

/// The files of a source set, to be read.
struct Files<'a> {
    tree: Tree,
    source: &'a SourceSet,
}

impl Files<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, ProjectError> {
        if !self.source.has_file(path) {
            return Ok(None);
        }
        let (file, found) = self.tree.open_file(path)?;
        let whole = self.tree.path().join(path);
        if found.size_bytes > MAX_FILE_BYTES {
            let text = format!("it is larger than {MAX_FILE_BYTES} bytes");
            let error = std::io::Error::new(std::io::ErrorKind::InvalidData, text);
            return Err(DiskError::new("read", &whole, error).into());
        }
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_FILE_BYTES), &mut bytes)
            .map_err(|source| DiskError::new("read", &whole, source))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn toml(&self, path: &str) -> Result<Option<DocumentMut>, ProjectError> {
        let Some(text) = self.text(path)? else { return Ok(None) };
        text.parse().map(Some).map_err(|source| ProjectError::Toml {
            file: path.to_owned(),
            source: Box::new(source),
        })
    }

    fn whole(&self, kind: Kind, why: &str) -> Project {
        Project { kind, inputs: self.source.entries.clone(), installs_source: Some(why.to_owned()) }
    }

    fn some<T: AsRef<str>>(&self, kind: Kind, paths: &[T]) -> Project {
        let inputs =
            paths.iter().filter_map(|path| self.source.get(path.as_ref()).cloned()).collect();
        Project { kind, inputs, installs_source: None }
    }

    /// Locked packages come from an index, from git, or from the source itself.
    fn lock(&self) -> Result<Project, ProjectError> {
        let lock = self.toml("uv.lock")?.unwrap_or_default();
        let packages = lock.get("package").and_then(Item::as_array_of_tables);
        let local = packages.into_iter().flatten().find(|package| {
            let source = package.get("source");
            ["editable", "directory", "path"]
                .iter()
                .any(|key| source.and_then(|source| source.get(key)).is_some())
        });
        Ok(match local.and_then(|package| package.get("name")?.as_str()) {
            Some(name) => {
                self.whole(Kind::Lock, &format!("uv.lock installs {name} from the source"))
            }
            None => self.some(Kind::Lock, &["pyproject.toml", "uv.lock", "uv.toml"]),
        })
    }

    fn requirements(&self) -> Result<Project, ProjectError> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec!["requirements.txt".to_owned()];
        while let Some(path) = waiting.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            if seen.len() > MAX_REQUIREMENTS_FILES {
                return Err(ProjectError::TooManyRequirements);
            }
            let text = self.text(&path)?.unwrap_or_default();
            let references = requirements::read(&text);
            if let Some(line) = references.local {
                let why = format!("{path} asks for \"{line}\"");
                return Ok(self.whole(Kind::Requirements, &why));
            }
            for file in references.files {
                if file.contains("://") {
                    continue;
                }
                match crate::path::resolve_link(&path, &file) {
                    Some(file) if self.source.has_file(&file) => waiting.push(file),
                    _ => return Err(ProjectError::MissingRequirements { from: path, file }),
                }
            }
        }
        // Both may configure uv; either is left out by `some` where it is missing.
        seen.extend(["uv.toml", "pyproject.toml"].map(str::to_owned));
        let paths: Vec<String> = seen.into_iter().collect();
        Ok(self.some(Kind::Requirements, &paths))
    }
}
