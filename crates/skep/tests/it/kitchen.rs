//! Kitchens: real machines, as root, over the files of this one; what is left behind is looked for.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use testkit::{processes_naming, wait_until};

use crate::context::Context;

/// How long a machine may take to be gone after something of it was killed.
const WITHIN: Duration = Duration::from_secs(20);

/// Somebody who is not root.
const NOBODY: u32 = 65534;

const KITCHEN: &str = "[platforms.here]\nbase = \"host\"\n\n\
                       [suites.default]\nrun_list = [\"recipe[hello]\"]\n\
                       attributes = { hello = { text = \"from the suite\" } }\n";

const RECIPE: &str = r#"
directory("/srv/hello", mode = "0750")
file("/srv/hello/motd", content = attr("hello.text"), mode = "0640")
file("/etc/motd", content = "changed\n")
"#;

/// A repository with one cookbook, and what its machines leave behind if a test fails.
struct Scene {
    context: Context,
}

impl Scene {
    /// Returns a scene, or `None` where no machines can be made: not as root, or without namespaces.
    fn new(recipe: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let context = Context::new();
        context.write("nodes.toml", "");
        context.write("cookbooks/hello/cookbook.toml", "name = \"hello\"\nversion = \"1.0.0\"\n");
        context.write("cookbooks/hello/attributes/default.toml", "[hello]\ntext = \"default\"\n");
        context.write("cookbooks/hello/recipes/default.star", recipe);
        context.write("cookbooks/hello/kitchen.toml", KITCHEN);
        let scene = Self { context };
        // Whether namespaces and mounts are allowed, not whether ours work.
        let allowed = Command::new("unshare").args(["-mp", "--fork", "true"]).status();
        allowed.is_ok_and(|status| status.success()).then_some(scene)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.context.command(words);
        command.current_dir(self.context.work().join("cookbooks/hello"));
        command
    }

    /// Runs a command; returns its exit code and both outputs.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.command(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    #[track_caller]
    fn expect(&self, code: i32, words: &[&str]) -> String {
        let (found, stdout, stderr) = self.run(words);
        assert_eq!(found, code, "{words:?}\n{stdout}\n{stderr}");
        format!("{stdout}{stderr}")
    }

    /// Returns the directory of the one instance, if there is one.
    fn instance(&self) -> Option<PathBuf> {
        let kitchens = fs::read_dir(self.context.home().join("kitchen")).ok()?.flatten();
        let instance = kitchens.map(|kitchen| kitchen.path().join("default-here"));
        instance.into_iter().find(|path| path.is_dir())
    }

    fn note(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.instance()?.join("machine").join(name)).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// Returns process 1 of the machine.
    fn init(&self) -> Pid {
        let record: serde_json::Value =
            serde_json::from_str(&self.note("machine.json").unwrap()).unwrap();
        Pid::from_raw(i32::try_from(record["init"].as_i64().unwrap()).unwrap()).unwrap()
    }

    fn keeper(&self) -> Pid {
        Pid::from_raw(self.note("keeper").unwrap().parse().unwrap()).unwrap()
    }

    fn state(&self) -> String {
        let (_, stdout, stderr) = self.run(&["kitchen:list", "--json"]);
        let rows: serde_json::Value =
            serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stderr}"));
        rows[0]["state"].as_str().unwrap().to_owned()
    }

    /// Destroys, and panics if anything is left: files, processes, mounts, a cgroup.
    #[track_caller]
    fn destroy(&self) {
        let cgroup = self.note("cgroup").map(PathBuf::from);
        self.expect(0, &["kitchen:destroy"]);
        assert_eq!(self.instance(), None);
        let home = self.context.home();
        let left = processes_naming(&home);
        assert!(left.is_empty(), "{left:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(home.to_str().unwrap()), "{mounts}");
        if let Some(cgroup) = cgroup {
            assert!(!cgroup.exists(), "{}", cgroup.display());
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Also where a test failed in the middle.
        let _ =
            self.command(&["kitchen:destroy"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_suite_goes_from_bare_to_verified_and_leaves_nothing() {
    let Some(scene) = Scene::new(RECIPE) else { return };
    let motd = fs::read("/etc/motd").ok();
    scene.context.write(
        "cookbooks/hello/checks/default.star",
        "file(\"/srv/hello/motd\", content = attr(\"hello.text\"), mode = \"0640\", owner = \"root\")\n\
         command(\"hostname\", contains = \"default-here\")\n\
         http(\"http://169.254.169.254/latest/meta-data/local-hostname\", contains = \"default-here\")\n\
         http(\"https://example.org/\")\n",
    );
    assert_eq!(scene.state(), "absent");
    let said = scene.expect(0, &["kitchen:verify"]);
    assert!(said.contains("not tested  http[https://example.org/]"), "{said}");
    assert_eq!(said.matches("passed  ").count(), 3, "{said}");
    assert_eq!(scene.state(), "verified");
    assert_snapshot!(scene.run(&["kitchen:diff"]).1, @r"
    CHANGE   MODE  OWNER      KIND       PATH
    changed  0644  root:root  file       /etc/motd
    added    0750  root:root  directory  /srv/hello
    added    0640  root:root  file       /srv/hello/motd
    ");
    // Nothing of it is seen outside.
    assert!(!Path::new("/srv/hello").exists());
    assert_eq!(fs::read("/etc/motd").ok(), motd);
    let (code, stdout, _) = scene.run(&[
        "kitchen:exec",
        "--user",
        "nobody",
        "--cwd",
        "/srv",
        "--",
        "sh",
        "-c",
        "id -un; pwd; echo $HOME-$TEST; exit 7",
    ]);
    assert_eq!((code, stdout.as_str()), (7, "nobody\n/srv\n/nonexistent-\n"));
    let pids = scene.run(&["kitchen:exec", "--", "sh", "-c", "cd /proc; ls -d [0-9]* | wc -l"]).1;
    assert!(pids.trim().parse::<u32>().unwrap() < 10, "{pids}");
    scene.destroy();
    assert_eq!(scene.state(), "absent");
    scene.destroy();
}

#[test]
fn test_converges_twice_and_fails_on_what_is_never_done() {
    let Some(scene) = Scene::new(RECIPE) else { return };
    let said = scene.expect(0, &["kitchen:test", "default"]);
    assert!(said.contains("default-here passed"), "{said}");
    assert_eq!(scene.instance(), None);
    let restless = "execute(\"true\", not_if = exists(\"/nowhere\"))\n";
    scene.context.write("cookbooks/hello/recipes/default.star", restless);
    let said = scene.expect(1, &["kitchen:test", "--keep=failed"]);
    assert!(said.contains("default-here is not done after one converge"), "{said}");
    assert_eq!(scene.state(), "created");
    scene.expect(1, &["kitchen:test", "--keep=never"]);
    assert_eq!(scene.instance(), None);
}

#[test]
fn a_check_that_fails_is_told_with_what_was_seen() {
    let Some(scene) = Scene::new(RECIPE) else { return };
    scene.context.write(
        "cookbooks/hello/checks/default.star",
        "file(\"/srv/hello/motd\", contains = \"other\", timeout = \"100ms\")\n\
         port(\"79\", timeout = \"100ms\")\n",
    );
    let said = scene.expect(1, &["kitchen:verify"]);
    assert!(said.contains("2 checks of default-here failed"), "{said}");
    assert!(
        said.contains("nobody listens on it (cookbooks/hello/checks/default.star:2:1)"),
        "{said}"
    );
    assert_eq!(scene.state(), "converged");
    // A mistake of a check points at its line.
    scene.context.write("cookbooks/hello/checks/default.star", "port(\"79\", opn = True)\n");
    let said = scene.expect(64, &["kitchen:verify"]);
    assert!(said.contains("checks/default.star:1"), "{said}");
    scene.destroy();
}

#[test]
fn whoever_is_killed_the_next_one_finds_nothing_in_its_way() {
    let Some(scene) = Scene::new(RECIPE) else { return };
    for victim in [Scene::keeper, Scene::init] {
        scene.expect(0, &["kitchen:converge"]);
        let init = scene.init();
        kill_process(victim(&scene), Signal::KILL).unwrap();
        wait_until(WITHIN, "the machine to be gone", || {
            (!Path::new(&format!("/proc/{}/ns", init.as_raw_nonzero())).exists()
                || scene.state() == "absent")
                .then_some(())
        });
        wait_until(WITHIN, "its state", || (scene.state() == "absent").then_some(()));
        let said = scene.expect(0, &["kitchen:list"]);
        assert!(said.contains("its processes ended"), "{said}");
    }
    scene.expect(0, &["kitchen:create"]);
    assert_eq!(scene.state(), "created");
    scene.destroy();
}

#[test]
fn a_create_that_is_killed_anywhere_leaves_what_the_next_one_removes() {
    let Some(scene) = Scene::new(RECIPE) else { return };
    // Levels that follow each other in a create.
    let levels: [&dyn Fn() -> bool; 3] = [
        &|| scene.instance().is_some_and(|instance| instance.join("machine/setup.json").exists()),
        &|| scene.note("keeper").is_some(),
        &|| scene.note("machine.json").is_some(),
    ];
    for (index, reached) in levels.into_iter().enumerate() {
        let mut create = scene.command(&["kitchen:create"]).spawn().unwrap();
        wait_until(WITHIN, "a create on its way", || {
            (reached() || create.try_wait().unwrap().is_some()).then_some(())
        });
        create.kill().unwrap();
        create.wait().unwrap();
        if index % 2 == 0 {
            scene.expect(0, &["kitchen:create"]);
            scene.expect(0, &["kitchen:exec", "--", "true"]);
        }
        scene.destroy();
    }
}

#[test]
fn every_port_of_a_machine_is_its_own() {
    let Some(scene) = Scene::new("") else { return };
    scene.expect(0, &["kitchen:create"]);
    let listen = "import socket; s = socket.socket(); s.bind((\"\", 80)); s.listen(); print(1)";
    let (code, stdout, stderr) = scene.run(&["kitchen:exec", "--", "python3", "-c", listen]);
    assert_eq!((code, stdout.as_str()), (0, "1\n"), "{stderr}");
    scene.destroy();
}

#[test]
fn a_machine_without_a_network_reaches_itself_only() {
    let Some(scene) = Scene::new(RECIPE) else { return };
    scene.context.write("cookbooks/hello/kitchen.toml", &format!("{KITCHEN}network = \"none\"\n"));
    scene.expect(0, &["kitchen:create"]);
    // The network that it shares with its metadata, and no other.
    let routes = scene.run(&["kitchen:exec", "--", "cat", "/proc/net/route"]).1;
    let networks: Vec<_> =
        routes.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(1)).collect();
    assert_eq!(networks, ["FCA9FEA9"], "{routes}");
    let variables = scene.run(&["kitchen:exec", "--", "env"]).1;
    assert!(!variables.contains("proxy"), "{variables}");
    scene.destroy();
}

#[test]
fn one_command_at_a_time_is_at_an_instance() {
    let Some(scene) = Scene::new(RECIPE) else { return };
    scene.expect(0, &["kitchen:create"]);
    let lock = fs::File::open(scene.instance().unwrap().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(scene.expect(6, &["kitchen:converge"]).contains("another command is at default-here"));
    // Looking needs no lock.
    scene.expect(0, &["kitchen:exec", "--", "true"]);
    drop(lock);
    scene.destroy();
}

#[test]
fn an_archive_becomes_a_tree_once() {
    let Some(scene) = Scene::new(RECIPE) else { return };
    // A tree without any program.
    let tree = scene.context.work().join("tree");
    for directory in ["etc", "srv"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    fs::write(tree.join("etc/os-release"), "ID=tiny\n").unwrap();
    let archive = scene.context.work().join("tree.tar");
    let packed =
        Command::new("tar").arg("-C").arg(&tree).arg("-cf").arg(&archive).arg(".").status();
    assert!(packed.unwrap().success());
    let kitchen = KITCHEN.replace("\"host\"", "\"tar:../../tree.tar\"");
    scene.context.write("cookbooks/hello/kitchen.toml", &kitchen);
    // The program came along: it converges in a tree that has no other.
    let said = scene.expect(0, &["kitchen:converge"]);
    assert!(said.contains("this is done once"), "{said}");
    assert_snapshot!(scene.run(&["kitchen:diff"]).1, @r"
    CHANGE  MODE  OWNER  KIND       PATH
    added   0644  0:0    file       /etc/motd
    added   0750  0:0    directory  /srv/hello
    added   0640  0:0    file       /srv/hello/motd
    ");
    scene.destroy();
    let said = scene.expect(0, &["kitchen:create"]);
    assert!(!said.contains("this is done once"), "{said}");
    scene.destroy();
    let trees = scene.context.home().join("cache/kitchen");
    assert_eq!(fs::metadata(trees).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn only_root_makes_machines() {
    let context = Context::new();
    context.write("kitchen.toml", KITCHEN);
    let root = context.work().parent().unwrap().to_owned();
    for path in [root, context.work()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = context.command(&["kitchen:create"]);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    assert_snapshot!(context.show(&command.output().unwrap()), @r"
    exit 77
    --- stderr
    error: only root makes and enters the machines of a kitchen
    hint: sudo skep kitchen:create
    ");
}

#[test]
fn a_kitchen_file_is_told_its_mistakes() {
    let context = Context::new();
    assert_snapshot!(context.run(&["kitchen:list"]), @r"
    exit 64
    --- stderr
    error: there is no `kitchen.toml` in `[TMP]/project`
    hint: -C DIR    names the cookbook or repository that has it
    ");
    context.write("kitchen.toml", &format!("{KITCHEN}stge = \"x\"\n"));
    assert_snapshot!(context.run(&["kitchen:list"]), @r#"
    exit 64
    --- stderr
    error: `kitchen.toml` has 1 error
     --> kitchen.toml:7:1
      |
    7 | stge = "x"
      | ^^^^ unknown key in a suite; did you mean `stage`?
    "#);
    context.write("kitchen.toml", KITCHEN);
    assert_snapshot!(context.run(&["kitchen:list"]), @r"
    exit 0
    --- stdout
    INSTANCE      SUITE    PLATFORM  STATE
    default-here  default  here      absent
    ");
}
