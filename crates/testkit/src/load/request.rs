//! Requests as bytes.

use std::time::Duration;

/// How the bytes of a POST leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Head and body in one write.
    One,
    /// The head; a pause; the body.
    Two {
        /// How long.
        pause: Duration,
    },
}

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A GET.
    Get {
        /// Of this path.
        path: String,
    },
    /// A POST with an id that no other request has.
    Post {
        /// To this path.
        path: String,
        /// The size of the body, at least; the id needs about 60 bytes.
        body_bytes: usize,
        /// How it leaves.
        writes: Writes,
    },
}

impl Kind {
    /// Returns a GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::Get { path: path.into() }
    }

    /// Returns a POST to `/append`.
    pub fn post(body_bytes: usize, writes: Writes) -> Self {
        Self::Post { path: "/append".into(), body_bytes, writes }
    }

    /// Returns every kind that matters to a proxy that may have to send a request again: GETs, and
    /// POSTs below and above 4 KiB, in one and in two writes.
    pub fn all() -> Vec<Self> {
        let two = Writes::Two { pause: Duration::from_millis(5) };
        vec![
            Self::get("/"),
            Self::post(100, Writes::One),
            Self::get("/"),
            Self::post(100, two),
            Self::get("/slow?ms=50"),
            Self::post(20_000, Writes::One),
            Self::get("/"),
            Self::post(20_000, two),
        ]
    }

    /// Returns its name in reports.
    pub fn name(&self) -> String {
        match self {
            Self::Get { path } => format!("GET {path}"),
            Self::Post { path, body_bytes, writes: Writes::One } => {
                format!("POST {path} {body_bytes} B, one write")
            }
            Self::Post { path, body_bytes, writes: Writes::Two { .. } } => {
                format!("POST {path} {body_bytes} B, two writes")
            }
        }
    }
}

/// One request, ready to be written.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) name: String,
    /// The id of a POST; its answer repeats it.
    pub(crate) id: Option<String>,
    pub(crate) first: Vec<u8>,
    pub(crate) second: Option<(Duration, Vec<u8>)>,
}

impl Request {
    pub(crate) fn new(kind: &Kind, host: &str, run: &str, number: u64) -> Self {
        let id = format!("{run}-{number}");
        let (method, path, body, writes) = match kind {
            Kind::Get { path } => ("GET", path, String::new(), Writes::One),
            Kind::Post { path, body_bytes, writes } => {
                let frame = format!(r#"{{"id": "{id}", "filler": ""}}"#);
                let filler = "x".repeat(body_bytes.saturating_sub(frame.len()));
                let body = format!(r#"{{"id": "{id}", "filler": "{filler}"}}"#);
                ("POST", path, body, *writes)
            }
        };
        let content = match method {
            "POST" => {
                format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
            }
            _ => String::new(),
        };
        let mut first =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Load-Id: {id}\r\n{content}\r\n");
        let second = match writes {
            Writes::One => {
                first += &body;
                None
            }
            Writes::Two { pause } => Some((pause, body.into_bytes())),
        };
        let id = (method == "POST").then_some(id);
        Self { name: kind.name(), id, first: first.into_bytes(), second }
    }
}
