//! A writer that is killed in the middle of its work, again and again.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Store, Txn};

const PATH: &str = "SKEP_STORE_TEST_PATH";
const KILLS: usize = 8;

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.db");
    let mut acknowledged = 0;
    for round in 0..KILLS {
        acknowledged = kill_after(&path, 10 + round * 7).max(acknowledged);
        let store = Store::open(&path).unwrap();
        let revision = store.revision().unwrap().0;
        // The one that was going on when the kill came may be there too.
        assert!((acknowledged..=acknowledged + 1).contains(&revision), "{acknowledged} {revision}");
        assert_eq!(store.get_json::<u64>("last").unwrap().unwrap().value, revision);
        // Every number, and the two keys of each transaction together.
        let numbers = store.range("number/").unwrap();
        assert_eq!(numbers.len() as u64, revision);
        for (index, entry) in numbers.iter().enumerate() {
            assert_eq!(entry.json::<u64>().unwrap(), index as u64 + 1);
        }
    }
}

/// Starts a writer, kills it after `count` acknowledgements, returns the last one that it gave.
fn kill_after(path: &Path, count: usize) -> u64 {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::write_until_killed", "--ignored"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut acknowledgements =
        lines.filter_map(|line| line.unwrap().strip_prefix("ack ")?.parse().ok());
    let mut last = acknowledgements.by_ref().take(count).last().unwrap();
    writer.kill().unwrap();
    writer.wait().unwrap();
    // What it still said before it died was acknowledged too.
    last = acknowledgements.last().unwrap_or(last);
    last
}

#[test]
#[ignore = "run by the test above in a process of its own"]
fn write_until_killed() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else { return };
    let store = Store::open(&path).unwrap();
    let mut output = std::io::stdout();
    loop {
        let number = store.revision().unwrap().0 + 1;
        let txn =
            Txn::new().put_json(format!("number/{number:010}"), &number).put_json("last", &number);
        let revision = store.commit(&txn).unwrap().committed().unwrap();
        writeln!(output, "ack {revision}").unwrap();
        output.flush().unwrap();
    }
}
