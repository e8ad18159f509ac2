//! From a directory to an app: `skep.toml`, else `Procfile`, else what the code looks like.
//!
//! The directory may be a stranger's, read by root: files are opened without following a symbolic
//! link (an error message shows lines of them), only regular ones, and only up to a bound.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use report::{Failure, Kind};
use rustix::fs::OFlags;

use crate::app_file::{self, APP_FILE};
use crate::detect::{self, DetectError};
use crate::layout::Layout;
use crate::model::{App, Origin};
use crate::name::closest_name;
use crate::problem::{ParseErrors, Problems};
use crate::procfile::{self, PROCFILE, Processes};
use crate::reader::Section;
use crate::{schema, service};

/// Largest app file or Procfile. One with every key and sixty services is a tenth of it.
pub const MAX_FILE_BYTES: u64 = 256 * 1024;

/// Why a directory is no app.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory could not be looked at.
    #[error("failed to read the directory `{}`", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of it could not be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is over [`MAX_FILE_BYTES`].
    #[error("`{}` is larger than {} KiB", path.display(), MAX_FILE_BYTES / 1024)]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// A file is not UTF-8.
    #[error("`{}` is not UTF-8 text: line {line} is not", path.display())]
    NotText {
        /// Which.
        path: PathBuf,
        /// The first bad line.
        line: usize,
    },
    /// A file is wrong.
    #[error(transparent)]
    Invalid(#[from] ParseErrors),
    /// Neither file, and the code does not tell.
    #[error("`{}` does not say what it runs: no `{APP_FILE}`, no `{PROCFILE}`", directory.display())]
    Undetected {
        /// Where.
        directory: PathBuf,
        /// Name for the app in the file to write.
        name: String,
        /// What was looked for.
        source: DetectError,
    },
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Invalid(errors) => errors.into(),
            LoadError::Undetected { ref name, ref source, .. } => {
                let failure = Self::from_error(Kind::Usage, &error);
                match source {
                    DetectError::NoServer { server, requirements, .. } => {
                        failure.hint(format!("add `{server}` to `{requirements}`"))
                    }
                    _ => failure.hint(format!("write `{APP_FILE}`:\n{}", starter_file(name))),
                }
            }
            _ => Self::from_error(Kind::Usage, &error),
        }
    }
}

/// Returns the app in a directory.
pub fn load(directory: &Path) -> Result<App, LoadError> {
    let unreadable = |source| LoadError::Directory { directory: directory.to_owned(), source };
    let layout = Layout::read(directory).map_err(unreadable)?;
    if let Some(text) = read_text(&directory.join(APP_FILE))? {
        return Ok(app_file::parse(APP_FILE, &text, &layout)?);
    }
    if let Some(text) = read_text(&directory.join(PROCFILE))? {
        return Ok(procfile::parse(PROCFILE, &text, &layout)?);
    }
    match detected(&layout)? {
        Ok(app) => Ok(app),
        Err(source) => Err(LoadError::Undetected {
            directory: directory.to_owned(),
            name: closest_name(layout.directory_name()).unwrap_or_else(|| "shop".to_owned()),
            source,
        }),
    }
}

/// Reads a text under the name that messages use: a name that ends in `Procfile` is one, any other
/// is an app file.
pub fn parse(file: &str, text: &str, layout: &Layout) -> Result<App, ParseErrors> {
    if file.ends_with(PROCFILE) {
        procfile::parse(file, text, layout)
    } else {
        app_file::parse(file, text, layout)
    }
}

/// Returns the app that a layout looks like.
pub fn detected(layout: &Layout) -> Result<Result<App, DetectError>, ParseErrors> {
    let found = match detect::detect(layout) {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    // Nothing was written, so the only thing to point at is the command that was made up.
    let problems = Problems::new("detected command", &found.command);
    let absent = Section::absent(schema::SERVICE, 0..0, &problems);
    let span = 0..found.command.len();
    let drafts = service::read_command(&found.command, span.clone(), &problems)
        .map(|command| service::read(service::WEB, span.clone(), command, &absent, layout))
        .map(|draft| (service::WEB.to_owned(), draft));
    let release = found.release.and_then(|text| service::read_command(text, span, &problems));
    let notes = found.notes();
    let processes = Processes { drafts: drafts.into_iter().collect(), release, notes };
    let app = procfile::app(processes, Origin::Detected, layout, &problems).map(|mut app| {
        app.build.steps = found.steps;
        app
    });
    problems.into_result(app).map(Ok)
}

/// The smallest app file, for whoever has none.
fn starter_file(name: &str) -> String {
    format!(
        "  app = \"{name}\"\n\n  [services.web]\n  command = \"gunicorn {}.wsgi\"",
        name.replace('-', "_")
    )
}

/// Returns the text of a file, or `None` if there is none.
fn read_text(path: &Path) -> Result<Option<String>, LoadError> {
    let bytes = match read_regular(path, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(LoadError::TooLarge { path: path.to_owned() });
        }
        Err(source) => return Err(LoadError::Read { path: path.to_owned(), source }),
    };
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|b| *b == b'\n').count();
        LoadError::NotText { path: path.to_owned(), line }
    })
}

/// Reads a regular file of at most `max_bytes`; a symbolic link, a device or a pipe is refused.
pub(crate) fn read_regular(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    // NONBLOCK: opening a named pipe would wait for its writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File =
        OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(
            |error| match rustix::io::Errno::from_io_error(&error) {
                Some(rustix::io::Errno::LOOP) => {
                    io::Error::other("it is a symbolic link; a regular file is needed")
                }
                _ => error,
            },
        )?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
