//! Which cookbooks there are and which are meant; the lock.

use std::fs;
use std::os::unix::fs::symlink;

use cookbook::{Files, LOCK, parse_lock};
use insta::assert_snapshot;
use recipe::Sources as _;
use report::Failure;

use crate::scene::{Scene, manifest, write};

#[test]
fn the_lock_is_stable_and_held_against_the_files() {
    let scene = Scene::new()
        .cookbook("web", "1.0.0", &[("nginx", "~> 1.2"), ("base", "*")])
        .cookbook("nginx", "1.4.0", &[])
        .file("../shared/base/cookbook.toml", &manifest("base", "0.1.0", &[]))
        .file("cookbooks.toml", "[sources]\nbase = { path = \"../shared/base\" }\n");
    assert_eq!(scene.chosen(), ["base 0.1.0", "nginx 1.4.0", "web 1.0.0"]);
    let resolution = scene.resolve().unwrap();
    let missing = scene.open().check_lock(&resolution).unwrap_err();
    assert_snapshot!(Failure::from(missing), @"
    error: `cookbooks.lock` is not what the cookbooks are now
      caused by: there is no cookbooks.lock
    hint: without --locked cookbooks.lock is written again; commit it
    ");
    assert_eq!(scene.open().write_lock(&resolution).unwrap(), [] as [String; 0]);
    let text = fs::read_to_string(scene.root().join(LOCK)).unwrap();
    assert_snapshot!(text, @r#"
    # Written by Skep from every cookbook.toml and cookbooks.toml; not edited by hand.
    version = 1

    [[cookbook]]
    name = "base"
    version = "0.1.0"
    source = "path ../shared/base"
    sha256 = "b8d6f3747ca2fd79df670b183bcc650560804a5b25f3308d616de24c8145f41a"

    [[cookbook]]
    name = "nginx"
    version = "1.4.0"
    source = "cookbooks"
    sha256 = "bd7200489f77e188b08fb3372627d25cf766acfb63d52f83c65f79cae8b3ccd2"

    [[cookbook]]
    name = "web"
    version = "1.0.0"
    source = "cookbooks"
    sha256 = "b90ccf72f09497bbf121a4c827bd46be4c57cfd3b23a4f788deddf2431a080e3"
    dependencies = ["base", "nginx"]
    "#);
    assert_eq!(parse_lock(&text).unwrap().to_text(), text);
    scene.open().check_lock(&scene.resolve().unwrap()).unwrap();

    write(&scene.root().join("cookbooks/nginx/files/x"), "x");
    let scene = scene.cookbook("web", "1.1.0", &[("nginx", "~> 1.2")]);
    let drift = scene.open().check_lock(&scene.resolve().unwrap()).unwrap_err();
    assert_snapshot!(Failure::from(drift), @"
    error: `cookbooks.lock` is not what the cookbooks are now
      caused by: the files of nginx are different
      caused by: web is 1.1.0, not 1.0.0
    hint: without --locked cookbooks.lock is written again; commit it
    ");
}

#[test]
fn overrides_win_and_two_sources_are_an_error() {
    let scene = Scene::new()
        .cookbook("nginx", "1.0.0", &[])
        .file("../nginx/cookbook.toml", &manifest("nginx", "2.0.0", &[]))
        .file("cookbooks.toml", "[overrides]\nnginx = { path = \"../nginx\" }\n");
    assert_eq!(scene.chosen(), ["nginx 2.0.0"]);
    let scene = scene.file("cookbooks.toml", "[sources]\nnginx = { path = \"../nginx\" }\n");
    assert_snapshot!(scene.wrong(), @r#"
    error: `nginx` is in `cookbooks/` and in `[sources]` of `cookbooks.toml`
     --> cookbooks.toml:2:1
      |
    2 | nginx = { path = "../nginx" }
      | ^^^^^ also here
    hint: to put another one in its place, write it into `[overrides]`
    "#);
}

#[test]
fn what_cannot_be_is_told() {
    let scene = Scene::new()
        .cookbook("web", "1.0.0", &[("base", "~> 1.0")])
        .cookbook("mail", "1.0.0", &[("base", ">= 2.0")])
        .cookbook("base", "1.2.0", &[]);
    assert_snapshot!(scene.wrong(), @"
    error: the cookbooks' versions do not fit together
      caused by: Because mail 1.0.0 needs base >=2.0.0 and this repository has mail 1.0.0, base >=2.0.0 must be had.
      caused by: And because this repository has base 1.2.0, they cannot all be had.
    ");
    let scene =
        Scene::new().cookbook("web", "1.0.0", &[("ngnix", "*")]).cookbook("nginx", "1.0.0", &[]);
    assert_snapshot!(scene.wrong(), @r#"
    error: `web` needs `ngnix`, and there is no such cookbook
     --> cookbooks/web/cookbook.toml:5:9
      |
    5 | ngnix = "*"
      |         ^^^ needed here
    hint: did you mean `nginx`?
    "#);
    let scene = Scene::new()
        .cookbook("a", "1.0.0", &[("b", "*")])
        .cookbook("b", "1.0.0", &[("c", "*")])
        .cookbook("c", "1.0.0", &[("b", "*")]);
    assert_snapshot!(scene.wrong(), @r#"
    error: cookbooks need each other: b → c → b
     --> cookbooks/b/cookbook.toml:5:5
      |
    5 | c = "*"
      |     ^^^ 
     --> cookbooks/c/cookbook.toml:5:5
      |
    5 | b = "*"
      |     ^^^
    "#);
    let scene = Scene::new().file("cookbooks/web/recipes/default.star", "");
    assert_snapshot!(scene.wrong(), @"
    error: `cookbooks/web` has no `cookbook.toml`
    hint: skep cookbook:new web    writes one
    ");
    let scene = Scene::new().file("cookbooks/web/cookbook.toml", &manifest("wbe", "1.0", &[]));
    assert_snapshot!(scene.wrong(), @"error: `cookbooks/web/cookbook.toml` says that it is `wbe`, and it is looked for as `web`");
    let scene = Scene::new().file(LOCK, "version = 2\n");
    assert_snapshot!(scene.wrong(), @"
    error: `cookbooks.lock` has 1 error
     --> cookbooks.lock:1:11
      |
    1 | version = 2
      |           ^ expected version 1: a newer Skep may have written it
    hint: it is generated: delete cookbooks.lock, and the next plan writes it again
    ");
    let scene = Scene::new().file(LOCK, "<<<<<<< HEAD\n");
    assert_snapshot!(scene.wrong(), @"
    error: `cookbooks.lock` has 1 error
     --> cookbooks.lock:1:9
      |
    1 | <<<<<<< HEAD
      |         ^ key with no value, expected `=`
    hint: it is generated: delete cookbooks.lock, and the next plan writes it again
    ");
}

#[test]
fn a_cookbook_has_no_links() {
    let scene = Scene::new().cookbook("web", "1.0.0", &[]);
    let link = scene.root().join("cookbooks/web/files");
    symlink("/etc", &link).unwrap();
    let resolution = scene.resolve().unwrap();
    let error = Failure::from(scene.open().write_lock(&resolution).unwrap_err()).to_string();
    assert!(error.contains("a cookbook has no links"), "{error}");
    let files = Files::of(&scene.open(), &resolution, ["web"]);
    assert!(files.list("web", "files").is_err());
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    symlink("/etc/passwd", link.join("passwd")).unwrap();
    assert!(files.read("web", "files/passwd").is_err());
}

#[test]
fn files_are_those_of_the_cookbooks_that_are_needed() {
    let scene = Scene::new()
        .cookbook("web", "1.0.0", &[("base", "*")])
        .cookbook("base", "1.0.0", &[])
        .cookbook("mail", "1.0.0", &[])
        .file("cookbooks/web/attributes/default.toml", "a = 2\n")
        .file("cookbooks/base/attributes/default.json", "{\"a\": 1}")
        .file("cookbooks/web/recipes/default.star", "x");
    let files = Files::of(&scene.open(), &scene.resolve().unwrap(), ["web"]);
    assert_eq!(files.cookbooks(), ["base", "web"]);
    let source = files.read("web", "recipes/default.star").unwrap().unwrap();
    assert_eq!(
        (source.name.as_str(), &*source.bytes),
        ("cookbooks/web/recipes/default.star", &b"x"[..])
    );
    assert_eq!(files.read("web", "recipes/none.star"), Ok(None));
    assert_eq!(files.read("none", "recipes/none.star"), Ok(None));
    let error = files.read("mail", "recipes/default.star").unwrap_err();
    assert_snapshot!(error.message, @"cookbook `mail` is there, but no cookbook of the run list needs it");
    // What a cookbook needs comes below it.
    let layers = files.attributes().unwrap();
    let givers: Vec<&str> = layers.iter().map(|layer| layer.giver.as_str()).collect();
    assert_eq!(givers, ["base", "web"]);
    let scene = scene.file("cookbooks/base/attributes/default.toml", "a = 1\n");
    let files = Files::of(&scene.open(), &scene.resolve().unwrap(), ["base"]);
    assert!(files.attributes().is_err(), "one of the two");
}
