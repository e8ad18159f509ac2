//! What is wrong before anything is started.

use crate::scene::{Rest, Scene, TinyApp, assert_says};

/// One app, made worse in every way that its files allow; v1 serves through all of it.
#[test]
fn what_cannot_be_built_changes_nothing() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    let rest = Rest::with(&scene, &[("shop", 1)]);
    let file = scene.source.join("skep.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let number_of_releases = |scene: &Scene| scene.releases("shop").len();

    // The app file: position, caret, and what was probably meant.
    for (wrong, says) in [
        (text.replace("[services.web]", "[services.web"), &["skep.toml:", "^"][..]),
        (text.replace("command =", "comand ="), &["skep.toml:", "^", "did you mean `command`"]),
        (
            text.replace("ready_timeout = \"5s\"", "ready_timeout = \"5 moons\""),
            &["skep.toml:", "^", "5 moons"],
        ),
        (
            text.replace("[services.web]", "[services.web]\nlisten = \"none\"\nhealth = \"/\""),
            &["skep.toml:", "^", "health"],
        ),
        (text.replace("app = \"shop\"", "app = \"../shop\""), &["skep.toml:1:", "^"]),
    ] {
        assert_ne!(wrong, text);
        std::fs::write(&file, wrong).unwrap();
        let output = scene.run(&["deploy"]).expect(64);
        assert_says(&output, says);
        assert_eq!(number_of_releases(&scene), 1);
        rest.wait(&scene);
    }
    std::fs::write(&file, &text).unwrap();

    // Packages that are not there.
    std::fs::write(scene.source.join("requirements.txt"), "no-such-package-of-skep==1.0\n")
        .unwrap();
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["no-such-package-of-skep", "requirements.txt"]);
    assert_eq!(number_of_releases(&scene), 1);
    rest.wait(&scene);
    std::fs::write(scene.source.join("requirements.txt"), "-r more.txt\n").unwrap();
    let output = scene.run(&["deploy"]).expect(64);
    assert_says(&output, &["more.txt"]);
    std::fs::remove_file(scene.source.join("requirements.txt")).unwrap();

    // A build step: its last lines, and what it left running is ended.
    good.with_section(
        "[build]\nsteps = [\"sleep 1000 & seq 1 40; echo the assets are wrong >&2; exit 3\"]",
    )
    .write(&scene.source);
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["build step", "exit 3", "the assets are wrong", "\n           40\n"]);
    rest.wait(&scene);
    good.with_section("[build]\nsteps = [\"sleep 1000\"]\ntimeout = \"1s\"").write(&scene.source);
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["sleep 1000", "1 s", "`timeout` in `[build]`"]);
    rest.wait(&scene);

    // A variable that nobody has set; the caller's own does not count.
    good.with_section("[env]\nMAIL_FROM = { required = true, about = \"sender of every mail\" }")
        .write(&scene.source);
    let output = scene.skep().with("MAIL_FROM", "me").run(["deploy"]).expect(1);
    assert_says(&output, &["MAIL_FROM", "sender of every mail", "skep env:set"]);
    assert_says(&output, &["Your shell has it", "nothing was built"]);
    assert_eq!(scene.releases("shop").len(), 1, "known before there is a release");
    rest.wait(&scene);
    // What it says is what helps: stored, for v1 knows no such variable.
    scene.run(&["env:set", "--stage", "MAIL_FROM=shop@example.com"]).expect(0);
    scene.run(&["deploy"]).expect(0);
    let number = scene.current("shop").unwrap();
    let rest = Rest::with(&scene, &[("shop", number)]);

    // The release command: what it said, and nothing of the new release was started.
    good.with_section("[release]\ncommand = \"sh -c 'echo no such table; exit 5'\"")
        .released("migrating")
        .write(&scene.source);
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["release command failed", "exit 5", "no such table"]);
    assert_says(&output, &[&format!("v{number} still serves")]);
    scene.assert_newest_failed("shop");
    rest.wait(&scene);
    let command = "[release]\ncommand = \"python3 -c 'import tiny'\"";
    good.with_section(command).behaving("raises").write(&scene.source);
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["KeyError: 'PORT' at tiny.py:", "skep env:set shop PORT"]);
    rest.wait(&scene);

    // A source that leads out of itself, and an empty directory.
    good.write(&scene.source);
    std::os::unix::fs::symlink("/etc/shadow", scene.source.join("settings")).unwrap();
    let output = scene.run(&["deploy"]).expect(64);
    assert_says(&output, &["settings", "exclude"]);
    let empty = scene.home.directory("empty");
    let output = scene.home.skep().in_directory(&empty).run(["deploy"]).expect(64);
    assert_says(&output, &["skep.toml", "Procfile"]);
    scene.get("/").expect(200, "release one");
    rest.wait(&scene);
}
