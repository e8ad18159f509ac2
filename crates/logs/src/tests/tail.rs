//! The last lines, and filters.

use super::{append_numbered, limits, line, numbered, read, rest, segments};
use crate::{Filter, Limits, Reader, Record, Start, Stream, Writer};

#[test]
fn the_last_lines_are_found_across_segments() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), limits(500)).unwrap();
    append_numbered(&mut writer, 0..100, "v1");
    assert!(segments(home.path()).len() > 5);
    for count in [0, 1, 7, 50, 99, 100, 1000, usize::MAX] {
        let expected = numbered(100 - count.min(100) as u32..100);
        assert_eq!(read(home.path(), Start::Last(count)), expected, "last {count}");
    }
}

#[test]
fn an_empty_log_has_no_last_lines() {
    let home = tempfile::tempdir().unwrap();
    assert!(read(home.path(), Start::Last(10)).is_empty());
    assert!(read(home.path(), Start::Oldest).is_empty());
}

#[test]
fn filters_choose_release_slot_and_stream() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), Limits::default()).unwrap();
    for number in 0..120_u32 {
        let text = format!("line {number}");
        let stream = [Stream::Stdout, Stream::Stderr, Stream::Shim][number as usize % 3];
        let record = Record { slot: number % 2, stream, ..line(text.as_bytes()) };
        writer.append(&record, ["v1", "v2", "v3", "v4"][number as usize / 30]);
    }
    writer.flush();
    let matching = |filter: &Filter, start| {
        rest(&mut Reader::open(home.path(), start, filter.clone()).unwrap())
    };
    let release = Filter { release: Some("v2".into()), ..Filter::default() };
    assert_eq!(matching(&release, Start::Oldest), numbered(30..60));
    assert_eq!(matching(&release, Start::Last(5)), numbered(55..60));
    let slot = Filter { slot: Some(1), ..release.clone() };
    assert_eq!(matching(&slot, Start::Last(2)), ["line 57", "line 59"]);
    let stream = Filter { stream: Some(Stream::Stderr), ..Filter::default() };
    assert_eq!(matching(&stream, Start::Oldest).len(), 40);
    let unknown = Filter { release: Some("v9".into()), ..Filter::default() };
    assert!(matching(&unknown, Start::Last(10)).is_empty());
}

#[test]
fn a_position_goes_on_where_another_reader_stood() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), limits(300)).unwrap();
    append_numbered(&mut writer, 0..20, "v1");
    let all = Filter::default();
    let mut reader = Reader::open(home.path(), Start::Oldest, all.clone()).unwrap();
    for seen in 0..20 {
        let position = reader.position();
        let mut other = Reader::open(home.path(), Start::At(position), all.clone()).unwrap();
        assert_eq!(rest(&mut other), numbered(seen..20), "from {position:?}");
        reader.read_next().unwrap().unwrap();
    }
    append_numbered(&mut writer, 20..21, "v1");
    let mut other = Reader::open(home.path(), Start::At(reader.position()), all).unwrap();
    assert_eq!(rest(&mut other), ["line 20"]);
}
