//! Users, groups and packages with the real tools, on a machine of its own: this one's root as the
//! lower layer of an overlay, in a mount namespace that ends with the process. Root only.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use converge::{Event, Mark, Outcomes, RenderOptions};
use resource::{Declaration, Value};

use crate::kills;
use crate::scene::{Declare, Scene, declare, is_root, problem};

const INSIDE: &str = "CONVERGE_INSIDE";

/// Everything of the overlay that is not the overlay's: what programs need to run.
const ENTER: &str = "set -eu
    mount -t tmpfs tmpfs \"$1\"
    mkdir \"$1/upper\" \"$1/work\" \"$1/root\"
    mount -t overlay overlay -o \"lowerdir=/,upperdir=$1/upper,workdir=$1/work\" \"$1/root\"
    mount --rbind /proc \"$1/root/proc\"
    mount --rbind /dev \"$1/root/dev\"
    mount -t tmpfs tmpfs \"$1/root/tmp\"
    mount -t tmpfs tmpfs \"$1/root/run\"
    mkdir -p \"$1/root/test\"
    touch \"$1/root/test/it\"
    mount --bind \"$2\" \"$1/root/test/it\"
    exec chroot \"$1/root\" /test/it --exact \"$3\" --ignored --nocapture";

/// Runs an ignored test of this file inside; what it prints is shown if it fails.
#[track_caller]
fn inside(test: &str) {
    if !is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"]);
    command.arg(place.path()).arg(std::env::current_exe().unwrap());
    command.arg(format!("machine::{test}")).current_dir("/");
    command.env(INSIDE, "1").env("TMPDIR", "/tmp").stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
}

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn list(texts: &[&str]) -> Value {
    Value::List(texts.iter().map(Value::text).collect())
}

fn databases() -> String {
    ["/etc/passwd", "/etc/group"].map(|path| fs::read_to_string(path).unwrap()).concat()
}

#[test]
fn users_and_groups_live_their_lives() {
    inside("users_and_groups");
}

#[test]
#[ignore = "runs inside"]
fn users_and_groups() {
    if !is_inside() {
        return;
    }
    let scene = Scene::new();
    let before = databases();
    let user = |shell: &str| {
        declare("user", "deploy-test", "create")
            .with("uid", 7771)
            .with("group", "web-test")
            .with("groups", list(&["adm", "mail"]))
            .with("home", "/home/deploy-test")
            .with("manage_home", true)
            .with("shell", shell)
    };
    let group = || declare("group", "web-test", "create").with("gid", 7770);
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@here";
    let all = |shell: &str| {
        vec![
            scene.file("owned", "x").with("owner", "deploy-test").with("group", "web-test"),
            user(shell),
            group(),
            declare("authorized_keys", "deploy-test", "create").with("keys", list(&[key])),
        ]
    };
    // Nothing of it is there, and the plan knows in which order it will be.
    let plan = scene.plan(all("/bin/sh"));
    assert!(!plan.is_blocked(), "{}", plan.render(RenderOptions::default()));
    assert_eq!(plan.counts().create, 4);
    scene.converge(all("/bin/sh"));
    let keys = "/home/deploy-test/.ssh/authorized_keys";
    assert_eq!(fs::read_to_string(keys).unwrap(), format!("{key}\n"));
    let found = fs::metadata(keys).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (7771, 7770, 0o600));
    assert!(databases().contains("deploy-test:x:7771:7770::/home/deploy-test:/bin/sh\n"));

    let text = scene.plan(all("/bin/bash")).render(RenderOptions::default());
    assert!(text.contains("~ user[deploy-test]  shell: /bin/sh → /bin/bash"), "{text}");
    scene.converge(all("/bin/bash"));
    // Drift: out of a group, and somebody else's key.
    assert!(
        Command::new("gpasswd")
            .args(["-d", "deploy-test", "mail"])
            .output()
            .unwrap()
            .status
            .success()
    );
    fs::write(keys, format!("{key} other comment\nssh-rsa AAAA theirs\n")).unwrap();
    let plan = scene.plan(all("/bin/bash"));
    assert_eq!(plan.counts().update, 1, "{}", plan.render(RenderOptions::default()));
    scene.converge(all("/bin/bash"));

    // A number does not change under a running process.
    let mut sleeper = Command::new("setpriv")
        .args(["--reuid", "7771", "--clear-groups", "sleep", "600"])
        .spawn()
        .unwrap();
    testkit::wait_until(std::time::Duration::from_secs(10), "the process to be the user's", || {
        fs::metadata(format!("/proc/{}", sleeper.id())).ok().filter(|f| f.uid() == 7771)
    });
    let moved = vec![user("/bin/bash").with("uid", 7779), group()];
    let report = scene.try_apply(&scene.try_plan(moved, converge::Leaving::Keep).unwrap()).unwrap();
    let text = problem(&report, &user("").id);
    assert!(text.contains("cannot become uid 7779 while process"), "{text}");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();

    fs::remove_file(keys).unwrap();
    fs::remove_dir("/home/deploy-test/.ssh").unwrap();
    scene.converge(vec![]);
    assert_eq!(databases(), before);
    assert!(!Path::new("/home/deploy-test").exists());
}

#[test]
fn what_a_user_was_before_comes_back() {
    inside("found_accounts");
}

#[test]
#[ignore = "runs inside"]
fn found_accounts() {
    if !is_inside() {
        return;
    }
    let scene = Scene::new();
    for command in
        [vec!["groupadd", "web-test"], vec!["useradd", "-M", "-c", "By hand", "hand-test"]]
    {
        assert!(Command::new(command[0]).args(&command[1..]).output().unwrap().status.success());
    }
    let before = databases();
    let hash = Value::Secret(report::Secret::new("$6$salt$hash"));
    let all = vec![
        declare("user", "hand-test", "create").with("comment", "Ours").with("password_hash", hash),
        declare("group", "web-test", "create").with("members", "hand-test").with("append", true),
        declare("user", "gone-test", "remove"),
    ];
    let report = scene.converge(all);
    assert!(!format!("{report:?}").contains("$6$salt"));
    assert!(fs::read_to_string("/etc/shadow").unwrap().contains("hand-test:$6$salt$hash:"));
    assert!(databases().contains(":Ours:") && databases().contains(":hand-test\n"));
    scene.converge(vec![]);
    assert_eq!(databases(), before);
}

/// Makes a repository of small packages, and apt's only one.
fn repository() {
    let mut index = String::new();
    fs::create_dir_all("/repo").unwrap();
    for (name, version, depends) in [
        ("skep-a", "1.0", "skep-lib"),
        ("skep-lib", "1.0", ""),
        ("skep-b", "1.0", ""),
        ("skep-b", "2.0", ""),
    ] {
        let tree = format!("/repo/{name}-{version}");
        fs::create_dir_all(format!("{tree}/DEBIAN")).unwrap();
        fs::create_dir_all(format!("{tree}/opt/{name}")).unwrap();
        fs::write(format!("{tree}/opt/{name}/version"), version).unwrap();
        let depends =
            if depends.is_empty() { String::new() } else { format!("Depends: {depends}\n") };
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <t@example.org>\n\
             {depends}Description: for a test\n"
        );
        fs::write(format!("{tree}/DEBIAN/control"), &control).unwrap();
        let file = format!("/repo/{name}_{version}.deb");
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "-Znone", "--build", &tree, &file]);
        assert!(build.output().unwrap().status.success());
        let size = fs::metadata(&file).unwrap().len();
        let sum = Command::new("sha256sum").arg(&file).output().unwrap().stdout;
        let sum = String::from_utf8(sum).unwrap();
        let sum = sum.split(' ').next().unwrap();
        index.extend([
            control,
            format!("Filename: ./{name}_{version}.deb\nSize: {size}\nSHA256: {sum}\n\n"),
        ]);
    }
    fs::write("/repo/Packages", index).unwrap();
    let _ = fs::remove_dir_all("/etc/apt/sources.list.d");
    let _ = fs::remove_dir_all("/var/lib/apt/lists");
    fs::create_dir_all("/var/lib/apt/lists/partial").unwrap();
    fs::write("/etc/apt/sources.list", "deb [trusted=yes] file:/repo ./\n").unwrap();
    let update = Command::new("apt-get").arg("update").output().unwrap();
    assert!(update.status.success(), "{update:?}");
}

fn installed() -> Vec<String> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Package} ${Version} ${Status}\n"]);
    let output = query.output().unwrap().stdout;
    let lines = String::from_utf8(output).unwrap();
    let ours =
        lines.lines().filter(|line| line.starts_with("skep-") && line.ends_with(" installed"));
    ours.map(|line| line.split(" install").next().unwrap().to_owned()).collect()
}

/// How often apt-get was run for real.
fn apt_runs() -> usize {
    let log = fs::read_to_string("/var/log/apt/history.log").unwrap_or_default();
    log.lines().filter(|line| line.starts_with("Commandline:")).count()
}

#[test]
fn packages_live_their_lives() {
    if Path::new("/usr/bin/apt-get").exists() {
        inside("packages");
    }
}

#[test]
#[ignore = "runs inside"]
fn packages() {
    if !is_inside() {
        return;
    }
    repository();
    let _ = fs::remove_file("/var/log/apt/history.log");
    let scene = Scene::new();
    let all = |version: &str| -> Vec<Declaration> {
        vec![
            declare("package", "skep-a", "install"),
            declare("package", "b", "install").with("names", "skep-b").with("version", version),
            // In a directory that the package brings.
            declare("file", "/opt/skep-a/conf", "create").with("content", "x"),
        ]
    };
    let plan = scene.plan(all("1.0"));
    let text = plan.render(RenderOptions::default());
    assert_eq!(plan.counts().create, 3, "{text}");
    assert!(text.contains("+ package[skep-a]  skep-a: installed"), "{text}");
    let mut lines = 0;
    let report = scene.apply_watched(&plan, &mut |event| {
        lines += usize::from(matches!(event, Event::Output { .. }));
    });
    assert!(report.unwrap().is_good() && lines > 0);
    assert_eq!(installed(), ["skep-a 1.0", "skep-b 1.0", "skep-lib 1.0"]);
    assert_eq!(apt_runs(), 1, "neighbours go together");
    scene.converge(all("1.0"));
    assert_eq!(apt_runs(), 1);

    let text = scene.plan(all("2.0")).render(RenderOptions::default());
    assert!(text.contains("~ package[b]  skep-b: 1.0 → 2.0"), "{text}");
    scene.converge(all("2.0"));
    let older = scene.run(all("1.0"));
    let problem = problem(&older, &all("1.0")[1].id);
    assert!(problem.contains("--allow-downgrades"), "{problem}");

    // What is not there cannot be installed, and says so; the other one is installed alone.
    let none =
        vec![declare("package", "skep-none", "install"), declare("package", "skep-a", "install")];
    let plan = scene.try_plan(none, converge::Leaving::Keep).unwrap();
    let report = scene.try_apply(&plan).unwrap();
    let failed = |result: &Outcomes| matches!(result, Outcomes::Failed { .. });
    assert_eq!(report.count(failed), 1);
    assert!(format!("{report:?}").contains("Unable to locate package skep-none"), "{report:?}");

    scene.converge(vec![]);
    assert_eq!(installed(), Vec::<String>::new(), "with what they brought along");
    assert!(!Path::new("/opt/skep-a").exists());

    // Found, not made: stays.
    assert!(
        Command::new("apt-get")
            .args(["-y", "install", "skep-b"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let found = || vec![declare("package", "skep-b", "install")];
    scene.converge(found());
    scene.converge(vec![]);
    assert_eq!(installed(), ["skep-b 2.0"]);
    let purge = vec![declare("package", "skep-b", "purge")];
    assert_eq!(scene.marks(purge.clone()), [Mark::Delete]);
    scene.converge(purge);
    assert!(installed().is_empty());
    // A guard that asks for a package.
    let only = resource::Condition::Installed("skep-b".into());
    assert_eq!(scene.marks(vec![scene.file("x", "").guarded(true, only)]), [Mark::Skipped]);
}

#[test]
fn a_killed_installation_is_repaired_and_can_be_undone() {
    if Path::new("/usr/bin/apt-get").exists() {
        inside("killed_installations");
    }
}

fn software() -> Vec<Declaration> {
    vec![
        declare("package", "skep-a", "install"),
        declare("package", "skep-b", "install"),
        declare("user", "deploy-test", "create"),
    ]
}

/// Not a test: the run that is killed.
#[test]
#[ignore = "started by another one"]
fn killed_child() {
    kills::run_until_killed(software_of);
}

fn software_of(_: &Scene) -> Vec<Declaration> {
    software()
}

#[test]
#[ignore = "runs inside"]
fn killed_installations() {
    if !is_inside() {
        return;
    }
    repository();
    let accounts = databases();
    // Both announced; installed, and nothing says so; the first one recorded. All points of a run are
    // those of `kills`: an installation takes seconds.
    for at in [1, 2, 4] {
        let scene = Scene::new();
        let killed = kills::run_and_kill(&scene, "machine::killed_child", at);
        scene.converge(software());
        assert_eq!(installed(), ["skep-a 1.0", "skep-b 2.0", "skep-lib 1.0"]);
        scene.converge(vec![]);
        assert_eq!(installed(), Vec::<String>::new(), "killed at {at}");
        assert_eq!(databases(), accounts, "killed at {at}");
        assert!(killed, "a run with less than {at} points");
    }
}
