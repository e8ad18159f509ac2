//! Builds that fail leave nothing, and say why.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use release::{BuildError, BuildEvent, Builder, Cancel, Identity, SourceError, TakeError};
use report::Failure;

use crate::fixture::{Place, Source, app, identity, is_running};

fn with_steps(name: &str, steps: &[&str]) -> app::model::App {
    let mut app = app(name);
    app.build.steps = steps.iter().map(|step| (*step).to_owned()).collect();
    app
}

#[test]
fn a_failing_step_says_which_and_how_and_what_it_wrote() {
    let place = Place::new();
    let source = Source::new();
    source.write("a", "");
    let app = with_steps("shop", &["echo one", "echo two; echo three >&2; exit 7"]);
    let error = place.build(&app, &source).unwrap_err();
    let failure = Failure::from(error);
    assert_eq!(failure.message, "build step `echo two; echo three >&2; exit 7` failed: exit 7");
    assert_eq!(failure.details[1], ("log".to_owned(), "two\nthree".to_owned()));
    let log = fs::read_to_string(&failure.details[2].1).unwrap();
    assert!(log.contains("one\n") && log.contains("three\n"), "{log}");
    assert_eq!(place.leftovers("shop"), [""; 0]);
    assert_eq!(place.plan(&app, &source).unwrap().existing, None);
}

#[test]
fn a_requirement_that_does_not_exist_is_uvs_message() {
    let place = Place::new();
    let source = Source::new();
    source.write("requirements.txt", "gunicorn==0.0.0.1\n");
    let failure = Failure::from(place.build(&app("shop"), &source).unwrap_err());
    assert_eq!(failure.message, "installing the environment failed: exit 1");
    assert!(failure.details[1].1.contains("gunicorn==0.0.0.1"), "{failure}");
    assert_eq!(place.leftovers("shop"), [""; 0]);
}

#[test]
fn cancelling_ends_everything_a_step_started() {
    let place = Place::new();
    let source = Source::new();
    source.write("a", "");
    let here = format!("86{}", std::process::id());
    let away = format!("87{}", std::process::id());
    let step = format!(
        "trap '' TERM; setsid sleep {away} & sleep {here} & echo started; wait; sleep {here}"
    );
    let app = with_steps("shop", &[&step]);
    let builder = place.builder(&app, &source);
    let cancel = Cancel::new().unwrap();
    let plan = builder.plan(&cancel).unwrap();
    let mut seen = false;
    let result = builder.build(
        &plan,
        &mut |event| {
            if event == BuildEvent::Line("started".to_owned()) {
                seen = true;
                cancel.cancel();
            }
        },
        &cancel,
    );
    assert!(matches!(result, Err(BuildError::Cancelled)), "{result:?}");
    assert!(seen && !is_running(&here) && !is_running(&away));
    assert_eq!(place.leftovers("shop"), [""; 0]);
    assert_eq!(Failure::from(result.unwrap_err()).kind, report::Kind::Interrupted);
}

#[test]
fn a_build_has_a_time_limit_and_daemons_do_not_outlive_it() {
    let place = Place::new();
    let source = Source::new();
    source.write("a", "");
    let mut app = with_steps("shop", &["sleep 1000"]);
    app.build.timeout_ms = 300;
    let error = place.build(&app, &source).unwrap_err();
    assert!(matches!(error, BuildError::TimedOut { .. }), "{error:?}");

    let daemon = format!("88{}", std::process::id());
    let app = with_steps(
        "shop",
        &[&format!(
            "mkfifo up; setsid sh -c 'echo >up; exec sleep {daemon}' & read line <up; rm up"
        )],
    );
    let (_, events) = place.build(&app, &source).unwrap();
    assert!(!is_running(&daemon));
    let ended = "1 processes that the build left running were ended";
    assert!(events.contains(&BuildEvent::Notice(ended.to_owned())), "{events:?}");
}

#[test]
fn what_no_release_may_hold_is_refused_after_the_build() {
    let place = Place::new();
    let source = Source::new();
    source.write("a", "");
    let refused = |step: &str| match place.build(&with_steps("shop", &[step]), &source) {
        Err(BuildError::Take(error)) => error,
        other => panic!("{step}: {other:?}"),
    };
    assert!(matches!(refused("cp /bin/true x && chmod u+s x"), TakeError::Kind { .. }));
    assert!(matches!(refused("mkfifo x"), TakeError::Kind { .. }));
    assert!(matches!(refused("ln -s /etc/passwd x"), TakeError::LinkOut { .. }));
    assert!(matches!(refused("ln -s ../../x x"), TakeError::LinkOut { .. }));
    assert!(matches!(refused("touch \"$(printf 'x\\ny')\""), TakeError::Path { .. }));
    assert!(matches!(refused("touch \"$(printf 'x\\377')\""), TakeError::NotUtf8(_)));
    // By its text this one stays inside; by way of the other it leaves.
    let twice = "mkdir -p d/e && ln -s ../.. d/e/up && ln -s d/e/up/../manifest x";
    assert!(matches!(refused(twice), TakeError::LinkOut { .. }));
    assert_eq!(place.leftovers("shop"), [""; 0]);
}

#[test]
fn what_no_release_may_hold_is_refused_before_the_build() {
    let place = Place::new();
    let plan = |prepare: &dyn Fn(&Path)| {
        let source = Source::new();
        prepare(source.path());
        match place.plan(&app("shop"), &source) {
            Err(BuildError::Source(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let link = plan(&|path| symlink("/etc/passwd", path.join("x")).unwrap());
    assert_eq!(link.to_string(), "`x` in the source points out of it, to `/etc/passwd`");
    let socket = plan(&|path| {
        std::os::unix::net::UnixListener::bind(path.join("x")).unwrap();
    });
    assert!(matches!(socket, SourceError::Kind { what: "a socket", .. }));
    let newline = plan(&|path| fs::write(path.join("x\ny"), "").unwrap());
    assert_eq!(newline.to_string(), "`x\\ny` in the source cannot be part of a release");
    let set_id = plan(&|path| {
        fs::write(path.join("x"), "").unwrap();
        fs::set_permissions(path.join("x"), fs::Permissions::from_mode(0o4755)).unwrap();
    });
    assert!(matches!(set_id, SourceError::Kind { what: "a set-id file", .. }));
}

#[test]
fn an_interpreter_the_user_may_not_reach_is_named_and_the_next_one_taken() {
    let Identity::User(_) = identity() else { return };
    let place = Place::new();
    let source = Source::new();
    source.write("app.py", "");
    let hidden = Source::new();
    fs::create_dir(hidden.path().join("bin")).unwrap();
    // A real interpreter; a link would resolve to one that everybody reaches.
    fs::copy("/usr/bin/python3", hidden.path().join("bin/python3")).unwrap();
    fs::set_permissions(hidden.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let caller = [("PATH".to_owned(), hidden.path().join("bin").display().to_string())]
        .into_iter()
        .collect();
    let app = app("shop");
    let builder = Builder::new(&place.home, &app, source.path(), identity(), &caller);
    let plan = builder.plan(&Cancel::new().unwrap()).unwrap();
    let notice = format!("nobody may not enter {} (mode 0700)", hidden.path().display());
    assert!(plan.notices.iter().any(|text| text.contains(&notice)), "{:?}", plan.notices);

    let mut app = app;
    app.build.python = Some("==3.99.*".to_owned());
    let builder = Builder::new(&place.home, &app, source.path(), identity(), &caller);
    let failure = Failure::from(builder.plan(&Cancel::new().unwrap()).unwrap_err());
    assert_eq!(failure.message, "no Python ==3.99.* here that nobody may execute");
    assert!(failure.details.iter().any(|(_, why)| *why == notice), "{failure}");
}

#[test]
fn a_home_that_the_user_cannot_reach_is_named() {
    let Identity::User(_) = identity() else { return };
    let place = Place::new();
    fs::set_permissions(place.root(), fs::Permissions::from_mode(0o700)).unwrap();
    let source = Source::new();
    source.write("a", "");
    let failure = Failure::from(place.build(&app("shop"), &source).unwrap_err());
    assert!(failure.message.starts_with("nobody may not enter"), "{failure}");
    assert_eq!(failure.hints[0], format!("chmod a+x {}", place.root().display()));
}
