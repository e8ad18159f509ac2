//! One request from its head to its end: limits, body, endpoint, attempts, answer, log line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::answer::Answer;
use crate::body::BodyFailure;
use crate::client::{Connection, Next};
use crate::endpoint::Claim;
use crate::exchange::{Failed, Pump, send};
use crate::hold::NoEndpoint;
use crate::limits::{MAX_ATTEMPTS, MAX_RISKED};
use crate::log::{RequestLine, now_ms};
use crate::reason::Reason;
use crate::relay::{Broken, plan, relay};
use crate::reply::{HeadWait, NoHead};
use crate::retry::{Decision, Facts, Failure, decide};
use crate::service::ServiceEntry;
use crate::tracker::Phase;
use crate::tunnel::{self, TunnelEnd};
use crate::wait::{Stop, Watch};

/// What became of one attempt.
enum Attempt {
    /// The request is over.
    Over(Next),
    /// No final response; `one_read` as in [`Facts`].
    Failed { failed: Failed, one_read: bool },
    /// Nothing was passed on and nothing can be: answer this.
    Refuse { reason: Reason, detail: String },
    /// The client is gone.
    Gone,
}

impl Connection<'_> {
    /// Serves the request whose head was taken.
    pub(crate) async fn serve_request(&mut self) -> Next {
        let Some(entry) = self.request.entry.clone() else {
            return self.answer(404, Reason::NoRoute, None).await;
        };
        if let Err(failure) = self.body.limit(entry.body_limit_bytes) {
            return self.body_failed(failure).await;
        }
        // Whoever has begun to send does not wait for it (RFC 9110 §10.1.1).
        let waits = !self.body.is_complete() && self.inbound.buffer.is_empty();
        if self.request.expects_continue && waits {
            self.outbound.bytes.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            if self.outbound.flush(&[], self.record).await.is_err() {
                return self.gone();
            }
        }
        if !self.body.is_complete()
            && let Err(failure) = self.body.read_ahead(&mut self.inbound, self.record).await
        {
            return self.body_failed(failure).await;
        }
        loop {
            let claim = match self.choose(&entry).await {
                Ok(claim) => claim,
                Err(NoEndpoint::Reason(reason)) => {
                    return self.answer(reason.status(), reason, None).await;
                }
                Err(NoEndpoint::Stop(stop)) => return self.stopped(stop).await,
            };
            let endpoint = Arc::clone(&claim.endpoint);
            self.record.current().endpoint = Some(Arc::clone(&endpoint));
            self.request.journey.attempts += 1;
            let attempt = self.attempt(claim, &entry).await;
            let (Failed { failure, answered, detail }, one_read) = match attempt {
                Attempt::Over(next) => return next,
                Attempt::Gone => return self.gone(),
                Attempt::Refuse { reason, detail } => {
                    return self.answer(reason.status(), reason, Some(&detail)).await;
                }
                Attempt::Failed { failed, one_read } => (failed, one_read),
            };
            self.response.release();
            let journey = &mut self.request.journey;
            let facts = Facts {
                idempotent: self.request.idempotent,
                replayable: self.body.is_replayable(),
                answered,
                one_read,
                risked: journey.risked,
                ended: journey.ended,
            };
            let mut decision = decide(failure, facts);
            if journey.attempts >= MAX_ATTEMPTS {
                decision = Decision::GiveUp(crate::retry::reason(failure));
            }
            match decision {
                Decision::GiveUp(reason) => {
                    return self.answer(reason.status(), reason, Some(&detail)).await;
                }
                Decision::Again => {}
                Decision::Elsewhere => journey.avoid.push(endpoint),
            }
            if matches!(failure, Failure::Reset | Failure::Ended) {
                journey.risked = (journey.risked + 1).min(MAX_RISKED);
            }
            if failure == Failure::Ended {
                journey.ended += 1;
            }
            if failure != Failure::Withdrawn {
                journey.last = Some(crate::retry::reason(failure));
                entry.state.counters.retried.fetch_add(1, Relaxed);
            }
            self.record.current().endpoint = None;
        }
    }

    async fn choose(&mut self, entry: &Arc<ServiceEntry>) -> Result<Claim, NoEndpoint> {
        let shared = &self.origin.shared;
        let bytes = self.request.head.len() + self.body.replay().len();
        let client = (self.request.persists && self.body.is_complete())
            .then(|| self.outbound.writer.as_ref());
        let mut watch = Watch { record: self.record, client };
        let timer = &mut self.outbound.timer;
        self.request.journey.choose(shared, entry, bytes, timer, &mut watch).await
    }

    /// Sends the request to one endpoint and passes its answer on.
    async fn attempt(&mut self, claim: Claim, entry: &ServiceEntry) -> Attempt {
        let request = &mut self.request;
        request.head.truncate(request.head_length);
        let (worker, record, client) = (self.origin.worker, self.record, request.client);
        let sent =
            send(&claim, worker, &mut request.head, &self.body, request.upgrade, request.has_body);
        let mut sent = match sent.await {
            Ok(sent) => sent,
            Err(failed) => return Attempt::Failed { failed, one_read: false },
        };
        let (one_read, timeout) = (sent.one_read, entry.response_timeout);
        let unsent = std::mem::take(&mut sent.unsent);
        let (mut reader, writer) = sent.upstream.split();
        let may_watch = request.persists;
        let was_sent = AtomicBool::new(false);
        let (body, inbound) = (&mut self.body, &mut self.inbound);
        let mut pump = Pump::new(unsent, body, inbound, writer, record, &was_sent);
        let (response, outbound) = (&mut self.response, &mut self.outbound);

        let watch_client = may_watch && pump.is_idle();
        let head = HeadWait { record, client, watch_client, timeout, sent: &was_sent };
        match pump.beside(head.run(&mut reader, response, outbound)).await {
            Ok(Ok(())) => {}
            Ok(Err(NoHead::Failed(mut failed))) => {
                drop(pump);
                if !failed.answered {
                    failed.failure = sent.explain_end(failed.failure);
                }
                return Attempt::Failed { failed, one_read };
            }
            Ok(Err(NoHead::Stop(Stop::Cut))) => {
                return Attempt::Refuse { reason: Reason::CutAtDrain, detail: String::new() };
            }
            Ok(Err(NoHead::Stop(_))) | Err(BodyFailure::ClientGone) => return Attempt::Gone,
            Err(failure) => {
                let (reason, detail) = explain(&failure);
                return Attempt::Refuse { reason, detail };
            }
        }

        let serving = self.origin.shared.tracker.phase() == Phase::Serving;
        // What is left of a body would be read as the next request.
        let may_keep = request.persists && serving && pump.sent_all;
        let plan =
            plan(response, &mut outbound.bytes, &request.id, client, may_keep, request.upgrade);
        let Some(mut plan) = plan else {
            let failed = Failed::new(Failure::Garbage, &"an upgrade that nobody asked for");
            return Attempt::Failed { failed, one_read };
        };
        if plan.status == 101 {
            drop(pump);
            return self.tunnel(claim, sent.upstream).await;
        }
        let watch = may_watch && pump.is_idle();
        let pause = self.origin.shared.limits.response_pause;
        let outcome = relay(&mut plan, &mut reader, response, outbound, record, pause, watch);
        let outcome = pump.beside(outcome).await;
        let whole = pump.sent_all;
        drop(pump);
        let broken = match outcome {
            Ok(Ok(())) => {
                if plan.upstream_persists && whole && self.response.is_empty() {
                    claim.endpoint.check_in(worker, sent.upstream);
                }
                drop(claim);
                self.finish(plan.status, None, None);
                let read = self.body.is_complete();
                // A client that did not ask for the end may be sending its next request already.
                let surprised = self.request.persists || !read;
                return Attempt::Over(match (plan.keep && read, surprised) {
                    (true, _) => Next::Again,
                    (false, true) => Next::Linger,
                    (false, false) => Next::Close,
                });
            }
            Ok(Err(broken)) => broken,
            Err(BodyFailure::ClientGone) => Broken::Client(Stop::ClientGone),
            Err(failure) => {
                // The answer has begun: the rest of a bad request only ends the connection.
                let (reason, detail) = explain(&failure);
                self.finish(plan.status, Some(reason), Some(&detail));
                return Attempt::Over(Next::Abort);
            }
        };
        drop(claim);
        match broken {
            Broken::Upstream(detail) => {
                entry.state.counters.broken.fetch_add(1, Relaxed);
                self.finish(plan.status, Some(Reason::EarlyClose), Some(&detail));
            }
            Broken::Client(Stop::Cut) => {
                entry.state.counters.broken.fetch_add(1, Relaxed);
                self.finish(plan.status, Some(Reason::CutAtDrain), None);
            }
            Broken::Client(_) => self.finish(plan.status, Some(Reason::ClientAbort), None),
        }
        Attempt::Over(Next::Abort)
    }

    /// Passes a changed protocol on until it ends.
    async fn tunnel(&mut self, claim: Claim, mut upstream: crate::upstream::Upstream) -> Attempt {
        self.record.current().upgraded = true;
        if self.outbound.flush(self.response.bytes(), self.record).await.is_err() {
            return Attempt::Gone;
        }
        self.response.release();
        let (slot_reader, mut slot_writer) = upstream.split();
        let early = self.inbound.buffer.bytes();
        if tokio::io::AsyncWriteExt::write_all(&mut slot_writer, early).await.is_err() {
            self.finish(101, None, None);
            return Attempt::Over(Next::Abort);
        }
        self.inbound.buffer.release();
        let client = (&mut self.inbound.reader, &mut self.outbound.writer);
        let end = tunnel::run(client, (slot_reader, slot_writer), self.record).await;
        drop(claim);
        match end {
            TunnelEnd::Closed => {
                self.finish(101, None, None);
                Attempt::Over(Next::Close)
            }
            TunnelEnd::Cut => {
                self.finish(101, Some(Reason::CutAtDrain), None);
                Attempt::Over(Next::Abort)
            }
        }
    }

    async fn body_failed(&mut self, failure: BodyFailure) -> Next {
        if matches!(failure, BodyFailure::ClientGone) {
            return self.gone();
        }
        let (reason, detail) = explain(&failure);
        self.answer(reason.status(), reason, Some(&detail)).await
    }

    async fn stopped(&mut self, stop: Stop) -> Next {
        match stop {
            Stop::Cut => self.answer(503, Reason::CutAtDrain, None).await,
            Stop::Timeout | Stop::ClientGone | Stop::Io(_) => self.gone(),
        }
    }

    fn gone(&mut self) -> Next {
        self.finish(Reason::ClientAbort.status(), Some(Reason::ClientAbort), None);
        Next::Abort
    }

    /// Answers in the app's place.
    pub(crate) async fn answer(
        &mut self,
        status: u16,
        reason: Reason,
        detail: Option<&str>,
    ) -> Next {
        let serving = self.origin.shared.tracker.phase() == Phase::Serving;
        let read = self.body.is_complete();
        let keep = self.request.persists && read && serving && !self.request.upgrade;
        let answer = Answer {
            status,
            reason,
            id: &self.request.id,
            json: self.request.json,
            is_head: self.request.client.is_head,
            keep,
            is_11: self.request.client.is_11,
        };
        answer.write(&mut self.outbound.bytes);
        // Being cut is what this may be about; it must not stop the answer too.
        self.record.begin();
        let sent = self.outbound.flush(&[], self.record).await;
        self.finish(status, Some(reason), detail);
        match sent {
            Err(_) => Next::Abort,
            Ok(()) if keep => Next::Again,
            Ok(()) => Next::Linger,
        }
    }

    /// Counts and logs the request.
    fn finish(&mut self, status: u16, reason: Option<Reason>, detail: Option<&str>) {
        let request = &mut self.request;
        if let Some(entry) = &request.entry {
            let counters = &entry.state.counters;
            counters.requests.fetch_add(1, Relaxed);
            if status >= 500 {
                let by =
                    if reason.is_some() { &counters.proxy_errors } else { &counters.app_errors };
                by.fetch_add(1, Relaxed);
            }
        }
        request.running = None;
        let shared = &self.origin.shared;
        if reason.is_none() && !shared.access_log {
            return;
        }
        let current = self.record.current();
        let known = request.entry.is_some() || reason == Some(Reason::NoRoute);
        shared.log.request(&RequestLine {
            kind: "request",
            at_ms: now_ms(),
            id: &request.id,
            method: if known { &current.method } else { "" },
            path: if known { &current.path } else { "" },
            service: request.entry.as_ref().map(|entry| entry.state.name.to_string()),
            release: request.entry.as_ref().map(|entry| entry.release.as_str()),
            slot: current.endpoint.as_ref().map(|endpoint| endpoint.id.slot.to_string()),
            status,
            reason: reason.map(Reason::code),
            detail,
            attempts: request.journey.attempts,
            held_ms: request.journey.held.as_millis() as u64,
            ms: request.started.elapsed().as_millis() as u64,
        });
    }
}

fn explain(failure: &BodyFailure) -> (Reason, String) {
    match failure {
        BodyFailure::ClientGone => (Reason::ClientAbort, String::new()),
        BodyFailure::TooSlow => (Reason::ClientTooSlow, "the body".to_owned()),
        BodyFailure::TooLarge => (Reason::BodyTooLarge, String::new()),
        BodyFailure::Malformed(error) => (Reason::BadRequest, error.to_string()),
        BodyFailure::Cut => (Reason::CutAtDrain, String::new()),
    }
}
