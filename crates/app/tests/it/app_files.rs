//! Good app files: what they become.

use app::model::{App, Listen, Origin, Ready, Restart};
use app::{Layout, parse, profile};

fn read(text: &str) -> App {
    read_in(text, &Layout::new("x"))
}

fn read_in(text: &str, layout: &Layout) -> App {
    match parse("skep.toml", text, layout) {
        Ok(app) => app,
        Err(errors) => panic!("{}", report::Failure::from(errors)),
    }
}

#[test]
fn the_smallest_file_has_the_documented_defaults() {
    let app = read("app = \"shop\"\nservices.web.command = \"gunicorn shop.wsgi\"");
    assert_eq!(app.origin, Origin::AppFile);
    let web = &app.services["web"];
    assert_eq!(web.listen, Listen::Fd);
    assert_eq!(web.profile.as_deref(), Some("gunicorn"));
    assert_eq!((web.processes, web.path.as_str(), web.restart), (1, "/", Restart::Always));
    assert_eq!((web.ready, web.ready_timeout_ms), (Ready::Http, 60_000));
    assert_eq!((web.stop_signal, web.stop_grace_ms), (15, 30_000));
    assert_eq!((web.hold_ms, web.drain_ms, web.response_timeout_ms), (10_000, 30_000, 60_000));
    assert_eq!((web.body_limit_bytes, web.in_flight, web.idle_ms), (100_000_000, 64, 0));
    assert_eq!((app.release.timeout_ms, app.build.timeout_ms), (600_000, 1_200_000));
    assert_eq!((app.deploy.watch_ms, app.deploy.keep), (10_000, 5));
    assert!(app.notes.is_empty(), "{:?}", app.notes);
}

#[test]
fn how_a_service_listens() {
    for (name, command, listen, reason) in [
        ("web", "gunicorn a", Listen::Fd, "gunicorn takes its socket as descriptor 3"),
        ("api", "uvicorn a:b", Listen::Fd, "uvicorn takes its socket as descriptor 3"),
        ("api", "hypercorn a:b", Listen::Port, "hypercorn binds `$PORT`"),
        (
            "web",
            "cd x && gunicorn a",
            Listen::Port,
            "gunicorn binds `$PORT`: the command needs a shell (`&&`), and a server ignores a \
             descriptor that is meant for its shell; `exec` before the server and `listen = \"fd\"` \
             change that",
        ),
        (
            "web",
            "uv run gunicorn a",
            Listen::Port,
            "gunicorn binds `$PORT`: `uv` stays between Skep and the server, which would ignore a \
             descriptor",
        ),
        ("web", "python app.py", Listen::Port, "its command binds `$PORT`"),
        ("queue", "python worker.py", Listen::None, "it does not listen"),
        ("web", "npm start", Listen::Port, "node binds `$PORT`"),
        ("jobs", "node jobs.js", Listen::None, "it does not listen"),
        ("web", "celery -A a worker", Listen::None, "it does not listen"),
    ] {
        let app = read(&format!("app = \"x\"\n[services.{name}]\ncommand = \"{command}\""));
        let service = &app.services[name];
        assert_eq!(service.listen, listen, "{command}");
        assert_eq!(service.listen_reason(), reason, "{command}");
        let ready = if listen == Listen::None { Ready::StaysUp(1000) } else { Ready::Http };
        assert_eq!(service.ready, ready, "{command}");
    }
}

#[test]
fn a_server_without_a_variable_gets_its_address_as_words() {
    let app = read("app = \"x\"\nservices.web.command = \"waitress-serve shop:app\"");
    let web = &app.services["web"];
    assert_eq!(web.command.words, ["waitress-serve", "--listen=127.0.0.1:${PORT}", "shop:app"]);
    assert_eq!(web.command.text, "waitress-serve shop:app");
    assert_eq!(web.stop_signal, 2);
    assert_eq!(
        app.notes,
        ["web: `--listen=127.0.0.1:${PORT}` is added to its command, because the server knows no \
          variable for its port"]
    );
    let fixed =
        read("app = \"x\"\n[services.web]\ncommand = \"waitress-serve a:b\"\nlisten = \"tcp:80\"");
    assert_eq!(fixed.services["web"].command.words, ["waitress-serve", "a:b"]);
}

#[test]
fn each_listen_mode_has_its_variables() {
    let names = |command: &str, listen: &str| -> Vec<String> {
        let app = read(&format!(
            "app = \"x\"\n[services.web]\ncommand = \"{command}\"\nlisten = \"{listen}\""
        ));
        profile::variables(&app.services["web"])
            .iter()
            .map(|variable| format!("{}={}", variable.name, variable.value))
            .collect()
    };
    let rest = ["PYTHONUNBUFFERED=1", "XDG_RUNTIME_DIR={runtime}"];
    let [unbuffered, runtime] = rest;
    assert_eq!(
        names("gunicorn a", "fd"),
        ["PORT={port}", "FORWARDED_ALLOW_IPS=*", unbuffered, runtime]
    );
    assert_eq!(
        names("uvicorn a:b", "fd"),
        ["PORT={port}", "FORWARDED_ALLOW_IPS=*", unbuffered, runtime, "UVICORN_FD=3"]
    );
    assert_eq!(
        names("uvicorn a:b", "path"),
        ["PORT={port}", "FORWARDED_ALLOW_IPS=*", unbuffered, runtime, "UVICORN_UDS={port}"]
    );
    // On a port the proxy's address is 127.0.0.1, which servers trust; others must not be.
    assert_eq!(
        names("uvicorn a:b", "port"),
        ["PORT={port}", unbuffered, runtime, "UVICORN_PORT={port}"]
    );
    assert_eq!(names("uvicorn a:b", "tcp:80"), ["PORT={port}", unbuffered, runtime]);
    assert_eq!(names("uvicorn a:b", "none"), rest);
}

#[test]
fn behind_exec_a_server_takes_the_descriptor_through_a_shell() {
    let app =
        read("app = \"x\"\n[services.web]\ncommand = \"cd a && exec gunicorn b\"\nlisten = \"fd\"");
    assert_eq!(app.services["web"].listen, Listen::Fd);
}

#[test]
fn a_configuration_file_of_gunicorns_leaves_nothing_assumed() {
    let text = "app = \"x\"\nservices.web.command = \"gunicorn --threads 4 a\"";
    assert_eq!(read(text).services["web"].idle_ms, 1000);
    let layout = Layout::new("x").with_file("gunicorn.conf.py", "keepalive = 1");
    assert_eq!(read_in(text, &layout).services["web"].idle_ms, 0);
}

#[test]
fn values_are_normalised() {
    let app = read(
        "app = \"x\"\ndata = [\"./media/\", \"a//b\"]\n[services.web]\ncommand = \"gunicorn a\"\n\
         hosts = [\"Shop.Example.com\"]\npath = \"/api/\"\nhealth = \"/up?full=1\"\n\
         stop_signal = \"SIGQUIT\"",
    );
    let paths: Vec<&str> = app.data.iter().map(|data| data.path.as_str()).collect();
    assert_eq!(paths, ["media", "a/b"]);
    let web = &app.services["web"];
    assert_eq!(web.hosts, ["shop.example.com"]);
    assert_eq!((web.path.as_str(), web.health.as_deref()), ("/api", Some("/up?full=1")));
    assert_eq!(web.stop_signal, 3);
}

#[test]
fn services_come_from_the_procfile_or_the_code_when_the_file_has_none() {
    let procfile = Layout::new("x")
        .with_file("Procfile", "web: gunicorn a\nrelease: flask db upgrade\nMail_Queue: rq worker");
    let app = read_in("app = \"shop\"", &procfile);
    assert_eq!(app.origin, Origin::AppFile);
    assert_eq!(app.services.keys().collect::<Vec<_>>(), ["mail-queue", "web"]);
    assert_eq!(app.release.command.unwrap().words, ["flask", "db", "upgrade"]);
    assert_eq!(
        app.notes,
        ["services are those of `Procfile`", "`Mail_Queue` is called `mail-queue`"]
    );
    let flask = Layout::new("x")
        .with_file("requirements.txt", "flask\ngunicorn")
        .with_file("app.py", "app = Flask(__name__)");
    let app = read_in("app = \"shop\"", &flask);
    assert_eq!(app.services["web"].command.text, "gunicorn app:app");
}

#[test]
fn a_secret_in_the_file_is_remarked_without_being_shown() {
    let app = read(
        "app = \"x\"\nservices.web.command = \"gunicorn a\"\n[env]\n\
         API_KEY = { value = \"hunter2\", secret = true }",
    );
    assert_eq!(
        app.notes,
        [
            "`API_KEY` is secret, but its default is in skep.toml:4 for everyone to read; `required = \
          true` and `skep env:set API_KEY` keep it out of the source"
        ]
    );
}

#[test]
fn the_config_is_stable_and_only_about_what_runs() {
    let file = read("app = \"shop\"\nservices.web.command = \"gunicorn a\"");
    let procfile = parse("Procfile", "web: gunicorn a\n", &Layout::new("shop")).unwrap();
    assert_ne!(file, procfile);
    assert_eq!(file.config_json(), procfile.config_json());
    let other = read("app = \"shop\"\nservices.web.command = \"gunicorn b\"");
    assert_ne!(file.config_json(), other.config_json());
    // A release record holds the value as JSON and must give it back.
    let text = serde_json::to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<App>(&text).unwrap(), file);
    insta::assert_snapshot!(file.config_json(), @r#"{"build":{"exclude":[],"include":[],"python":null,"steps":[],"timeout_ms":1200000},"data":[],"deploy":{"keep":5,"watch_ms":10000},"env":{},"name":"shop","release":{"command":null,"timeout_ms":600000},"services":{"web":{"after":[],"body_limit_bytes":100000000,"command":{"assignments":[],"shell":null,"text":"gunicorn a","words":["gunicorn","a"]},"drain_ms":30000,"env":{},"health":null,"hold_ms":10000,"hosts":[],"idle_ms":0,"in_flight":64,"listen":"fd","open_files":null,"overlap":false,"path":"/","processes":1,"profile":"gunicorn","ready":"http","ready_timeout_ms":60000,"response_timeout_ms":60000,"restart":"always","stop_grace_ms":30000,"stop_signal":15,"user":null}}}"#);
}
