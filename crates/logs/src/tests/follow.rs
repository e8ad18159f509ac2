//! Readers beside a writer.

use std::os::unix::fs::MetadataExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{append_numbered, limits, numbered, rest, segments};
use crate::{Filter, Limits, Reader, Start, Watch, Writer};

fn follow(directory: &std::path::Path, start: Start) -> Reader {
    Reader::open(directory, start, Filter::default()).unwrap()
}

#[test]
fn a_follower_sees_what_is_written_after_it_reached_the_end() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), limits(300)).unwrap();
    let mut early = follow(home.path(), Start::Oldest);
    assert!(rest(&mut early).is_empty());
    append_numbered(&mut writer, 0..3, "v1");
    let mut late = follow(home.path(), Start::Last(1));
    assert_eq!(rest(&mut early), numbered(0..3));
    assert_eq!(rest(&mut late), numbered(2..3));
    for round in 1..40 {
        // Across segments, releases and writers.
        append_numbered(&mut writer, round * 3..round * 3 + 3, &format!("v{}", round / 10));
        if round % 7 == 0 {
            writer = Writer::open(home.path(), limits(300)).unwrap();
        }
        assert_eq!(rest(&mut early), numbered(round * 3..round * 3 + 3));
        assert_eq!(rest(&mut late), numbered(round * 3..round * 3 + 3));
    }
}

#[test]
fn a_follower_waits_through_a_record_that_is_half_written() {
    let home = tempfile::tempdir().unwrap();
    append_numbered(&mut Writer::open(home.path(), Limits::default()).unwrap(), 0..2, "v1");
    let path = segments(home.path()).remove(0);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let mut reader = follow(home.path(), Start::Oldest);
    assert_eq!(rest(&mut reader), numbered(0..1));
    assert!(rest(&mut reader).is_empty());
    // A new writer cuts the half off and writes another record in its place.
    append_numbered(&mut Writer::open(home.path(), Limits::default()).unwrap(), 7..9, "v1");
    assert_eq!(rest(&mut reader), numbered(7..9));
}

#[test]
fn what_rotation_deleted_before_it_was_read_is_one_gap() {
    let home = tempfile::tempdir().unwrap();
    let limits = Limits { segment_bytes: 64 << 10, total_bytes: 256 << 10, ..Limits::default() };
    let mut writer = Writer::open(home.path(), limits).unwrap();
    append_numbered(&mut writer, 0..10, "v1");
    let mut reader = follow(home.path(), Start::Oldest);
    assert_eq!(reader.read_next().unwrap().unwrap().record.bytes, b"line 0");
    append_numbered(&mut writer, 10..50_000, "v1");
    let texts = rest(&mut reader);
    let gaps: Vec<usize> = (0..texts.len()).filter(|i| texts[*i].starts_with('<')).collect();
    assert_eq!(gaps.len(), 1);
    assert!(texts[gaps[0]].contains("deleted by rotation"), "{}", texts[gaps[0]]);
    // The segment that was open is read to its end, though it is deleted; then the gap.
    assert!(gaps[0] > 1000);
    assert_eq!(texts[..gaps[0]], numbered(1..gaps[0] as u32 + 1));
    assert_eq!(texts.last().unwrap(), "line 49999");
}

#[test]
fn a_reader_in_another_thread_misses_nothing() {
    const LINES: u32 = 30_000;
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), limits(50_000)).unwrap();
    let watch = Watch::open(home.path()).unwrap();
    let mut reader = follow(home.path(), Start::Oldest);
    let writing = std::thread::spawn(move || {
        for number in (0..LINES).step_by(10) {
            append_numbered(&mut writer, number..number + 10, "v1");
        }
    });
    let mut texts = Vec::new();
    while texts.len() < LINES as usize {
        let minute = Timespec { tv_sec: 60, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&minute)).unwrap();
        assert_eq!(ready, 1, "the watch is silent after {} lines", texts.len());
        watch.clear();
        texts.extend(rest(&mut reader));
    }
    writing.join().unwrap();
    assert_eq!(texts, numbered(0..LINES));
}

#[test]
fn the_log_is_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("logs");
    append_numbered(&mut Writer::open(&path, Limits::default()).unwrap(), 0..1, "v1");
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
    assert_eq!(segments(&path)[0].metadata().unwrap().mode() & 0o077, 0);
}
