//! `cargo xtask test`: everything, and as root the parts that act on the system once more as an
//! ordinary user. Ends with one line, the sum of what libtest said.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::needs;
use crate::ordinary_user::OrdinaryUser;
use crate::place::{Place, is_root};
use crate::step::{Stop, Tried, announce, run as run_step, typed};

pub(crate) fn run(filters: &[&str]) -> Result<(), Stop> {
    needs::for_apps()?;
    let place = Place::find()?;
    let uv = needs::uv(&place.tools())?;
    let path = needs::path_with(uv.as_deref());

    announce("building the programs that the tests run");
    // Not xtask: built from a copy of the clone it would be taken for the clone's own from then on,
    // however much that one changes.
    run_step(place.cargo().args(["build", "--workspace", "--bins", "--exclude", "xtask"]))?;

    announce(if is_root() { "testing as root" } else { "testing as an ordinary user" });
    let mut totals = Totals::default();
    let mut all = place.cargo();
    all.args(["test", "--workspace", "--no-fail-fast", "--"]).args(filters).env("PATH", &path);
    totals.count(&mut all)?;

    if is_root() {
        let user = OrdinaryUser::prepare(&place)?;
        announce(format_args!("testing as an ordinary user, uid {}", user.uid()));
        for binary in user.test_binaries(&place)? {
            println!("     Running {}", binary.executable.display());
            totals.count(user.command(&binary, &path).args(filters))?;
        }
        let left = user.tidy()?;
        if !left.is_empty() {
            println!("FAILED: the tests left files behind: {}", left.join(", "));
            totals.failed += 1;
        }
    }

    println!("{} passed, {} failed", totals.passed, totals.failed);
    match totals.failed {
        0 => Ok(()),
        _ => Err(Stop::Failed("not all tests passed".to_owned())),
    }
}

/// The sum of libtest's result lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    /// Runs something that prints result lines; shows all it prints and adds them up.
    fn count(&mut self, command: &mut Command) -> Result<(), Stop> {
        let text = typed(command);
        let failed_before = self.failed;
        let mut child =
            command.stdout(Stdio::piped()).spawn().tried(format_args!("run `{text}`"))?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.tried(format_args!("read what `{text}` prints"))?;
                let mut out = std::io::stdout().lock();
                out.write_all(&line).and_then(|()| out.write_all(b"\n")).tried("print")?;
                self.add(&String::from_utf8_lossy(&line));
            }
        }
        let status = child.wait().tried(format_args!("wait for `{text}`"))?;
        // What did not compile, or died before its result line, is a failure too.
        if !status.success() && self.failed == failed_before {
            self.failed += 1;
        }
        Ok(())
    }

    /// Adds a line like `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result:") else { return };
        for part in result.split(['.', ';']) {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up_with_and_without_colours() {
        let mut totals = Totals::default();
        totals.add("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        totals.add("test result: \u{1b}[31mFAILED\u{1b}[m. 2 passed; 3 failed; 0 ignored");
        totals.add("test parse ... ok");
        assert_eq!(totals, Totals { passed: 7, failed: 3 });
    }

    #[test]
    fn what_dies_without_a_result_line_is_a_failure() {
        let mut totals = Totals::default();
        totals.count(&mut Command::new("false")).unwrap();
        totals.count(&mut Command::new("true")).unwrap();
        assert_eq!(totals, Totals { passed: 0, failed: 1 });
    }
}
