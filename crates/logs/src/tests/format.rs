//! Arbitrary bytes and arbitrary records.

use proptest::prelude::*;

use super::line;
use crate::format::{Header, Parsed};
use crate::{Filter, Limits, Reader, Record, Start, Stream, Writer, fuzz_segment};

fn stream() -> impl Strategy<Value = Stream> {
    prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr), Just(Stream::Shim)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz_segment(&bytes);
    }

    #[test]
    fn a_segment_with_damaged_bytes_never_panics(
        texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = Vec::new();
        Header { created_us: 5, releases: vec!["v1".into()] }.encode(&mut bytes);
        for text in &texts {
            let record = line(text);
            bytes.extend_from_slice(&record.encode_head(0));
            bytes.extend_from_slice(text);
        }
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz_segment(&bytes);
    }

    #[test]
    fn records_read_back_as_they_were_written(
        records in proptest::collection::vec(
            (any::<u64>(), any::<u32>(), any::<u64>(), any::<u32>(), stream(), any::<bool>(),
             proptest::collection::vec(any::<u8>(), 0..200), 0..4_usize),
            0..40,
        ),
        segment_bytes in 100..2000_u64,
    ) {
        let home = tempfile::tempdir().unwrap();
        let limits = Limits { segment_bytes, ..Limits::default() };
        let mut writer = Writer::open(home.path(), limits).unwrap();
        let releases = ["v1", "v2", "v3", "v4"];
        let written: Vec<(Record<'_>, &str)> = records
            .iter()
            .map(|(time_us, slot, generation, pid, stream, partial, bytes, release)| {
                let record = Record {
                    time_us: *time_us,
                    slot: *slot,
                    generation: *generation,
                    pid: *pid,
                    stream: *stream,
                    partial: *partial,
                    gap: false,
                    bytes,
                };
                (record, releases[*release])
            })
            .collect();
        for (record, release) in &written {
            writer.append(record, release);
        }
        writer.flush();
        let mut reader = Reader::open(home.path(), Start::Oldest, Filter::default()).unwrap();
        for (record, release) in &written {
            let entry = reader.read_next().unwrap().unwrap();
            prop_assert_eq!(&entry.record, record);
            prop_assert_eq!(entry.release, *release);
        }
        prop_assert!(reader.read_next().unwrap().is_none());
    }
}

#[test]
fn a_header_names_its_releases() {
    let header = Header { created_us: 9, releases: vec!["v14".into(), "v15".into()] };
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    let size = bytes.len();
    bytes.extend_from_slice(b"more");
    assert_eq!(Header::parse(&bytes), Parsed::Whole(header, size));
    for short in 0..size {
        assert_eq!(Header::parse(&bytes[..short]), Parsed::Incomplete);
    }
    assert!(matches!(Header::parse(b"#!/bin/sh"), Parsed::Damaged(_)));
}
