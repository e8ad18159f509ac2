//! Log lines, from the shims' own files.
//!
//! The lines of several services are merged by their time. Following watches the directories
//! (inotify), so that nothing is polled.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use api::{LogLine, LogQuery, LogStream};
use axum::extract::{Query, State};
use axum::response::Response;
use control::ServiceName;
use futures_util::stream;
use logs::{Entry, Filter, Reader, Start, Stream, Watch};
use report::{Failure, Kind};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::mpsc;

use super::reply::Failed;
use super::stream::lines as as_lines;
use crate::live::rfc3339_us;
use crate::state::Agent;

/// Lines shown when nobody said how many.
const DEFAULT_LINES: usize = 100;

/// Most lines that one request may ask for.
const MAX_LINES: usize = 100_000;

/// Batches that may wait for a slow client; the reader waits then, the log does not.
const MAX_BATCHES: usize = 16;

/// Lines in a batch.
const BATCH_LINES: usize = 256;

/// How often a follower looks whether its client is still there.
const CLIENT_CHECK: Duration = Duration::from_secs(1);

pub(super) async fn lines(
    State(agent): State<Agent>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Failed> {
    let sources = sources(&agent, &query)?;
    let (sender, receiver) = mpsc::channel(MAX_BATCHES);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read(sources, &query, &sender) {
            tracing::warn!(%error, "failed to read a log");
        }
    });
    let batches = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|batch: Vec<LogLine>| (batch, receiver))
    });
    Ok(as_lines(batches))
}

/// Returns the services whose logs are wanted.
fn sources(agent: &Agent, query: &LogQuery) -> Result<Vec<(ServiceName, PathBuf)>, Failure> {
    let home = &agent.node().home;
    let mut found = Vec::new();
    let entries = std::fs::read_dir(home.shims()).map_err(|error| {
        let error = disk::DiskError::new("list", &home.shims(), error);
        Failure::from_error(Kind::Failed, &error)
    })?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Ok(service) = ServiceName::from_file_name(&name.to_string_lossy()) else { continue };
        let wanted = match &query.app {
            Some(app) => service.app() == app,
            // Skep's own services are read when they are asked for.
            None => service.app() != "skep",
        };
        let of_service = query.service.as_ref().is_none_or(|wanted| service.service() == wanted);
        if wanted && of_service {
            found.push((service.clone(), home.logs(&service.file_name())));
        }
    }
    found.retain(|(_, directory)| directory.is_dir());
    found.sort();
    if found.is_empty() {
        if let Some(app) = query.app.as_ref().filter(|app| *app != "skep") {
            agent.app(app)?;
        }
        let text = "nothing was logged yet";
        return Err(Failure::new(Kind::Usage, text));
    }
    Ok(found)
}

struct Source {
    service: String,
    reader: Reader,
    watch: Option<Watch>,
}

fn read(
    sources: Vec<(ServiceName, PathBuf)>,
    query: &LogQuery,
    sender: &mpsc::Sender<Vec<LogLine>>,
) -> Result<(), logs::LogError> {
    let wanted = query.lines.unwrap_or(DEFAULT_LINES).min(MAX_LINES);
    let filter =
        Filter { release: query.release.map(|number| format!("v{number}")), ..Filter::default() };
    let mut open = Vec::new();
    for (service, directory) in sources {
        // Before the first read: what is written in between is read twice by nobody, and missed by
        // nobody.
        let watch = if query.follow { Some(Watch::open(&directory)?) } else { None };
        let reader = Reader::open(&directory, Start::Last(wanted), filter.clone())?;
        open.push(Source { service: service.to_string(), reader, watch });
    }
    let mut lines = collect(&mut open)?;
    lines.drain(..lines.len().saturating_sub(wanted));
    if !send(lines, sender) || !query.follow {
        return Ok(());
    }
    loop {
        wait(&open);
        if sender.is_closed() {
            return Ok(());
        }
        for source in &open {
            if let Some(watch) = &source.watch {
                watch.clear();
            }
        }
        if !send(collect(&mut open)?, sender) {
            return Ok(());
        }
    }
}

/// Reads everything that is there, merged by time.
fn collect(sources: &mut [Source]) -> Result<Vec<LogLine>, logs::LogError> {
    let mut lines = Vec::new();
    for source in sources {
        while let Some(entry) = source.reader.read_next()? {
            lines.push((entry.record.time_us, line(&source.service, entry)));
        }
    }
    // Stable: lines of one service keep their order whatever the clock did.
    lines.sort_by_key(|(time_us, _)| *time_us);
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

fn line(service: &str, Entry { release, record }: Entry<'_>) -> LogLine {
    LogLine {
        at: rfc3339_us(record.time_us),
        service: service.to_owned(),
        slot: record.slot,
        pid: record.pid,
        release: release.to_owned(),
        stream: match record.stream {
            Stream::Stdout => LogStream::Stdout,
            Stream::Stderr => LogStream::Stderr,
            Stream::Shim => LogStream::Shim,
        },
        text: String::from_utf8_lossy(record.bytes).into_owned(),
        partial: record.partial,
        gap: record.gap,
    }
}

/// Sends lines in batches; false once the client is gone.
fn send(lines: Vec<LogLine>, sender: &mpsc::Sender<Vec<LogLine>>) -> bool {
    let mut lines = lines.into_iter();
    loop {
        let batch: Vec<LogLine> = lines.by_ref().take(BATCH_LINES).collect();
        if batch.is_empty() {
            return true;
        }
        if sender.blocking_send(batch).is_err() {
            return false;
        }
    }
}

/// Waits until one of the logs grew, or until it is time to look for the client.
fn wait(sources: &[Source]) {
    let mut fds: Vec<PollFd<'_>> = sources
        .iter()
        .filter_map(|source| source.watch.as_ref())
        .map(|watch| PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN))
        .collect();
    let timeout = rustix::event::Timespec::try_from(CLIENT_CHECK).ok();
    // An interrupted wait is a short one.
    let _ = poll(&mut fds, timeout.as_ref());
}
