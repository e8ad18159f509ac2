//! A server of the standard library that misbehaves as it is told: nothing has to be installed.

use std::fmt::Write as _;
use std::path::Path;

const CODE: &str = include_str!("tiny.py");

/// The source of an app; write it again for its next release.
#[derive(Debug, Clone)]
pub(crate) struct TinyApp {
    /// Its name.
    pub(crate) name: String,
    /// What its answers call the release.
    pub(crate) release: String,
    /// How it behaves; see `tiny.py`.
    pub(crate) behaviour: String,
    /// More lines for the top of the app file.
    pub(crate) settings: String,
    /// More lines for `[services.web]`.
    pub(crate) web: String,
    /// Whole sections.
    pub(crate) sections: String,
}

impl TinyApp {
    /// Returns an app that behaves, and whose failures do not take long.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            release: "one".to_owned(),
            behaviour: "good".to_owned(),
            settings: String::new(),
            web: "ready_timeout = \"5s\"\nstop_grace = \"5s\"".to_owned(),
            sections: "[deploy]\nwatch = \"0s\"".to_owned(),
        }
    }

    /// Returns the same app as another release that behaves so.
    pub(crate) fn behaving(&self, behaviour: &str) -> Self {
        Self {
            behaviour: behaviour.to_owned(),
            release: format!("{behaviour} after {}", self.release),
            ..self.clone()
        }
    }

    /// Returns the same app as another release.
    pub(crate) fn released(&self, release: &str) -> Self {
        Self { release: release.to_owned(), ..self.clone() }
    }

    /// Returns the same app with more of `[services.web]`.
    pub(crate) fn with_web(&self, line: &str) -> Self {
        Self { web: format!("{}\n{line}", self.web), ..self.clone() }
    }

    /// Returns the same app with another section.
    pub(crate) fn with_section(&self, section: &str) -> Self {
        Self { sections: format!("{}\n\n{section}", self.sections), ..self.clone() }
    }

    /// Writes the source.
    pub(crate) fn write(&self, directory: &Path) {
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
        std::fs::create_dir_all(directory).unwrap();
        write("tiny.py", CODE);
        write("release.txt", &format!("{}\n{}\n", self.release, self.behaviour));
        let mut file = format!("app = \"{}\"\ndata = [\"data\"]\n", self.name);
        let _ = write!(
            file,
            "{}\n\n[services.web]\ncommand = \"python3 tiny.py\"\n{}\n\n{}\n",
            self.settings, self.web, self.sections
        );
        write("skep.toml", &file);
    }
}
