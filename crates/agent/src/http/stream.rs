//! Streams of one JSON object a line.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde::Serialize;

/// Returns `items` as a streamed answer; each batch is sent when it comes.
pub(super) fn lines<T, S>(items: S) -> Response
where
    T: Serialize,
    S: Stream<Item = Vec<T>> + Send + 'static,
{
    let bytes = futures_util::StreamExt::map(items, |batch| {
        let mut text = Vec::new();
        for item in &batch {
            // Our own types serialize; what does not would be left out of the stream.
            if serde_json::to_writer(&mut text, item).is_ok() {
                text.push(b'\n');
            }
        }
        Ok::<_, std::convert::Infallible>(Bytes::from(text))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(bytes)).into_response()
}

/// Returns a deploy's events from its beginning to its end. `held` lives as long as the stream.
pub(super) fn of_feed<H: Send + 'static>(
    feed: deploy::Feed,
    held: H,
    beyond_end: bool,
) -> impl Stream<Item = Vec<api::DeployEvent>> + Send + 'static {
    let state = (feed, 0_usize, false, held);
    stream::unfold(state, move |(feed, seen, over, held)| async move {
        if over && !beyond_end {
            return None;
        }
        if over {
            // Only the client ends this: its connection is its lease.
            std::future::pending::<()>().await;
        }
        let batch = feed.after(seen).await;
        let over = batch.iter().any(|event| matches!(event, api::DeployEvent::Ended { .. }));
        let seen = seen + batch.len();
        Some((batch, (feed, seen, over, held)))
    })
}
