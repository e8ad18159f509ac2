//! Reading and writing a repository.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nodes::generated::{Adopt, Decision};
use nodes::repository::{apply, load, load_lock, read_found, role_files};
use nodes::roles::{Scope, paths, plan};
use report::Failure;

fn failure(directory: &Path) -> String {
    let text = Failure::from(load(directory).unwrap_err()).to_string();
    text.replace(directory.to_str().unwrap(), "DIR")
}

#[test]
fn there_is_one_nodes_file() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    assert_eq!(
        failure(directory.path()),
        "error: no `nodes.toml` and no `nodes.json` in `DIR`\nhint: -C DIR    names the directory \
         that has it"
    );
    fs::write(at("nodes.json"), "{\"web\": {}}").unwrap();
    assert_eq!(load(directory.path()).unwrap().file, "nodes.json");
    fs::write(at("nodes.toml"), "[web]\n").unwrap();
    assert_eq!(
        failure(directory.path()),
        "error: both `nodes.toml` and `nodes.json` are in `DIR`\nhint: keep one of them"
    );
    fs::remove_file(at("nodes.json")).unwrap();
    assert_eq!(load(directory.path()).unwrap().file, "nodes.toml");
    fs::write(at("nodes.toml"), b"[web]\n# \xff\n").unwrap();
    assert_eq!(
        failure(directory.path()),
        "error: `DIR/nodes.toml` is not UTF-8 text: line 2 is not"
    );
    fs::write(at("nodes.toml"), "#".repeat(600 * 1024)).unwrap();
    assert!(failure(directory.path()).ends_with("caused by: it is larger than 512 KiB"));
    fs::remove_file(at("nodes.toml")).unwrap();
    symlink("/etc/passwd", at("nodes.toml")).unwrap();
    assert!(failure(directory.path()).contains("it is a symbolic link"));
    fs::remove_file(at("nodes.toml")).unwrap();
    fs::create_dir(at("nodes.toml")).unwrap();
    assert!(failure(directory.path()).contains("it is not a regular file"));
}

#[test]
fn roles_are_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("nodes.toml"), "[web]\nrun_list = [\"a\"]\n[db]\n").unwrap();
    let run = |scope, adopt| {
        let (nodes, lock) = (load(root).unwrap(), load_lock(root).unwrap());
        let found = read_found(root, &paths(&nodes, &lock)).unwrap();
        let changes = plan(&nodes, scope, &lock, &found, adopt).unwrap();
        apply(root, &lock, &changes).unwrap();
        changes.iter().map(|change| change.decision).collect::<Vec<_>>()
    };
    assert_eq!(run(Scope::Create(Some("web")), Adopt::No), [Decision::Create]);
    let web = root.join("roles/web.json");
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let (role, lock) = (inode(&web), inode(&root.join("generated.lock")));
    assert_eq!(fs::metadata(&web).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(run(Scope::Create(Some("web")), Adopt::No), [Decision::Unchanged]);
    assert_eq!(
        (inode(&web), inode(&root.join("generated.lock"))),
        (role, lock),
        "not even touched"
    );
    assert_eq!(role_files(root).unwrap().into_iter().collect::<Vec<_>>(), ["web"]);

    // Ended between the file and the lock: the file counts as written.
    fs::remove_file(root.join("generated.lock")).unwrap();
    assert_eq!(run(Scope::Update(None), Adopt::No), [Decision::Unchanged]);
    assert_eq!(load_lock(root).unwrap().files.len(), 1);

    fs::write(root.join("nodes.toml"), "[db]\n").unwrap();
    assert_eq!(run(Scope::Update(None), Adopt::No), [Decision::Remove]);
    assert!(!web.exists());
    assert!(load_lock(root).unwrap().files.is_empty());
}

#[test]
fn a_role_that_is_a_link_is_neither_read_nor_written() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("nodes.toml"), "[web]\n").unwrap();
    fs::create_dir(root.join("roles")).unwrap();
    symlink("/etc/passwd", root.join("roles/web.json")).unwrap();
    let (nodes, lock) = (load(root).unwrap(), load_lock(root).unwrap());
    let error = read_found(root, &paths(&nodes, &lock)).unwrap_err();
    assert!(Failure::from(error).to_string().contains("it is a symbolic link"));
}

#[test]
fn what_was_written_before_a_failure_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("nodes.toml"), "[web]\n[db]\n").unwrap();
    let (nodes, lock) = (load(root).unwrap(), load_lock(root).unwrap());
    let changes = plan(
        &nodes,
        Scope::Create(None),
        &lock,
        &read_found(root, &paths(&nodes, &lock)).unwrap(),
        Adopt::No,
    )
    .unwrap();
    // In the way of the second, since they were planned.
    fs::create_dir_all(root.join("roles/web.json/x")).unwrap();
    let failure = Failure::from(apply(root, &lock, &changes).unwrap_err());
    assert_eq!(failure.kind, report::Kind::Partial);
    assert_eq!(failure.message, "failed to write generated files, 1 of them done before");
    assert!(root.join("roles/db.json").is_file());
    assert!(!root.join("generated.lock").exists());
}
