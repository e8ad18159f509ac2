//! Procfiles.

use app::model::{Listen, Origin};
use app::{Layout, parse};

#[test]
fn a_procfile_is_an_app_named_after_its_directory() {
    let text = "\u{feff}# comment\r\n\r\nweb: gunicorn -b 0.0.0.0:$PORT shop.wsgi\r\n\
                worker: celery -A shop worker\r\nrelease: python manage.py migrate\r\n";
    let app = parse("Procfile", text, &Layout::new("My Shop")).unwrap();
    assert_eq!((app.name.as_str(), app.origin), ("my-shop", Origin::Procfile));
    assert_eq!(app.services.len(), 2);
    assert_eq!(app.services["web"].listen, Listen::Fd);
    assert_eq!(app.services["web"].command.words[2], "0.0.0.0:${PORT}");
    assert_eq!(app.services["worker"].listen, Listen::None);
    assert_eq!(app.release.command.unwrap().words, ["python", "manage.py", "migrate"]);
    assert_eq!(app.release.timeout_ms, 600_000);
    assert_eq!((app.deploy.keep, app.build.timeout_ms), (5, 1_200_000));
}

#[test]
fn bad_lines_are_all_told() {
    let text = "web: gunicorn a\nSECRET=hunter2 \"x\"\n web : b\nWEB: c\nq: a 'b\n-: d\nrelease: x\nrelease: y\n";
    let errors = parse("Procfile", text, &Layout::new("shop")).unwrap_err();
    insta::assert_snapshot!(report::Failure::from(errors), @r#"
error: `Procfile` has 6 errors
 --> Procfile:2:1
  |
2 | SECRET=•••••••••••
  | ^^^^^^^^^^^^^^^^^^ expected `name: command`
 --> Procfile:3:2
  |
3 |  web : b
  |  ^^^^^^^ expected `name: command`
 --> Procfile:4:1
  |
4 | WEB: c
  | ^^^ named twice, as `web`
 --> Procfile:5:4
  |
5 | q: a 'b
  |    ^^^^ this quote never ends: '
 --> Procfile:6:1
  |
6 | -: d
  | ^ not a name (lowercase letters, digits and inner hyphens, at most 63)
 --> Procfile:8:1
  |
8 | release: y
  | ^^^^^^^ named twice
"#);
}

#[test]
fn a_procfile_without_services_or_name_is_refused() {
    let errors = parse("Procfile", "# nothing\n", &Layout::new("…")).unwrap_err();
    insta::assert_snapshot!(report::Failure::from(errors), @r#"
error: `Procfile` has 2 errors
 --> Procfile:1:1
  |
1 | # nothing
  | ^ no process type is named; write lines such as `web: gunicorn app:app`
 --> Procfile:1:1
  |
1 | # nothing
  | ^ the app cannot be named after its directory `…` (lowercase letters, digits and inner hyphens, at most 63)
hint: write a skep.toml that starts with `app = "NAME"`
"#);
}

#[test]
fn two_servers_cannot_both_answer_everything() {
    let errors = parse("Procfile", "web: gunicorn a\nadmin: gunicorn b\n", &Layout::new("shop"))
        .unwrap_err();
    insta::assert_snapshot!(report::Failure::from(errors), @r#"
error: `Procfile` has 1 error
 --> Procfile:2:1
  |
2 | admin: gunicorn b
  | ^^^^^ `admin` and `web` both answer `/` of any host
hint: give one of them `hosts` or another `path` in skep.toml, or, if `admin` is not to be reached, `listen = "none"`
"#);
}
