//! Requests and their answers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use home::Home;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use report::{Failure, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::{Lines, REPLY_EVER, REPLY_MAX, REPLY_MAX_BYTES, REPLY_SLOW};
use crate::error::{Error, Result};

/// How long an agent that is being restarted is waited for: its shim pauses for less in all before
/// it calls it a crash loop.
const RESTART_MAX: Duration = Duration::from_secs(10);

/// Between two requests to an agent that is being restarted; nobody tells when it is back.
const RESTART_PAUSE: Duration = Duration::from_millis(20);

/// A client of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    home: Home,
    /// Whether a person is told about long waits.
    tells: bool,
    /// Whether an agent that its shim waits with is started again.
    wakes: bool,
}

impl Client {
    /// Returns a client of the agent of `home`; nothing is dialled yet.
    pub(super) fn new(home: Home, tells: bool) -> Self {
        Self { home, tells, wakes: true }
    }

    /// Returns a client that only looks: an agent in a crash loop is left to its shim.
    pub(crate) fn that_only_looks(self) -> Self {
        Self { wakes: false, ..self }
    }

    /// Returns all apps.
    pub(crate) async fn apps(&self) -> Result<Vec<api::AppSummary>> {
        self.get(api::path::APPS).await
    }

    /// `GET`s a value.
    pub(crate) async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T> {
        self.exchange(Method::GET, target, None::<&()>, REPLY_MAX).await
    }

    /// `GET`s a value that must begin to arrive within `limit`.
    pub(crate) async fn get_within<T: DeserializeOwned>(
        &self,
        target: &str,
        limit: Duration,
    ) -> Result<T> {
        self.exchange(Method::GET, target, None::<&()>, limit).await
    }

    /// `POST`s a value and returns the answer.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        target: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.exchange(Method::POST, target, Some(body), REPLY_MAX).await
    }

    /// The same where the answer may begin as late as it likes.
    pub(crate) async fn post_patiently<T: DeserializeOwned>(
        &self,
        target: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.exchange(Method::POST, target, Some(body), REPLY_EVER).await
    }

    /// `PATCH`es and returns the answer.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        target: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.exchange(Method::PATCH, target, Some(body), REPLY_MAX).await
    }

    /// `DELETE`s and returns the answer.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, target: &str) -> Result<T> {
        self.exchange(Method::DELETE, target, None::<&()>, REPLY_MAX).await
    }

    /// `POST`s without a body where the answer's body does not matter.
    pub(crate) async fn poke(&self, target: &str) -> Result<()> {
        let (response, _connection) =
            self.send(Method::POST, target, None::<&()>, REPLY_MAX).await?;
        read_body(response).await.map(drop)
    }

    /// `GET`s a stream of lines.
    pub(crate) async fn stream(&self, target: &str) -> Result<Lines> {
        let (response, connection) = self.send(Method::GET, target, None::<&()>, REPLY_MAX).await?;
        Ok(Lines::new(response.into_body(), connection))
    }

    /// `POST`s a value and returns the stream of lines that answers it.
    pub(crate) async fn post_stream(&self, target: &str, body: &impl Serialize) -> Result<Lines> {
        let (response, connection) = self.send(Method::POST, target, Some(body), REPLY_MAX).await?;
        Ok(Lines::new(response.into_body(), connection))
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Option<&impl Serialize>,
        limit: Duration,
    ) -> Result<T> {
        let (response, _connection) = self.send(method, target, body, limit).await?;
        let bytes = read_body(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Kind::Internal, format!("failed to read the agent's answer to `{target}`"))
                .because(&error)
                .hint("agent and command may be of different versions: skep agent:status")
                .into()
        })
    }

    /// Sends a request and returns its answer if that is a good one, else the failure in it.
    ///
    /// While the agent is being restarted its shim answers in its place. Nobody has read such a
    /// request, so it is sent again, whatever it asks for. A shim that pauses for long after a crash
    /// loop is told once to try now.
    async fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<&impl Serialize>,
        limit: Duration,
    ) -> Result<(Response<Incoming>, Connection)> {
        let body = match body {
            None => Bytes::new(),
            Some(body) => serde_json::to_vec(body)
                .map_err(|error| {
                    Failure::new(Kind::Internal, "failed to write a request").because(&error)
                })?
                .into(),
        };
        let deadline = Instant::now() + RESTART_MAX;
        let mut wakes = self.wakes;
        loop {
            let (response, connection) =
                self.send_once(&method, target, body.clone(), limit).await?;
            if response.headers().contains_key(control::shim::REFUSED_HEADER) {
                if Instant::now() >= deadline {
                    return Err(self.restarting());
                }
                if std::mem::take(&mut wakes) {
                    let home = self.home.clone();
                    let woken =
                        tokio::task::spawn_blocking(move || crate::parts::wake_agent(&home));
                    // Where it cannot be, or ends again, that is told when the time is over.
                    drop(woken.await);
                    continue;
                }
                tokio::time::sleep(RESTART_PAUSE).await;
                continue;
            }
            if response.status().is_success() {
                return Ok((response, connection));
            }
            let status = response.status();
            let bytes = read_body(response).await?;
            return Err(refusal(status, target, &bytes));
        }
    }

    /// Sends a request and returns its answer, whatever it says.
    async fn send_once(
        &self,
        method: &Method,
        target: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<(Response<Incoming>, Connection)> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            // HTTP/1.1 wants one; there is no name behind a unix socket.
            .header(hyper::header::HOST, "agent")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| {
                Failure::new(Kind::Internal, format!("failed to make a request for `{target}`"))
                    .because(&error)
            })?;
        let socket = self.dial()?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|error| self.lost(&error))?;
        // Its error is also the pending request's.
        let connection = Connection(tokio::spawn(async { drop(connection.await) }));
        let reply = sender.send_request(request);
        tokio::pin!(reply);
        let mut response = tokio::time::timeout(REPLY_SLOW.min(limit), &mut reply).await;
        if response.is_err() {
            if self.tells {
                crate::output::remark("waiting for the agent …");
            }
            response = tokio::time::timeout(limit.saturating_sub(REPLY_SLOW), &mut reply).await;
        }
        let response =
            response.map_err(|_| self.silent(limit))?.map_err(|error| self.lost(&error))?;
        Ok((response, connection))
    }

    fn dial(&self) -> Result<UnixStream> {
        super::start::dial(&self.home.api_socket())
            .and_then(|stream| {
                stream.set_nonblocking(true)?;
                UnixStream::from_std(stream)
            })
            .map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let socket = self.home.api_socket();
        let socket = socket.display();
        Failure::new(Kind::Unavailable, format!("failed to talk to the agent at `{socket}`"))
            .because(error)
            .hint("skep doctor")
            .into()
    }

    fn silent(&self, limit: Duration) -> Error {
        let seconds = limit.as_secs();
        let socket = self.home.api_socket();
        let socket = socket.display();
        Failure::new(
            Kind::Unavailable,
            format!("the agent did not answer within {seconds} s at `{socket}`"),
        )
        .hint("skep logs skep/agent    what it says")
        .hint("skep doctor")
        .into()
    }

    /// Says what the agent said before it ended: there is nobody who could be asked for its log.
    fn restarting(&self) -> Error {
        let seconds = RESTART_MAX.as_secs();
        let text = format!("the agent has ended and is not back after {seconds} s");
        let failure = Failure::new(Kind::Unavailable, text);
        let words = crate::parts::last_words(&self.home);
        let failure = match words.is_empty() {
            true => failure,
            false => failure.detail("it said", words.join("\n")),
        };
        failure.hint("skep agent:start    start it now").hint("skep doctor").into()
    }
}

/// Ends a connection's task when the answer was read, or nobody wants it any more.
#[derive(Debug)]
pub(super) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read_body(response: Response<Incoming>) -> Result<Bytes> {
    Limited::new(response.into_body(), REPLY_MAX_BYTES)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| {
            Failure::new(Kind::Unavailable, "the agent's answer broke off")
                .cause(error.to_string())
                .hint("skep doctor")
                .into()
        })
}

/// Returns the failure in an answer; one that has none is a defect of the agent's, told as it is.
fn refusal(status: StatusCode, target: &str, body: &[u8]) -> Error {
    serde_json::from_slice::<Failure>(body)
        .unwrap_or_else(|_| {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            let failure = Failure::new(
                Kind::Internal,
                format!("the agent answered `{target}` with {status}"),
            );
            if text.trim().is_empty() { failure } else { failure.cause(text) }
        })
        .into()
}
