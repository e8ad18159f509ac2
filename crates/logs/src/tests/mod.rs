//! The writer and the reader together, on real files.

mod follow;
mod format;
mod full_disk;
mod recovery;
mod rotation;
mod tail;

use std::path::{Path, PathBuf};

use crate::{Filter, Limits, Reader, Record, Start, Stream, Writer};

/// A line of slot 0's standard output.
fn line(bytes: &[u8]) -> Record<'_> {
    Record {
        time_us: 1_000_000,
        slot: 0,
        generation: 1,
        pid: 77,
        stream: Stream::Stdout,
        partial: false,
        gap: false,
        bytes,
    }
}

fn append_numbered(writer: &mut Writer, numbers: std::ops::Range<u32>, release: &str) {
    for number in numbers {
        writer.append(&line(format!("line {number}").as_bytes()), release);
    }
    writer.flush();
}

fn numbered(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

/// Returns the texts that `reader` gives until its present end; gaps in angle brackets.
fn rest(reader: &mut Reader) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(entry) = reader.read_next().unwrap() {
        let text = String::from_utf8_lossy(entry.record.bytes).into_owned();
        texts.push(if entry.record.gap { format!("<{text}>") } else { text });
    }
    texts
}

fn read(directory: &Path, start: Start) -> Vec<String> {
    rest(&mut Reader::open(directory, start, Filter::default()).unwrap())
}

/// Returns the paths of all segments, oldest first.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn limits(segment_bytes: u64) -> Limits {
    Limits { segment_bytes, ..Limits::default() }
}
