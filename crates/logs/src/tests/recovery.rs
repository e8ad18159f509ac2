//! What a writer that died, or a disk that lies, leaves behind.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::{append_numbered, limits, line, numbered, read, segments};
use crate::{Filter, Limits, Reader, Start, Writer};

fn open(directory: &std::path::Path) -> Writer {
    Writer::open(directory, Limits::default()).unwrap()
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_written_over() {
    let home = tempfile::tempdir().unwrap();
    append_numbered(&mut open(home.path()), 0..3, "v1");
    let path = segments(home.path()).remove(0);
    let whole = std::fs::read(&path).unwrap();
    let record_bytes = 36 + "line 2".len();
    for missing in 1..record_bytes {
        std::fs::write(&path, &whole[..whole.len() - missing]).unwrap();
        assert_eq!(read(home.path(), Start::Oldest), numbered(0..2), "{missing} bytes missing");
        append_numbered(&mut open(home.path()), 2..5, "v1");
        assert_eq!(read(home.path(), Start::Oldest), numbered(0..5), "{missing} bytes missing");
        assert_eq!(segments(home.path()).len(), 1);
    }
}

#[test]
fn a_torn_header_is_skipped() {
    let home = tempfile::tempdir().unwrap();
    append_numbered(&mut open(home.path()), 0..3, "v1");
    let path = segments(home.path()).remove(0);
    let whole = std::fs::read(&path).unwrap();
    for kept in [0, 5, 20] {
        std::fs::write(&path, &whole[..kept]).unwrap();
        assert!(read(home.path(), Start::Oldest).is_empty());
    }
    append_numbered(&mut open(home.path()), 3..5, "v1");
    let texts = read(home.path(), Start::Oldest);
    assert_eq!(texts[0], "<log segment 1 ends in the middle of a record at byte 0>");
    assert_eq!(texts[1..], numbered(3..5));
}

#[test]
fn damage_costs_the_rest_of_its_segment_and_is_told() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(home.path(), limits(400)).unwrap();
    append_numbered(&mut writer, 0..30, "v1");
    let path = segments(home.path()).remove(1);
    let bytes = std::fs::read(&path).unwrap();
    let clean = read(home.path(), Start::Oldest);
    // Any one byte of a segment: the records before it are there, and all other segments.
    let mut told = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&path, &damaged).unwrap();
        let texts = read(home.path(), Start::Oldest);
        assert_eq!(texts.last(), clean.last(), "byte {at}");
        let gaps: Vec<&String> = texts.iter().filter(|text| text.starts_with('<')).collect();
        assert!(gaps.len() <= 1, "byte {at}: {gaps:?}");
        told += gaps.len();
        let kept: Vec<&String> = texts.iter().filter(|text| clean.contains(text)).collect();
        assert!(kept.len() + gaps.len() == texts.len(), "byte {at} invented a line");
    }
    assert_eq!(told, bytes.len(), "every damaged byte is told");
}

#[test]
fn a_writer_never_cuts_off_what_it_cannot_read() {
    let home = tempfile::tempdir().unwrap();
    append_numbered(&mut open(home.path()), 0..10, "v1");
    let path = segments(home.path()).remove(0);
    let before = path.metadata().unwrap().len();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"?", before - 100).unwrap();
    append_numbered(&mut open(home.path()), 10..12, "v1");
    assert_eq!(path.metadata().unwrap().len(), before);
    let texts = read(home.path(), Start::Oldest);
    assert!(texts.iter().any(|text| text.contains("wrong checksum")));
    assert_eq!(texts[texts.len() - 2..], numbered(10..12));
}

#[test]
fn a_segment_of_a_later_version_is_left_alone_and_told() {
    let home = tempfile::tempdir().unwrap();
    append_numbered(&mut open(home.path()), 0..2, "v1");
    let path = segments(home.path()).remove(0);
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[2], 8).unwrap();
    append_numbered(&mut open(home.path()), 2..4, "v1");
    let texts = read(home.path(), Start::Oldest);
    assert!(texts[0].contains("another version"), "{texts:?}");
    assert_eq!(texts[1..], numbered(2..4));
}

#[test]
fn a_line_over_the_limit_is_split_and_marked() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = open(home.path());
    let long: Vec<u8> = (0..200_000_u32).map(|i| b'a' + (i % 26) as u8).collect();
    writer.append(&line(b"before"), "v1");
    writer.append(&line(&long), "v1");
    writer.append(&line(b""), "v1");
    writer.flush();
    let mut reader = Reader::open(home.path(), Start::Oldest, Filter::default()).unwrap();
    let mut joined = Vec::new();
    let mut partial = Vec::new();
    while let Some(entry) = reader.read_next().unwrap() {
        joined.extend_from_slice(entry.record.bytes);
        partial.push(entry.record.partial);
    }
    assert_eq!(joined, [b"before", long.as_slice()].concat());
    assert_eq!(partial, [false, true, true, true, false, false]);
}

#[test]
fn a_missing_parent_directory_is_an_error_that_names_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("not/there");
    let error = Writer::open(&path, Limits::default()).unwrap_err();
    assert!(error.to_string().contains("not/there"), "{error}");
    assert!(Reader::open(&path, Start::Oldest, Filter::default()).is_err());
}
