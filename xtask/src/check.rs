//! `cargo xtask demo --check`: what a new user does in a first hour, unattended.
//!
//! In an installation and with a copy of the app that exist for this run only; whatever happens,
//! both are gone afterwards, with every process that was started.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::demo;
use crate::http;
use crate::needs;
use crate::place::Place;
use crate::step::{Stop, Tried, announce, output};

/// How long processes may take to be gone after they were told to: the longest stop grace of the
/// guestbook's services, twice.
const GONE_LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at a level that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

const TEMPLATE: &str = "guestbook/templates/index.html";
const WSGI: &str = "guestbook/wsgi.py";

pub(crate) fn run() -> Result<(), Stop> {
    needs::for_apps()?;
    let place = Place::find()?;
    let uv = needs::uv(&place.tools())?;
    let skep = demo::build(&place)?;
    let session = Session::begin(&place, skep, uv)?;
    let result = whole_life(&session);
    let end = session.end();
    result.and(end)?;
    println!("demo: everything worked, nothing was left behind");
    Ok(())
}

fn whole_life(session: &Session) -> Result<(), Stop> {
    let Session { app, address, .. } = session;
    let directory = app.to_string_lossy();

    announce("first deploy");
    session.skep(&["up", &directory, "--detach", "--listen", address])?;
    session.page("Nobody yet.")?;

    announce("sign the guestbook");
    let answer =
        http::post(address, "/entries", "name=Ada&message=first").tried("post an entry")?;
    expect(answer.status == 303, || format!("POST /entries was answered {}", answer.status))?;
    session.page("first")?;
    session.skep(&["ps", "guestbook"])?;

    announce("nothing changed, nothing is built");
    session.skep(&["deploy", &directory])?;

    announce("change the app, deploy");
    session.edit(TEMPLATE, "<h1>Guestbook</h1>", "<h1>Second edition</h1>")?;
    session.skep(&["deploy", &directory])?;
    session.page("Second edition")?;
    session.page("first")?;

    announce("break the app, deploy: refused, the old one still serves");
    session.edit(WSGI, "app = create_app()", "raise RuntimeError('broken on purpose')")?;
    session.skep_fails(&["deploy", &directory], 1, "broken on purpose")?;
    session.page("Second edition")?;
    session.edit(WSGI, "raise RuntimeError('broken on purpose')", "app = create_app()")?;

    announce("roll back");
    session.skep(&["rollback", "guestbook"])?;
    session.page("<h1>Guestbook</h1>")?;
    session.page("first")?;

    announce("a variable");
    session.skep(&["env:set", "guestbook", "GREETING=Hello from the check."])?;
    session.page("Hello from the check.")?;

    announce("look around");
    session.skep(&["releases", "guestbook"])?;
    let logs = session.skep(&["logs", "guestbook/tally", "-n", "100"])?;
    expect(logs.contains("tally 1:"), || "the tally service's first line is not there".into())?;

    announce("down, and away");
    session.skep(&["down", "guestbook"])?;
    expect(http::get(address, "/").is_err_or_unavailable(), || {
        format!("something still answers on {address} after `skep down`")
    })?;
    session.skep(&["app:remove", "guestbook", "--yes"])?;
    let apps = session.skep(&["apps", "--json"])?;
    expect(!apps.contains("guestbook"), || "the app is still listed after its removal".into())
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Failed(otherwise())) }
}

trait Unavailable {
    fn is_err_or_unavailable(&self) -> bool;
}

impl Unavailable for std::io::Result<http::Answer> {
    /// The proxy may keep its listener and say that nobody is there.
    fn is_err_or_unavailable(&self) -> bool {
        self.as_ref().map_or(true, |answer| matches!(answer.status, 404 | 503))
    }
}

/// An installation and a copy of the app for one run.
struct Session {
    root: PathBuf,
    home: PathBuf,
    app: PathBuf,
    address: String,
    skep: PathBuf,
    uv: Option<PathBuf>,
}

impl Session {
    fn begin(place: &Place, skep: PathBuf, uv: Option<PathBuf>) -> Result<Self, Stop> {
        let root = place.target.join(format!("demo-check-{}", std::process::id()));
        let app = root.join("guestbook");
        copy_app(&place.source.join("examples/guestbook"), &app)?;
        // Free now; whoever takes it in the next moment makes the check fail, not pass.
        let listener = TcpListener::bind("127.0.0.1:0").tried("find a free port")?;
        let address = listener.local_addr().tried("find a free port")?.to_string();
        Ok(Self { home: root.join("home"), app, root, address, skep, uv })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = demo::skep_command(&self.skep, &self.home);
        command.args(arguments).current_dir(&self.app);
        if let Some(uv) = &self.uv {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let all = std::iter::once(uv.clone()).chain(std::env::split_paths(&path));
            if let Ok(path) = std::env::join_paths(all) {
                command.env("PATH", path);
            }
        }
        command
    }

    /// Runs a command that must work; returns what it printed.
    fn skep(&self, arguments: &[&str]) -> Result<String, Stop> {
        let (status, text) = self.run(arguments)?;
        expect(status == Some(0), || {
            format!("`skep {}` ended with {status:?}", arguments.join(" "))
        })?;
        Ok(text)
    }

    /// Runs a command that must fail with this code and say this.
    fn skep_fails(&self, arguments: &[&str], code: i32, says: &str) -> Result<(), Stop> {
        let (status, text) = self.run(arguments)?;
        let command = arguments.join(" ");
        expect(status == Some(code), || {
            format!("`skep {command}` ended with {status:?}, not {code}")
        })?;
        expect(text.contains(says), || format!("`skep {command}` does not say {says:?}"))
    }

    fn run(&self, arguments: &[&str]) -> Result<(Option<i32>, String), Stop> {
        println!("\n$ skep {}", arguments.join(" "));
        let mut command = self.command(arguments);
        let output = output(&mut command)?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        print!("{text}");
        Ok((output.status.code(), text))
    }

    /// Looks at the first page; it must be there and contain this.
    fn page(&self, contains: &str) -> Result<(), Stop> {
        let answer = http::get(&self.address, "/").tried("get the page")?;
        println!(
            "  GET / {} in {} bytes, looking for {contains:?}",
            answer.status,
            answer.body.len()
        );
        expect(answer.status == 200 && answer.body.contains(contains), || {
            format!("GET / was answered {} without {contains:?}:\n{}", answer.status, answer.body)
        })
    }

    fn edit(&self, file: &str, old: &str, new: &str) -> Result<(), Stop> {
        let path = self.app.join(file);
        let text = fs::read_to_string(&path).tried(format_args!("read {}", path.display()))?;
        expect(text.contains(old), || format!("{file} does not contain {old:?}"))?;
        println!("  {file}: {old} -> {new}");
        fs::write(&path, text.replace(old, new)).tried(format_args!("write {}", path.display()))
    }

    /// Stops and removes everything, whatever state it is in.
    fn end(&self) -> Result<(), Stop> {
        announce("tidy up");
        // Either may fail, rightly, if the check failed before there was anything to stop.
        let _ = self.command(&["down", "--all"]).stdin(Stdio::null()).status();
        let services = self.wait_until_gone(|process| process.is_service);
        let _ = self.command(&["agent:stop"]).stdin(Stdio::null()).status();
        // What keeps services, sockets and routes outlives the agent, on purpose; here it ends.
        for signal in ["-TERM", "-KILL"] {
            for process in self.processes() {
                let _ = Command::new("kill").args([signal, &process.pid]).status();
            }
            if self.wait_until_gone(|_| true).is_empty() {
                break;
            }
        }
        // Artifacts are not writable, not even by their owner.
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.root).status();
        fs::remove_dir_all(&self.root).tried(format_args!("remove {}", self.root.display()))?;
        expect(services.is_empty(), || {
            format!("`skep down --all` left processes of services:\n  {}", services.join("\n  "))
        })?;
        let left: Vec<String> = self.processes().into_iter().map(|left| left.command).collect();
        expect(left.is_empty(), || format!("processes were left:\n  {}", left.join("\n  ")))
    }

    /// Waits until no such process is there; returns those that still are.
    fn wait_until_gone(&self, of: impl Fn(&Process) -> bool) -> Vec<String> {
        let deadline = Instant::now() + GONE_LIMIT;
        loop {
            let left: Vec<Process> = self.processes().into_iter().filter(&of).collect();
            if left.is_empty() || Instant::now() >= deadline {
                return left.into_iter().map(|process| process.command).collect();
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Returns the processes of this installation: its paths are in their environment, command
    /// line or working directory.
    fn processes(&self) -> Vec<Process> {
        let home = self.home.to_string_lossy().into_owned();
        let text = |path: PathBuf| {
            fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        entries
            .map(|entry| entry.path())
            .filter_map(|process| {
                let pid = process.file_name()?.to_string_lossy().into_owned();
                pid.parse::<u32>().ok().filter(|pid| *pid != std::process::id())?;
                let environment = text(process.join("environ"));
                let command = text(process.join("cmdline"));
                let here =
                    fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&home));
                let ours = here || environment.contains(&home) || command.contains(&home);
                ours.then(|| Process {
                    is_service: environment.contains("SKEP_APP=guestbook"),
                    command: format!("{pid} {}", command.replace('\0', " ")),
                    pid,
                })
            })
            .collect()
    }
}

/// A process of the session's installation.
struct Process {
    pid: String,
    command: String,
    is_service: bool,
}

/// Copies the app without what running it by hand leaves there.
fn copy_app(from: &Path, to: &Path) -> Result<(), Stop> {
    let tried = || format!("copy {}", from.display());
    fs::create_dir_all(to).tried(tried())?;
    for entry in fs::read_dir(from).tried(tried())? {
        let entry = entry.tried(tried())?;
        let (path, name) = (entry.path(), entry.file_name());
        if ["__pycache__", "build", "var", "venv"].iter().any(|left| name == *left) {
            continue;
        }
        if path.is_dir() {
            copy_app(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name)).tried(tried())?;
        }
    }
    Ok(())
}
