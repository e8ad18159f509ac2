//! Somebody else has it: addresses, names, rights.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use testkit::TempHome;

use crate::scene::{BINARY, Rest, Scene, TinyApp, assert_says, get_of_host, is_root};
use crate::support::port::Port;

#[test]
fn a_taken_address_names_who_has_it() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    let rest = Rest::with(&scene, &[("shop", 1)]);

    // A stranger: us.
    let port = Port::take();
    let listener = TcpListener::bind(port.address()).unwrap();
    let address = port.address().to_string();
    good.released("two").write(&scene.source);
    let output = scene.run(&["deploy", "--listen", &address]).expect(1);
    let us = format!("process {}", std::process::id());
    assert_says(&output, &[&address, &us, "--listen"]);
    scene.assert_newest_failed("shop");
    scene.get("/").expect(200, "release one");
    rest.wait(&scene);
    drop(listener);

    // Another app of the same installation: before anything is built, naming it.
    let blog = TinyApp::new("blog").with_section("[build]\nsteps = [\"echo building\"]");
    let directory = scene.home.directory("blog");
    blog.write(&directory);
    let skep = scene.home.skep().in_directory(&directory);
    let output = skep.run(["up", "--detach", "--listen", &scene.address()]).expect(5);
    assert_says(&output, &["shop/web", &scene.address(), "hosts"]);
    assert!(!output.stderr.contains("building"), "{output}");
    rest.wait(&scene);
    scene.get("/").expect(200, "release one");

    // With hosts of its own it may; a second claim of one of them may not.
    blog.with_web("hosts = [\"blog.localhost\"]").write(&directory);
    skep.run(["up", "--detach", "--listen", &scene.address()]).expect(0);
    get_of_host(scene.port.address(), "blog.localhost", "/").expect(200, "release one");
    let output = scene.deploy(&good.with_web("hosts = [\"a.localhost\", \"blog.localhost\"]"));
    assert_says(&output.expect(5), &["blog/web", "blog.localhost"]);
    scene.get("/").expect(200, "release one");

    // A port that is none.
    for wrong in ["0", "127.0.0.1", "somewhere:80", ":99999"] {
        scene.run(&["deploy", "--listen", wrong]).expect(64);
    }
}

/// An ordinary user can do everything but what needs root, and is told what that is.
#[test]
fn an_ordinary_user_is_told_what_needs_root() {
    let scene = Scene::of_nobody();
    let good = TinyApp::new("shop");
    good.write(&scene.source);
    let lowest = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if lowest.trim().parse::<u16>().unwrap() > 81 {
        let output = scene.run(&["up", "--detach", "--listen", "127.0.0.1:81"]).expect(77);
        assert_says(&output, &["127.0.0.1:81", "--listen"]);
    }
    scene.up();
    scene.get("/").expect(200, "release one");
    good.with_web("user = \"root\"").write(&scene.source);
    let output = scene.run(&["deploy"]);
    assert!(matches!(output.code, Some(64 | 77)), "{output}");
    assert_says(&output, &["user"]);
    scene.get("/").expect(200, "release one");

    good.write(&scene.source);

    // A home that is not theirs to make.
    let closed = scene.home.directory("closed");
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o555)).unwrap();
    let skep = scene.skep().with("SKEP_HOME", closed.join("home"));
    let output = skep.run(["up", "--detach"]).expect(77);
    assert_says(&output, &["closed/home", "hint"]);
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o755)).unwrap();

    if is_root() {
        // Somebody else's installation, here root's.
        let root = Scene::of(TempHome::new(BINARY));
        root.run(&["agent:start"]).expect(0);
        let skep = scene.skep().with("SKEP_HOME", root.home.home().root());
        let output = skep.run(["ps"]).expect(77);
        assert_says(&output, &["hint"]);
    }
}
