//! Cookbooks from git: real repositories, fetched through the git program.

use std::path::Path;
use std::process::Command;

use report::Failure;

use crate::scene::{Scene, manifest, write};

fn git(directory: &Path, words: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=anna", "-c", "user.email=anna@example.com"])
        .args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"])
        .args(words)
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a version of a cookbook in a repository of its own.
fn release(directory: &Path, version: &str, needs: &[(&str, &str)]) {
    if !directory.exists() {
        std::fs::create_dir(directory).unwrap();
        git(directory, &["init", "--quiet"]);
    }
    let name = directory.file_name().unwrap().to_str().unwrap();
    write(&directory.join("cookbook.toml"), &manifest(name, version, needs));
    git(directory, &["add", "--all"]);
    git(directory, &["commit", "--quiet", "--message", version]);
    git(directory, &["tag", "--annotate", "--message", version, &format!("v{version}")]);
}

fn sources(scene: &Scene, more: &str) -> String {
    let url = scene.beside("nginx");
    format!("[sources]\nnginx = {{ git = \"file://{}\"{more} }}\n", url.display())
}

#[test]
fn the_newest_tag_that_fits_is_taken_and_then_kept() {
    let scene = Scene::new().cookbook("web", "1.0.0", &[("nginx", "~> 1.0")]);
    let nginx = scene.beside("nginx");
    release(&nginx, "1.0.0", &[]);
    release(&nginx, "1.2.0", &[]);
    release(&nginx, "2.0.0", &[]);
    let text = sources(&scene, "");
    let scene = scene.file("cookbooks.toml", &text);
    assert_eq!(scene.chosen(), ["nginx 1.2.0", "web 1.0.0"]);
    scene.open().write_lock(&scene.resolve().unwrap()).unwrap();

    // A newer one is there, and the lock says otherwise; nothing is fetched.
    release(&nginx, "1.3.0", &[]);
    assert_eq!(scene.chosen(), ["nginx 1.2.0", "web 1.0.0"]);
    std::fs::rename(&nginx, scene.beside("away")).unwrap();
    assert_eq!(scene.chosen(), ["nginx 1.2.0", "web 1.0.0"]);
    std::fs::rename(scene.beside("away"), &nginx).unwrap();

    // What is locked does not fit any more: it is fetched.
    let scene = scene.cookbook("web", "1.1.0", &[("nginx", ">= 1.3, < 2")]);
    assert_eq!(scene.chosen(), ["nginx 1.3.0", "web 1.1.0"]);
}

#[test]
fn a_branch_a_directory_and_what_is_not_there() {
    let scene = Scene::new();
    let nginx = scene.beside("nginx");
    release(&nginx, "1.0.0", &[]);
    write(&nginx.join("deep/nginx/cookbook.toml"), &manifest("nginx", "7.0", &[]));
    git(&nginx, &["add", "--all"]);
    git(&nginx, &["commit", "--quiet", "--message", "deep"]);
    let text = sources(&scene, ", branch = \"main\", directory = \"deep/nginx\"");
    let scene = scene.file("cookbooks.toml", &text);
    assert_eq!(scene.chosen(), ["nginx 7.0.0"]);
    let resolution = scene.resolve().unwrap();
    assert!(resolution.cookbooks["nginx"].directory.join("cookbook.toml").is_file());

    let text = sources(&scene, ", tag = \"v9\"");
    let scene = scene.file("cookbooks.toml", &text);
    assert!(scene.wrong().contains("has no `v9`"), "{}", scene.wrong());

    std::fs::remove_dir_all(&nginx).unwrap();
    std::fs::remove_dir_all(scene.cache()).unwrap();
    let error = scene.resolve().unwrap_err();
    let failure = Failure::from(error);
    assert_eq!(failure.kind, report::Kind::Unavailable);
    assert!(failure.message.contains("failed to fetch `file://"), "{failure}");
    assert!(failure.message.contains("without a key"), "{failure}");
}

#[test]
fn a_link_in_a_commit_is_refused() {
    let scene = Scene::new();
    let nginx = scene.beside("nginx");
    release(&nginx, "1.0.0", &[]);
    std::os::unix::fs::symlink("/etc/passwd", nginx.join("passwd")).unwrap();
    release(&nginx, "1.1.0", &[]);
    let text = sources(&scene, "");
    let scene = scene.file("cookbooks.toml", &text);
    assert!(scene.wrong().contains("a cookbook has no links"), "{}", scene.wrong());
}
