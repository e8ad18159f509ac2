//! A disk that takes nothing more, and then does again.
//!
//! Tried with a limit on file size, which fails a write half-way as a full disk does and needs no
//! privilege. The limit is a process's, so the part that has it runs in a process of its own.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{line, read};
use crate::{Limits, Start, Writer};

const DIRECTORY: &str = "SKEP_LOGS_TEST_DIRECTORY";
const LIMIT_BYTES: u64 = 100_000;
const LINES: u32 = 5000;

#[test]
fn what_a_full_disk_refuses_is_counted_and_told_once_there_is_space() {
    let home = tempfile::tempdir().unwrap();
    // The shell only makes sure that the signal of the limit is ignored: a write then fails.
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact tests::full_disk::limited --ignored"])
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, home.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));

    let texts = read(home.path(), Start::Oldest);
    // A long line may be refused where short ones still fit, so there may be several gaps; each
    // says exactly what is missing between its neighbours.
    let number =
        |text: &str, word: usize| text.split(' ').nth(word).unwrap().parse::<u32>().unwrap();
    let mut expected: u32 = 0;
    for text in &texts {
        if let Some(gap) = text.strip_prefix('<') {
            assert!(gap.contains("File too large"), "{gap}");
            expected += number(gap, 0);
        } else {
            assert_eq!(number(text, 1), expected);
            expected += 1;
        }
    }
    assert!((texts.len() as u32) < LINES, "nothing was refused");
    assert_eq!(expected, LINES + 10);
}

#[test]
#[ignore = "run by the test above in a process of its own"]
fn limited() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(LIMIT_BYTES), ..before }).unwrap();

    let mut writer = Writer::open(&directory, Limits::default()).unwrap();
    let filler = |number: u32| "x".repeat(if number.is_multiple_of(50) { 40_000 } else { 60 });
    for number in 0..LINES {
        writer.append(&line(format!("line {number} {}", filler(number)).as_bytes()), "v1");
        if number % 20 == 0 {
            writer.flush();
        }
    }
    let (bytes, error) = writer.dropped();
    assert!(bytes > 0);
    assert_eq!(error.unwrap().kind(), std::io::ErrorKind::FileTooLarge);
    // Readers see whole records only.
    let texts = read(&directory, Start::Oldest);
    assert!(!texts.is_empty() && texts.iter().all(|text| text.starts_with(['l', '<'])));

    setrlimit(Resource::Fsize, before).unwrap();
    writer.flush();
    for number in LINES..LINES + 10 {
        writer.append(&line(format!("line {number} x").as_bytes()), "v1");
    }
    drop(writer);
}
