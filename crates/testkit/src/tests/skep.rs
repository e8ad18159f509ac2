//! Running a program; a shell stands in for the binary.

use std::time::Duration;

use crate::TempHome;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn the_environment_is_constructed() {
    let home = TempHome::new("/bin/sh");
    let output = home.skep().with("EXTRA", "1").run(["-c", "env; pwd"]).expect(0);
    let names: Vec<&str> =
        output.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for wanted in ["SKEP_HOME", "HOME", "PATH", "EXTRA"] {
        assert!(names.contains(&wanted), "{wanted} is missing in {names:?}");
    }
    // Cargo gives it to every test.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!names.contains(&"CARGO_MANIFEST_DIR"));
    assert!(output.stdout.contains(&format!("SKEP_HOME={}", home.home().root().display())));
}

#[test]
fn output_and_exit_code_are_captured() {
    let home = TempHome::new("/bin/sh");
    let output = home.skep().run(["-c", "echo data; echo progress >&2; exit 3"]);
    assert_eq!((output.code, output.signal), (Some(3), None));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("data\n", "progress\n"));
    assert!(std::panic::catch_unwind(|| output.expect(0)).is_err());
}

#[test]
fn a_program_in_the_background_is_watched_signalled_and_killed() {
    let home = TempHome::new("/bin/sh");
    let script = "trap 'echo bye; exit 7' INT; echo ready; while :; do sleep 0.01; done";
    let mut program = home.skep().start(["-c", script]);
    program.wait_for_stdout(LIMIT, "ready");
    assert!(!program.has_ended());
    program.signal(2);
    let output = program.finish(LIMIT);
    assert_eq!((output.code, output.stdout.as_str()), (Some(7), "ready\nbye\n"));

    let program = home.skep().start(["-c", "exec sleep 1000"]);
    let pid = program.pid();
    drop(program);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_home_may_belong_to_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let nobody = 65534;
    let home = TempHome::of_user("/bin/sh", nobody, nobody);
    let script = "id -u; id -G; echo x > \"$HOME/file\"";
    let output = home.skep().run(["-c", script]).expect(0);
    assert_eq!(output.stdout, "65534\n65534\n");
}
