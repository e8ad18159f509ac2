//! When segments begin and when they are deleted.

use super::{append_numbered, limits, line, numbered, read, segments};
use crate::{Limits, Record, Start, Writer};

#[test]
fn a_segment_ends_at_its_size_and_nothing_is_lost_between() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), limits(1000)).unwrap();
    append_numbered(&mut writer, 0..200, "v1");
    assert!(segments(home.path()).len() > 5);
    for path in segments(home.path()) {
        assert!(path.metadata().unwrap().len() <= 1000, "{path:?} is too large");
    }
    assert_eq!(read(home.path(), Start::Oldest), numbered(0..200));
}

#[test]
fn a_line_larger_than_a_segment_gets_one_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), limits(100)).unwrap();
    for _ in 0..3 {
        writer.append(&line(&[b'x'; 5000]), "v1");
    }
    writer.flush();
    assert_eq!(segments(home.path()).len(), 3);
    assert_eq!(read(home.path(), Start::Oldest).len(), 3);
}

#[test]
fn a_segment_ends_at_its_age_by_the_records_own_time() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), Limits::default()).unwrap();
    let hour_us = 3_600_000_000;
    for hour in [0, 23, 25, 1, 48] {
        writer.append(&Record { time_us: hour * hour_us, ..line(b"tick") }, "v1");
    }
    writer.flush();
    // At 25 hours; the clock that went back to 1 changes nothing; 48 is 23 after 25.
    assert_eq!(segments(home.path()).len(), 2);
}

#[test]
fn a_release_begins_one_segment_however_its_lines_mix_with_the_old_ones() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), Limits::default()).unwrap();
    append_numbered(&mut writer, 0..10, "v1");
    for number in 10..110 {
        let release = if number % 2 == 0 { "v2" } else { "v1" };
        writer.append(&line(format!("line {number}").as_bytes()), release);
    }
    drop(writer);
    assert_eq!(segments(home.path()).len(), 2);
    assert_eq!(read(home.path(), Start::Oldest), numbered(0..110));

    let mut writer = Writer::open(home.path(), Limits::default()).unwrap();
    append_numbered(&mut writer, 110..111, "v1");
    append_numbered(&mut writer, 111..112, "v2");
    assert_eq!(segments(home.path()).len(), 2, "both releases were known to the last segment");
    append_numbered(&mut writer, 112..113, "v3");
    assert_eq!(segments(home.path()).len(), 3);
}

#[test]
fn more_releases_than_a_segment_can_name_still_keep_their_lines() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), Limits::default()).unwrap();
    for number in 0..60 {
        let release = format!("v{}", number % 20);
        writer.append(&line(format!("line {number}").as_bytes()), &release);
    }
    writer.append(&line(b"line 60"), &"a very long name ".repeat(40));
    writer.flush();
    assert_eq!(read(home.path(), Start::Oldest), numbered(0..61));
}

#[test]
fn the_oldest_segments_are_deleted_to_stay_within_the_total() {
    let home = tempfile::tempdir().unwrap();
    let limits = Limits { segment_bytes: 100_000, total_bytes: 500_000, ..Limits::default() };
    let mut writer = Writer::open(home.path(), limits).unwrap();
    for number in 0..20_000 {
        writer.append(&line(format!("line {number} {}", "x".repeat(80)).as_bytes()), "v1");
    }
    writer.flush();
    let total: u64 = segments(home.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(total <= limits.total_bytes, "{total} bytes");
    assert!(total > limits.total_bytes - 2 * limits.segment_bytes, "only {total} bytes are kept");
    assert!(read(home.path(), Start::Oldest).last().unwrap().starts_with("line 19999 "));
}

#[test]
fn many_tiny_segments_are_bounded_too() {
    let home = tempfile::tempdir().unwrap();
    let limits = Limits { segment_bytes: 64 << 10, total_bytes: 1 << 20, ..Limits::default() };
    let mut writer = Writer::open(home.path(), limits).unwrap();
    for number in 0..200 {
        append_numbered(&mut writer, number..number + 1, &format!("v{number}"));
    }
    assert!(segments(home.path()).len() <= 16);
}

#[test]
fn files_of_others_are_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let stranger = home.path().join("1.log");
    std::fs::write(&stranger, "mine").unwrap();
    let limits = Limits { segment_bytes: 100, total_bytes: 100, ..Limits::default() };
    let mut writer = Writer::open(home.path(), limits).unwrap();
    append_numbered(&mut writer, 0..100, "v1");
    assert_eq!(std::fs::read(&stranger).unwrap(), b"mine");
}
