//! Passing a response on, piece by piece as it comes.
//!
//! Nothing is collected: what is here is sent before more is read, so that a slow client slows the
//! slot down and an event is not kept waiting for the next one. Chunks are decoded and made anew;
//! trailers end here.

use std::time::Duration;

use http1::{BodyDecoder, HeadScanner, HeaderSpace, LAST_CHUNK, encode_chunk, parse_response};
use tokio::time::Instant;

use crate::buffer::Buffer;
use crate::head::{Client, Framing, client_framing, write_response};
use crate::outbound::Outbound;
use crate::tracker::Record;
use crate::upstream::Reader;
use crate::wait::{Stop, Watch, fill};

/// How a response is to be passed on.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) status: u16,
    decoder: BodyDecoder,
    framing: Framing,
    /// Whether the client's connection outlives the response.
    pub(crate) keep: bool,
    /// Whether the slot's connection does.
    pub(crate) upstream_persists: bool,
}

/// A response that ended before its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The slot's fault.
    Upstream(String),
    /// The client left, took nothing, or the request was cut.
    Client(Stop),
}

/// Takes the head that is in `buffer` and makes the client's from it, in `out`. `None` when the
/// slot changes to a protocol nobody asked for.
pub(crate) fn plan(
    buffer: &mut Buffer,
    out: &mut Vec<u8>,
    id: &str,
    client: Client,
    may_keep: bool,
    asked_for_upgrade: bool,
) -> Option<Plan> {
    let mut space = HeaderSpace::new();
    let mut scanner = HeadScanner::default();
    let parsed = parse_response(buffer.bytes(), client.method(), &mut scanner, &mut space);
    let (response, length) = parsed.ok().flatten()?;
    let switches = response.status() == 101;
    if switches && !(asked_for_upgrade && response.connection().upgrade) {
        return None;
    }
    let (framing, ends_by_itself) = client_framing(response.body(), client);
    // Bytes behind a refused upgrade may belong to the other protocol.
    let keep = may_keep && ends_by_itself && !asked_for_upgrade;
    write_response(out, &response, id, client, keep);
    let plan = Plan {
        status: response.status(),
        decoder: BodyDecoder::new(response.body()),
        framing,
        keep,
        upstream_persists: response.persists() && !switches,
    };
    buffer.consume(length);
    Some(plan)
}

/// Sends the head and the body as it comes, to its end; the slot may pause for `pause`.
pub(crate) async fn relay(
    plan: &mut Plan,
    reader: &mut Reader<'_>,
    buffer: &mut Buffer,
    outbound: &mut Outbound<'_>,
    record: &Record,
    pause: Duration,
    watch_client: bool,
) -> Result<(), Broken> {
    loop {
        pass_on(plan, buffer, outbound, record).await?;
        if plan.decoder.is_done() {
            return Ok(());
        }
        let Outbound { writer, timer, .. } = outbound;
        let client = watch_client.then(|| (*writer).as_ref());
        let mut watch = Watch { record, client };
        let deadline = Instant::now() + pause;
        match fill(reader, buffer, timer, deadline, &mut watch).await {
            Ok(0) => {
                let end = plan.decoder.end_of_connection();
                end.map_err(|error| Broken::Upstream(error.to_string()))?;
                if plan.framing == Framing::Chunks {
                    outbound.bytes.extend_from_slice(LAST_CHUNK);
                }
                return outbound.flush(&[], record).await.map_err(Broken::Client);
            }
            Ok(_) => {}
            Err(Stop::Io(error)) => return Err(Broken::Upstream(error.to_string())),
            Err(Stop::Timeout) => return Err(Broken::Upstream("it paused too long".into())),
            Err(stop) => return Err(Broken::Client(stop)),
        }
    }
}

/// Sends what is in the buffer.
async fn pass_on(
    plan: &mut Plan,
    buffer: &mut Buffer,
    outbound: &mut Outbound<'_>,
    record: &Record,
) -> Result<(), Broken> {
    let malformed = |error: http1::BodyError| Broken::Upstream(error.to_string());
    loop {
        let decoded = plan.decoder.decode(buffer.bytes()).map_err(malformed)?;
        let data = &buffer.bytes()[decoded.data.clone()];
        let more = decoded.consumed > 0 && !plan.decoder.is_done();
        if plan.framing == Framing::Chunks {
            encode_chunk(&mut outbound.bytes, data);
        } else if decoded.consumed == buffer.bytes().len() || plan.decoder.is_done() {
            // The last piece is sent from where it lies.
            let data = decoded.data.clone();
            outbound.flush(&buffer.bytes()[data], record).await.map_err(Broken::Client)?;
        } else {
            outbound.bytes.extend_from_slice(data);
        }
        buffer.consume(decoded.consumed);
        if more && !buffer.is_empty() {
            continue;
        }
        if plan.framing == Framing::Chunks && plan.decoder.is_done() {
            outbound.bytes.extend_from_slice(LAST_CHUNK);
        }
        if outbound.bytes.is_empty() {
            return Ok(());
        }
        return outbound.flush(&[], record).await.map_err(Broken::Client);
    }
}
