//! The session in the README is real: its commands are run, and what they print is compared.
//!
//! A session is every fenced block of the kind `console` between `<!-- session -->` and
//! `<!-- end of session -->`. A line that begins with `$ ` is a command; it is run by a shell, in a
//! copy of the guestbook, both outputs on one stream. What follows up to the next command is what it
//! printed. [`volatile`] says what is not compared.
//!
//! `SKEP_BLESS=1 cargo test -p skep readme` writes the block anew.

mod volatile;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{Program, TempHome};

use crate::support::port::Port;
use volatile::Names;

const BEGIN: &str = "<!-- session -->";
const END: &str = "<!-- end of session -->";
const PROMPT: &str = "$ ";

/// The first build fetches packages, and perhaps uv.
const COMMAND_WITHIN: Duration = Duration::from_secs(300);

/// The address that the README shows; each run has another one.
const ADDRESS: &str = "127.0.0.1:8000";
/// The directory that the README shows.
const DIRECTORY: &str = "/home/anna/guestbook";
/// Where the README's user has Skep's state.
const HOME: &str = "/home/anna/.local/state/skep";
/// Who works there.
const USER: &str = "anna";

/// A shorter watch time than the README shows: nothing there depends on its length.
const SHORT_WATCH: &str = "\n[deploy]\nwatch = \"1s\"\n";

/// What a session needs of curl, where there is none; Python is there, for the app is in it.
const CURL: &str = "#!/bin/sh\nfor url; do :; done\nexec python3 -c \
    'import sys, urllib.request as r; print(r.urlopen(\"http://\" + sys.argv[1]).read().decode())' \
    \"$url\"\n";

#[test]
fn the_session_is_what_a_user_sees() {
    let blesses = std::env::var_os("SKEP_BLESS").is_some();
    let path = repository().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let home = TempHome::new(env!("CARGO_BIN_EXE_skep"));
    let session = Session::new(&home, blesses);

    let mut seen = String::new();
    let mut is_session = false;
    let mut is_block = false;
    let mut lines = readme.lines().peekable();
    while let Some(line) = lines.next() {
        seen.push_str(line);
        seen.push('\n');
        match line {
            BEGIN => is_session = true,
            END => is_session = false,
            "```console" if is_session => is_block = true,
            "```" => is_block = false,
            _ => {}
        }
        let Some(command) = line.strip_prefix(PROMPT).filter(|_| is_block) else { continue };
        let mut said = String::new();
        while let Some(line) = lines.next_if(|line| *line != "```" && !line.starts_with(PROMPT)) {
            said.push_str(line);
            said.push('\n');
        }
        let output = session.run(command);
        if !blesses {
            let (said, output) = (volatile::stable(&said), volatile::stable(&output));
            assert_eq!(output, said, "`{command}` prints something else than in README.md");
        }
        seen.push_str(&output);
    }
    assert!(seen.contains(PROMPT) && !is_session, "README.md has no whole session");
    if blesses {
        std::fs::write(&path, seen).unwrap();
    }
}

/// Returns the directory of the README.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A place to run the commands in.
struct Session<'a> {
    home: &'a TempHome,
    directory: PathBuf,
    port: Port,
}

impl<'a> Session<'a> {
    /// Copies the app; the watch time is as the app has it only where it is shown.
    fn new(home: &'a TempHome, blesses: bool) -> Self {
        let directory = home.directory("guestbook");
        copy(&repository().join("examples/guestbook"), &directory);
        if !blesses {
            let file = directory.join("skep.toml");
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, text + SHORT_WATCH).unwrap();
        }
        Self { home, directory, port: Port::take() }
    }

    /// Runs one command as it stands in the README; returns what it says, in the README's names.
    #[track_caller]
    fn run(&self, command: &str) -> String {
        let address = self.port.address().to_string();
        let script = format!("exec 2>&1\n{}", command.replace(ADDRESS, &address));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script]).current_dir(&self.directory).env_clear().stdin(Stdio::null());
        let given = self.home.skep().command([""; 0]);
        for (name, value) in given.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = Path::new(env!("CARGO_BIN_EXE_skep")).parent().unwrap().to_owned();
        let mut path: Vec<PathBuf> =
            std::iter::once(program).chain(std::env::split_paths(&path)).collect();
        if !path.iter().any(|directory| directory.join("curl").is_file()) {
            path.push(self.curl());
        }
        shell.env("PATH", std::env::join_paths(path).unwrap()).env("USER", USER);

        let output = Program::start(shell).finish(COMMAND_WITHIN).expect(0);
        volatile::shown(
            &output.stdout,
            &Names {
                address: (&address, ADDRESS),
                directory: (self.directory.to_str().unwrap(), DIRECTORY),
                home: (self.home.home().root().to_str().unwrap(), HOME),
            },
        )
    }

    fn curl(&self) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let directory = self.home.directory("bin");
        let file = directory.join("curl");
        std::fs::write(&file, CURL).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        directory
    }
}

/// Copies a directory without what running the app by hand leaves there.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if ["__pycache__", "build", "var", "venv"].iter().any(|left| name == *left) {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
