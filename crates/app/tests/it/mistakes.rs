//! Every message of the app file, once.

use app::{Layout, parse};

fn mistakes(text: &str) -> String {
    mistakes_in(text, &Layout::new("shop"))
}

fn mistakes_in(text: &str, layout: &Layout) -> String {
    match parse("skep.toml", text, layout) {
        Ok(app) => panic!("accepted: {app:#?}"),
        Err(errors) => report::Failure::from(errors).to_string(),
    }
}

/// Each `toml` line that is wrong in a service, and what is said about it.
fn service_mistake(lines: &str) -> String {
    let shown =
        mistakes(&format!("app = \"shop\"\n[services.web]\ncommand = \"gunicorn a\"\n{lines}\n"));
    labels(&shown)
}

fn labels(shown: &str) -> String {
    let carets = shown.lines().filter_map(|line| line.split_once("^ ").map(|(_, label)| label));
    carets.collect::<Vec<_>>().join(" | ")
}

#[test]
fn unknown_keys_at_every_level() {
    insta::assert_snapshot!(mistakes(
        "app = \"shop\"\nservice = 1\n[build]\nstep = []\n[release]\ncmd = \"x\"\n[deploy]\nwach = \"1s\"\n\
         [env]\nK = { requird = true }\n[services.web]\ncomand = \"x\"\ncommand = \"gunicorn a\"\n"
    ), @r#"
error: `skep.toml` has 6 errors
 --> skep.toml:2:1
  |
2 | service = 1
  | ^^^^^^^ unknown key in the app file; did you mean `services`?
 --> skep.toml:4:1
  |
4 | step = []
  | ^^^^ unknown key in [build]; did you mean `steps`?
 --> skep.toml:6:1
  |
6 | cmd = "x"
  | ^^^ unknown key in [release]
 --> skep.toml:8:1
  |
8 | wach = "1s"
  | ^^^^ unknown key in [deploy]; did you mean `watch`?
  --> skep.toml:10:7
   |
10 | K = { requird = true }
   |       ^^^^^^^ unknown key in variable `K`; did you mean `required`?
  --> skep.toml:12:1
   |
12 | comand = "x"
   | ^^^^^^ unknown key in [services.web]; did you mean `command`?
hint: keys of [release]: command, timeout
"#);
}

#[test]
fn syntax() {
    insta::assert_snapshot!(mistakes("app = \"shop\nx = 1\n"), @r#"
error: `skep.toml` has 1 error
 --> skep.toml:1:12
  |
1 | app = "shop
  |            ^ invalid basic string, expected `"`
"#);
    insta::assert_snapshot!(mistakes("app = \"a\"\napp = \"b\"\n"), @r#"
error: `skep.toml` has 1 error
 --> skep.toml:2:1
  |
2 | app = "b"
  | ^^^ duplicate key
"#);
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(mistakes(""), @r#"
error: `skep.toml` has 2 errors
 --> skep.toml:1:1
  |
1 | 
  | ^ `app` is missing: the app's name
 --> skep.toml:1:1
  |
1 | 
  | ^ no `[services]`, no `Procfile`, and no starter layout that Skep knows (Flask, FastAPI or Starlette in `app.py`, `main.py`, `wsgi.py` or a package; Django's `manage.py`)
hint: start the file with `app = "NAME"`
hint: add `[services.web]` with `command = "…"`
"#);
}

#[test]
fn names() {
    insta::assert_snapshot!(mistakes(
        "app = \"My Shop\"\n[services.Web_1]\ncommand = \"gunicorn a\"\n[services.\"…\"]\ncommand = \"b\"\n"
    ), @r#"
error: `skep.toml` has 3 errors
 --> skep.toml:1:7
  |
1 | app = "My Shop"
  |       ^^^^^^^^^ not a name (lowercase letters, digits and inner hyphens, at most 63); write `my-shop`
 --> skep.toml:2:11
  |
2 | [services.Web_1]
  |           ^^^^^ not a name (lowercase letters, digits and inner hyphens, at most 63); write `web-1`
 --> skep.toml:4:11
  |
4 | [services."…"]
  |           ^^^ not a name (lowercase letters, digits and inner hyphens, at most 63)
"#);
    insta::assert_snapshot!(labels(&mistakes("app = \"skep\"\nservices.web.command = \"x\"")), @r#"`skep` is the name of Skep's own services"#);
}

#[test]
fn types() {
    insta::assert_snapshot!(mistakes(
        "app = 1\ndata = \"media\"\nservices = []\nrelease = \"migrate\"\n[build]\npython = 3.12\nsteps = [1]\n\
         [deploy]\nkeep = \"5\"\nwatch = true\n[env]\nDEBUG = false\n"
    ), @r#"
error: `skep.toml` has 9 errors
 --> skep.toml:1:7
  |
1 | app = 1
  |       ^ expected a string; write `"1"`
 --> skep.toml:2:8
  |
2 | data = "media"
  |        ^^^^^^^ expected a list; put it in `[` `]`
 --> skep.toml:3:12
  |
3 | services = []
  |            ^^ expected a table, found array
 --> skep.toml:4:11
  |
4 | release = "migrate"
  |           ^^^^^^^^^ expected a table, found string
 --> skep.toml:6:10
  |
6 | python = 3.12
  |          ^^^^ expected a string; write `"3.12"`
 --> skep.toml:7:10
  |
7 | steps = [1]
  |          ^ expected a string, found integer
 --> skep.toml:9:8
  |
9 | keep = "5"
  |        ^^^ expected a whole number from 1 to 100, found string
  --> skep.toml:10:9
   |
10 | watch = true
   |         ^^^^ expected a duration such as `"30s"`, found boolean
  --> skep.toml:12:9
   |
12 | DEBUG = false
   |         ^^^^^ expected a string; write `"false"`
"#);
    insta::assert_snapshot!(mistakes(
        "app = \"shop\"\n[services]\nweb = \"gunicorn a\"\nqueue = {}\n"
    ), @r#"
error: `skep.toml` has 2 errors
 --> skep.toml:3:7
  |
3 | web = "gunicorn a"
  |       ^^^^^^^^^^^^ expected a table; write `{ command = "…" }`
 --> skep.toml:4:1
  |
4 | queue = {}
  | ^^^^^ `command` is missing: what does this service run?
"#);
}

#[test]
fn values_of_a_service() {
    for (lines, expected) in [
        ("processes = -1", "expected a number from 0 to 1000"),
        ("processes = 1.5", "expected a whole number from 0 to 1000, found float"),
        ("listen = \"prot\"", "did you mean `\"port\"`?"),
        ("listen = \"5200\"", "for a fixed port write `\"tcp:5200\"`"),
        ("listen = \"tcp:70000\"", "expected a port from 1 to 65535 behind `tcp:`"),
        ("listen = \"tcp:+80\"", "expected a port from 1 to 65535 behind `tcp:`"),
        (
            "listen = \"x\"",
            "expected `\"fd\"`, `\"path\"`, `\"port\"`, `\"none\"` or a fixed port such as `\"tcp:5200\"`",
        ),
        ("health = \"up\"", "must start with `/`: write `\"/up\"`"),
        ("health = \"/a b\"", "not a URL path; write other characters as `%41`"),
        ("path = \"/a?b\"", "expected a path without `?` and `#`"),
        ("path = \"/a/../b\"", "expected a path without `//`, `.` and `..`"),
        ("hosts = [\"https://a.b\"]", "expected only the host, without scheme and path"),
        ("hosts = [\"a.b:80\"]", "expected only the host, without a port"),
        (
            "hosts = [\"*.a.b\"]",
            "patterns are not supported; name each host, or leave `hosts` out for any",
        ),
        ("hosts = [\"é.b\"]", "expected the host's ASCII form (`xn--…`)"),
        ("hosts = [\"-a.b\"]", "not a host name"),
        ("hosts = [\"a.b\", \"A.b\"]", "named twice"),
        ("hosts = \"a.b\"", "expected a list; put it in `[` `]`"),
        ("user = \"root\"", "no service runs as `root`"),
        ("user = \"A B\"", "not the name of a user"),
        (
            "stop_signal = \"KILL\"",
            "not a signal that can ask for an orderly end; one of `TERM`, `INT`, `QUIT`, `HUP`, `USR1`, `USR2`, `WINCH`",
        ),
        ("stop_grace = 30", "`30` has no unit; write `\"30s\"`"),
        (
            "stop_grace = \"2 days\"",
            "not a duration; write for example `\"30s\"`, `\"1m30s\"` or `\"500ms\"`",
        ),
        ("drain = \"48h\"", "longer than a day"),
        ("ready_timeout = \"0s\"", "must be at least `1s`"),
        ("ready = \"htpp\"", "did you mean `\"http\"`?"),
        ("ready = \"10\"", "`10` has no unit; write `\"10s\"`"),
        (
            "ready = \"soon\"",
            "expected `\"http\"`, `\"notify\"` or how long it must stay up, such as `\"10s\"`",
        ),
        ("restart = \"on_failure\"", "did you mean `\"on-failure\"`?"),
        ("restart = \"x\"", "expected one of `\"always\"`, `\"on-failure\"`, `\"never\"`"),
        ("body_limit = \"100mb\"", "not a size; write for example `\"100MB\"` or `\"64MiB\"`"),
        ("body_limit = -1", "not a size; write for example `\"100MB\"` or `\"64MiB\"`"),
        ("in_flight = 0", "expected a number from 1 to 4096"),
        ("after = [\"web\"]", "a service cannot start after itself"),
        ("after = [\"wep\"]", "no such service; did you mean `web`?"),
        ("after = [\"database\"]", "no such service in this app"),
        ("env.PORT = \"80\"", "set by Skep for each start"),
        (
            "env.A-B = \"x\"",
            "not the name of a variable: letters, digits and `_`, not a digit first",
        ),
        ("env.A = 1", "expected a string; write `\"1\"`"),
        (
            "env.A = { secret = true }",
            "expected a string; `required`, `secret` and the like belong into `[env]`",
        ),
    ] {
        assert_eq!(service_mistake(lines), expected, "{lines}");
    }
}

#[test]
fn commands() {
    for (command, expected) in [
        ("", "the command is empty"),
        ("A=1", "the command names no program"),
        ("PORT=80 node a", "`PORT` is set by Skep for each start"),
        ("gunicorn 'a", "this quote never ends: '"),
        ("a\\u0000b", "holds a NUL character"),
        // Nothing is said about what follows from it.
        ("gunicorn 'a\"\nhosts = [\"x.y\"]\nhealth = \"/x", "this quote never ends: '"),
    ] {
        let shown = mistakes(&format!("app = \"x\"\n[services.api]\ncommand = \"{command}\"\n"));
        assert_eq!(labels(&shown), expected, "{command:?}");
    }
}

#[test]
fn keys_that_contradict_each_other() {
    for (lines, expected) in [
        ("listen = \"none\"\nhealth = \"/\"", "contradicts `listen = \"none\"`"),
        ("listen = \"none\"\nhosts = [\"a.b\"]", "contradicts `listen = \"none\"`"),
        ("listen = \"none\"\nready = \"http\"", "`web` does not listen, so it cannot answer"),
        (
            "listen = \"tcp:80\"\nprocesses = 2",
            "contradicts the fixed port: only one process can listen on it",
        ),
        ("listen = \"tcp:80\"\noverlap = true", "two processes cannot listen on one fixed port"),
        ("overlap = true", "is for services that do not listen; `web` always overlaps"),
        (
            "health = \"/up\"\nready = \"notify\"",
            "contradicts `ready`: only `\"http\"` asks for it",
        ),
    ] {
        assert_eq!(service_mistake(lines), expected, "{lines}");
    }
    insta::assert_snapshot!(mistakes(
        "app = \"shop\"\n[services.queue]\ncommand = \"python worker.py\"\nhealth = \"/up\"\n\
         [services.web]\ncommand = \"cd a && gunicorn b\"\nlisten = \"fd\"\n"
    ), @r#"
error: `skep.toml` has 2 errors
 --> skep.toml:4:1
  |
4 | health = "/up"
  | ^^^^^^ `queue` does not listen, so this has no effect
 --> skep.toml:7:1
  |
7 | listen = "fd"
  | ^^^^^^ the command needs a shell (`&&`), which would get the descriptor instead
hint: if `queue` listens on `$PORT`, write `listen = "port"`
hint: write `exec` before the server in the command, or `listen = "port"`
"#);
}

#[test]
fn services_that_claim_the_same_requests() {
    insta::assert_snapshot!(mistakes(
        "app = \"shop\"\n[services.a]\ncommand = \"gunicorn a\"\nhosts = [\"x.y\", \"z.y\"]\n\
         [services.b]\ncommand = \"gunicorn b\"\nhosts = [\"z.y\"]\n\
         [services.c]\ncommand = \"gunicorn c\"\n[services.d]\ncommand = \"gunicorn d\"\n\
         [services.e]\ncommand = \"gunicorn e\"\npath = \"/e\"\n"
    ), @r#"
error: `skep.toml` has 2 errors
 --> skep.toml:7:10
  |
7 | hosts = ["z.y"]
  |          ^^^^^ `b` and `a` both answer `z.y/`
  --> skep.toml:10:11
   |
10 | [services.d]
   |           ^ `d` and `c` both answer `/` of any host
hint: give one of them `hosts` or another `path` in skep.toml, or, if `b` is not to be reached, `listen = "none"`
hint: give one of them `hosts` or another `path` in skep.toml, or, if `d` is not to be reached, `listen = "none"`
"#);
}

#[test]
fn orders_that_never_begin() {
    insta::assert_snapshot!(mistakes(
        "app = \"shop\"\n[services.a]\ncommand = \"x\"\nafter = [\"b\"]\n\
         [services.b]\ncommand = \"x\"\nafter = [\"c\", \"d\"]\n\
         [services.c]\ncommand = \"x\"\nafter = [\"a\"]\n[services.d]\ncommand = \"x\"\n"
    ), @r#"
error: `skep.toml` has 1 error
 --> skep.toml:4:1
  |
4 | after = ["b"]
  | ^^^^^ would never start: a after b after c after a
"#);
}

#[test]
fn data_paths() {
    let layout = Layout::new("shop").with_file("env3/pyvenv.cfg", "");
    for (path, expected) in [
        ("/var/lib", "must be relative to the source directory"),
        ("~/x", "must be relative to the source directory; `~` is not expanded"),
        ("a/../../b", "leaves the source directory"),
        (".", "the whole source cannot be data; name what the app writes"),
        ("", "not a path"),
        ("a\\nb", "not a path"),
        ("*.db", "patterns are not supported; name a file or a directory"),
        ("media/x", "overlaps `media`; name the outer one only"),
        ("./media", "`media` is named twice"),
        ("skep.toml", "`skep.toml` belongs to the source, not to its data"),
        (".git/hooks", "`.git` belongs to the source, not to its data"),
        (".venv/lib", "`.venv` is a Python environment; each release has its own"),
        ("env3", "`env3` is a Python environment; each release has its own"),
    ] {
        let text = format!(
            "app = \"x\"\ndata = [\"media\", \"{path}\"]\nservices.web.command = \"gunicorn a\"\n"
        );
        assert_eq!(labels(&mistakes_in(&text, &layout)), expected, "{path}");
    }
}

#[test]
fn patterns_and_build() {
    for (line, expected) in [
        ("include = [\"../x\"]", "leaves the source directory"),
        ("exclude = [\"/x\"]", "expected a pattern relative to the source"),
        ("exclude = [\"a[\"]", "unclosed character class; missing ']'"),
        ("python = \"three!?\"", "not a Python version; write for example `\"3.12\"`"),
        ("steps = [\" \"]", "the step is empty"),
        ("timeout = \"0s\"", "must be at least `1s`"),
    ] {
        let shown = mistakes(&format!(
            "app = \"x\"\nservices.web.command = \"gunicorn a\"\n[build]\n{line}\n"
        ));
        assert_eq!(labels(&shown), expected, "{line}");
    }
}

#[test]
fn variables_contradict_themselves_and_keep_their_secrets() {
    insta::assert_snapshot!(mistakes(
        "app = \"shop\"\nservices.web.command = \"gunicorn a\"\n[env]\n\
         A = { value = \"hunter2\", required = true }\n\
         B = { value = \"hunter2\", generate = 32 }\n\
         C = { required = true, generate = 32 }\n\
         D = { generate = 4 }\n\
         1E = \"hunter2\"\n\
         F = { value = 1 }\n\
         PORT = \"80\"\n"
    ), @r#"
error: `skep.toml` has 7 errors
 --> skep.toml:4:26
  |
4 | A = { value = "•••••••", required = true }
  |                          ^^^^^^^^ contradicts `value`: with a default it is never missing
 --> skep.toml:5:26
  |
5 | B = { value = "•••••••", generate = 32 }
  |                          ^^^^^^^^ contradicts `value`: there is nothing to generate
 --> skep.toml:6:7
  |
6 | C = { required = true, generate = 32 }
  |       ^^^^^^^^ contradicts `generate`: it is never missing
 --> skep.toml:7:18
  |
7 | D = { generate = 4 }
  |                  ^ expected a number from 8 to 1024
 --> skep.toml:8:1
  |
8 | 1E = "•••••••"
  | ^^ not the name of a variable: letters, digits and `_`, not a digit first
 --> skep.toml:9:15
  |
9 | F = { value = 1 }
  |               ^ expected a string; write `"1"`
  --> skep.toml:10:1
   |
10 | PORT = "••"
   | ^^^^ set by Skep for each start
hint: for a fixed port write `listen = "tcp:5000"` in the service
"#);
}

#[test]
fn services_that_neither_file_nor_code_names() {
    insta::assert_snapshot!(mistakes("app = \"shop\"\n"), @r#"
error: `skep.toml` has 1 error
 --> skep.toml:1:1
  |
1 | app = "shop"
  | ^ no `[services]`, no `Procfile`, and no starter layout that Skep knows (Flask, FastAPI or Starlette in `app.py`, `main.py`, `wsgi.py` or a package; Django's `manage.py`)
hint: add `[services.web]` with `command = "…"`
"#);
    let layout = Layout::new("shop").with_file("Procfile", "web gunicorn\n");
    insta::assert_snapshot!(mistakes_in("app = \"shop\"\n", &layout), @r#"
error: `skep.toml` has 1 error
 --> skep.toml:1:1
  |
1 | app = "shop"
  | ^ no `[services]` here, and `Procfile` has 1 error
hint: Procfile:1:1: expected `name: command`
"#);
}
