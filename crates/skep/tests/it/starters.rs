//! What tutorials and `startproject` give, as it is: SQLite beside the code is data, and stays.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use testkit::Output;

use crate::scene::{Rest, Scene, assert_says, copy_example, get, is_root, post};
use crate::support::port::Port;

#[test]
fn starters_keep_their_data_over_three_deploys() {
    starters(&Scene::new());
}

#[test]
fn starters_keep_their_data_over_three_deploys_of_an_ordinary_user() {
    if is_root() {
        starters(&Scene::of_nobody());
    }
    // Else the test above is this one.
}

fn starters(scene: &Scene) {
    let (flask_port, django_port) = (scene.port.address(), Port::take());

    let flask = prepare(scene, "flask-tutorial");
    let output = up(scene, &flask, &scene.port);
    assert_says(&output, &["`instance`"]);
    for number in 1..=3 {
        let form = format!("title=post-number-{number}");
        let created = post(flask_port, "/create", &form);
        assert_eq!(created.status, 303, "{}", created.text);
        deploy_changed(scene, &flask, number);
        let page = get(flask_port, "/");
        for kept in 1..=number {
            page.expect(200, &format!("post-number-{kept}"));
        }
    }

    let django = prepare(scene, "django-startproject");
    let output = up(scene, &django, &django_port);
    assert_says(&output, &["`db.sqlite3`"]);
    let django_port = django_port.address();
    // Being asked whether it is ready is a visit too.
    let mut visits = visit(django_port);
    for number in 1..=3 {
        deploy_changed(scene, &django, number);
        let later = visit(django_port);
        assert!(later > visits, "{later} visits after {visits}");
        visits = later;
    }
    // The whole of Django works on it, with its own tables.
    get(django_port, "/admin/login/").expect(200, "csrfmiddlewaretoken");

    Rest::with(scene, &[("flask-tutorial", 4), ("django-startproject", 4)]);
    let back = scene.home.skep().run(["rollback", "django-startproject", "--to", "v1"]).expect(0);
    assert_says(&back, &["undo"]);
    assert!(visit(django_port) > visits);

    // The data lies in one place and belongs to whom the processes belong to.
    let home = scene.home.home();
    assert!(home.data("flask-tutorial").join("instance/flaskr.sqlite").is_file());
    let owner = home.data("django-startproject").join("db.sqlite3").metadata().unwrap().uid();
    let rows = scene.processes();
    let web = rows.iter().find(|row| row.service == "django-startproject/web").unwrap();
    let process = PathBuf::from(format!("/proc/{}", web.pid.unwrap()));
    assert_eq!(process.metadata().unwrap().uid(), owner);
}

/// The example of the tour: migrations, compiled assets, a service that listens nowhere.
#[test]
fn the_guestbook_keeps_its_entries() {
    let scene = Scene::new();
    copy_example("guestbook", &scene.source);
    let file = scene.source.join("skep.toml");
    let text = std::fs::read_to_string(&file).unwrap() + "\n[deploy]\nwatch = \"0s\"\n";
    std::fs::write(&file, &text).unwrap();
    scene.up();
    let form = "name=Ann&message=kept-for-ever";
    assert_eq!(post(scene.port.address(), "/entries", form).status, 303);
    for greeting in ["One more.", "Two more.", "Three more."] {
        std::fs::write(&file, text.replace("Leave a line.", greeting)).unwrap();
        scene.run(&["deploy"]).expect(0);
        let page = scene.get("/");
        page.expect(200, "kept-for-ever");
        page.expect(200, greeting);
    }
    Rest::with(&scene, &[("guestbook", 4)]);
}

/// Copies a starter to where its app is developed, for the user who does.
fn prepare(scene: &Scene, name: &str) -> PathBuf {
    let directory = scene.home.path(name);
    copy_example(&format!("starters/{name}"), &directory);
    let developer = scene.source.metadata().unwrap();
    give(&directory, developer.uid(), developer.gid());
    directory
}

fn give(path: &Path, uid: u32, gid: u32) {
    chown(path, Some(uid), Some(gid)).unwrap();
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        give(&entry.path(), uid, gid);
    }
}

/// Visits the Django app and returns the number of visits that it has in its database.
fn visit(address: SocketAddr) -> u32 {
    let answer = get(address, "/");
    let number = answer.text.rsplit("visit ").next().and_then(|text| text.trim().parse().ok());
    number.unwrap_or_else(|| panic!("no visit: {answer:?}"))
}

fn up(scene: &Scene, directory: &Path, port: &Port) -> Output {
    let skep = scene.home.skep().in_directory(directory);
    skep.run(["up", "--detach", "--listen", &port.address().to_string()]).expect(0)
}

/// Changes the code and deploys it.
fn deploy_changed(scene: &Scene, directory: &Path, number: u32) {
    std::fs::write(directory.join("notes.txt"), format!("change {number}\n")).unwrap();
    let deployed = scene.home.skep().in_directory(directory).start(["deploy"]);
    deployed.finish(std::time::Duration::from_secs(120)).expect(0);
}
