//! Measures the writer: megabytes of text for each second of CPU time, with rotation.
//!
//! `cargo run --release -p logs --example writer [DIR]`
#![allow(clippy::print_stdout, reason = "it is what an example does")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use logs::{Limits, Record, Stream, Writer};
use rustix::time::{ClockId, clock_gettime};

const TOTAL_BYTES: usize = 512 << 20;
/// A loop turn of a shim reads this much from a pipe.
const TURN_BYTES: usize = 64 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for line_bytes in [100, 960, 16 << 10] {
        let directory = root.join(format!("skep-log-bench.{}", std::process::id()));
        let mut writer = Writer::open(&directory, Limits::default())?;
        let line = vec![b'x'; line_bytes];
        let (wall, cpu) = (Instant::now(), cpu_time());
        let mut written = 0;
        while written < TOTAL_BYTES {
            for _ in 0..TURN_BYTES.div_ceil(line_bytes) {
                let record = Record {
                    time_us: written as u64,
                    slot: 0,
                    generation: 1,
                    pid: 1,
                    stream: Stream::Stdout,
                    partial: false,
                    gap: false,
                    bytes: &line,
                };
                writer.append(&record, "v1");
                written += line_bytes;
            }
            writer.flush();
        }
        let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
        let megabytes = written as f64 / 1e6;
        println!(
            "lines of {line_bytes:>5} bytes: {:>5.0} MB per CPU second, {:>5.0} MB/s, {:?} dropped",
            megabytes / cpu.as_secs_f64(),
            megabytes / wall.as_secs_f64(),
            writer.dropped().0,
        );
        drop(writer);
        std::fs::remove_dir_all(&directory)?;
    }
    Ok(())
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
