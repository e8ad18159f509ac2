//! What may go wrong between the agent and a shim.

use std::time::Duration;

use control::ServiceName;

use crate::view::ServiceView;

/// A request to a service's shim that did not come about.
///
/// Variants say whether anything may have been done: only [`Self::NoAnswer`] and [`Self::Lost`]
/// leave that open, and the view tells what became of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuperviseError {
    /// The shim said no; nothing changed.
    #[error("the shim of {service} refused to {request}: {reason}")]
    Refused {
        /// Whose.
        service: ServiceName,
        /// What was asked, for example `start g7.0`.
        request: String,
        /// In its words.
        reason: String,
    },
    /// The shim is older than the request; nothing changed.
    #[error("the shim of {service} is of an older build that cannot {request}")]
    Unsupported {
        /// Whose.
        service: ServiceName,
        /// What was asked.
        request: String,
    },
    /// No shim can be reached; nothing was sent.
    #[error("failed to {request} of {service}: {reason}")]
    Unavailable {
        /// Whose.
        service: ServiceName,
        /// What was asked.
        request: String,
        /// Why there is none.
        reason: String,
    },
    /// The shim has not answered; it may still do what was asked.
    #[error("the shim of {service} did not answer `{request}` in {} s", patience.as_secs())]
    NoAnswer {
        /// Whose.
        service: ServiceName,
        /// What was asked.
        request: String,
        /// How long it was given.
        patience: Duration,
    },
    /// Shim after shim died over it; it may have been done.
    #[error("the shim of {service} died before it answered `{request}`, and so did its successor")]
    Lost {
        /// Whose.
        service: ServiceName,
        /// What was asked.
        request: String,
    },
    /// Too many requests are unanswered; nothing was sent.
    #[error("failed to {request} of {service}: {unanswered} requests before it are unanswered")]
    Busy {
        /// Whose.
        service: ServiceName,
        /// What was asked.
        request: String,
        /// How many.
        unanswered: usize,
    },
    /// The supervisor was dropped.
    #[error("failed to {request} of {service}: the agent is ending")]
    Ended {
        /// Whose.
        service: ServiceName,
        /// What was asked.
        request: String,
    },
}

/// A state that did not come.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Not in time.
    #[error("{service} did not get there in {} ms", patience.as_millis())]
    TooLate {
        /// Which service.
        service: ServiceName,
        /// How long it was given.
        patience: Duration,
        /// What was seen last.
        last: Box<ServiceView>,
    },
    /// The supervisor was dropped.
    #[error("nobody watches {service} any more: the agent is ending")]
    Ended {
        /// Which service.
        service: ServiceName,
    },
}
