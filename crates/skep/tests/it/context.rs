//! A hermetic place to run the binary in.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A home, a working directory, and an environment that holds nothing else.
pub(crate) struct Context {
    directory: TempDir,
}

impl Context {
    /// Makes one in which nothing was ever installed.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("project")).expect("a working directory");
        Self { directory }
    }

    /// Returns SKEP_HOME; it need not exist.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Returns the working directory.
    pub(crate) fn work(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    /// Writes a file below the working directory.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().expect("below work")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }

    /// Makes the working directory an app.
    pub(crate) fn with_app(self, name: &str) -> Self {
        self.write(
            "skep.toml",
            &format!("app = \"{name}\"\n\n[services.web]\ncommand = \"gunicorn shop.wsgi\"\n"),
        );
        self
    }

    /// Returns the command, not started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
        command
            .args(arguments)
            .current_dir(self.work())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("SKEP_HOME", self.home())
            .env("PATH", "/usr/bin:/bin")
            .env("USER", "anna")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the command to its end; returns exit code and both outputs as one text.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("the binary");
        self.show(&output)
    }

    /// Returns exit code and both outputs as one text, without this context's own paths.
    pub(crate) fn show(&self, output: &Output) -> String {
        let clean = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let real = self.directory.path().canonicalize().expect("its own directory");
            let text = text.replace(path_text(&real), "[TMP]");
            text.replace(path_text(self.directory.path()), "[TMP]")
        };
        let mut text = format!("exit {}", output.status.code().unwrap_or(-1));
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !bytes.is_empty() {
                let _ = write!(text, "\n--- {name}\n{}", clean(bytes).trim_end());
            }
        }
        text
    }
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("temporary directories are UTF-8")
}
