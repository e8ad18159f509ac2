//! Why the proxy answered in an app's place: one code each, with its status and a hint.
//!
//! The code is sent as `Skep-Reason` and stands in the log line; `skep why` shows the hint.

/// A reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request's bytes are not HTTP/1 beyond doubt.
    BadRequest,
    /// The request's head is too long.
    HeaderTooBig,
    /// The request's body is over the service's limit.
    BodyTooLarge,
    /// The head or the body came too slowly.
    ClientTooSlow,
    /// The client left before it was answered.
    ClientAbort,
    /// No route for this listener, host and path.
    NoRoute,
    /// No slot is ready and the service does not let requests wait.
    NoReadySlot,
    /// No slot became ready while the request waited.
    HeldTimeout,
    /// All slots had as many requests as they may have, for as long as the request could wait.
    AtCapacity,
    /// Too many requests are waiting already.
    HoldFull,
    /// The slot's socket refuses connections.
    ConnectFailed,
    /// The slot's backlog is full.
    BacklogFull,
    /// The slot's process died with the request, which may not be sent again.
    WorkerDiedProcessing,
    /// The slot closed the connection without an answer, and the request may not be sent again.
    AppNoResponse,
    /// The slot's answer is not HTTP/1 beyond doubt.
    GarbageResponse,
    /// The slot did not begin to answer in time.
    ResponseTimeout,
    /// The answer ended in the middle.
    EarlyClose,
    /// The request was ended with its slot's drain limit.
    CutAtDrain,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::BadRequest,
        Self::HeaderTooBig,
        Self::BodyTooLarge,
        Self::ClientTooSlow,
        Self::ClientAbort,
        Self::NoRoute,
        Self::NoReadySlot,
        Self::HeldTimeout,
        Self::AtCapacity,
        Self::HoldFull,
        Self::ConnectFailed,
        Self::BacklogFull,
        Self::WorkerDiedProcessing,
        Self::AppNoResponse,
        Self::GarbageResponse,
        Self::ResponseTimeout,
        Self::EarlyClose,
        Self::CutAtDrain,
    ];

    /// Returns the code as it is sent and logged.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::HeaderTooBig => "header_too_big",
            Self::BodyTooLarge => "body_too_large",
            Self::ClientTooSlow => "client_too_slow",
            Self::ClientAbort => "client_abort",
            Self::NoRoute => "no_route",
            Self::NoReadySlot => "no_ready_slot",
            Self::HeldTimeout => "held_timeout",
            Self::AtCapacity => "at_capacity",
            Self::HoldFull => "hold_full",
            Self::ConnectFailed => "connect_failed",
            Self::BacklogFull => "backlog_full",
            Self::WorkerDiedProcessing => "worker_died_processing",
            Self::AppNoResponse => "app_no_response",
            Self::GarbageResponse => "garbage_response",
            Self::ResponseTimeout => "response_timeout",
            Self::EarlyClose => "early_close",
            Self::CutAtDrain => "cut_at_drain",
        }
    }

    /// Returns the reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Returns the status that is answered, where no better one is known. 499 is only logged.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::NoRoute => 404,
            Self::ClientTooSlow => 408,
            Self::BodyTooLarge => 413,
            Self::HeaderTooBig => 431,
            Self::ClientAbort => 499,
            // The app was reached and failed; the gateway did not.
            Self::AppNoResponse => 500,
            Self::WorkerDiedProcessing | Self::GarbageResponse | Self::EarlyClose => 502,
            Self::NoReadySlot
            | Self::HeldTimeout
            | Self::AtCapacity
            | Self::HoldFull
            | Self::ConnectFailed
            | Self::BacklogFull
            | Self::CutAtDrain => 503,
            Self::ResponseTimeout => 504,
        }
    }

    /// Returns one line that says what to look at.
    pub fn hint(self) -> &'static str {
        match self {
            Self::BadRequest => "the client sent something that is not HTTP/1.1 beyond doubt",
            Self::HeaderTooBig => "the request's headers are too long: cookies that grow?",
            Self::BodyTooLarge => "raise the service's body limit if the upload is wanted",
            Self::ClientTooSlow => "the client took too long to send its request",
            Self::ClientAbort => "the client left before the answer: was the app too slow for it?",
            Self::NoRoute => "no service claims this listener, host and path: `skep apps`",
            Self::NoReadySlot => "no slot of the service is ready: `skep ps`",
            Self::HeldTimeout => "no slot became ready in time: `skep ps` and `skep logs`",
            Self::AtCapacity => {
                "every slot was busy for as long as a request may wait: `skep scale`"
            }
            Self::HoldFull => "too many requests waited for a slot: `skep ps`",
            Self::ConnectFailed => "the slot's socket refused: did the process close its listener?",
            Self::BacklogFull => "the slot accepts no connections: is its event loop blocked?",
            Self::WorkerDiedProcessing => "the process died while it had the request: `skep logs`",
            Self::AppNoResponse => {
                "the process closed the connection without an answer: an exception or an exit"
            }
            Self::GarbageResponse => "the process answered something that is not HTTP/1.1",
            Self::ResponseTimeout => "the app did not begin to answer in time",
            Self::EarlyClose => "the answer ended in the middle: the process died or gave up",
            Self::CutAtDrain => "the request ran longer than the service's drain limit",
        }
    }

    /// Returns whether a later try may go better, so that the answer says when.
    pub fn is_passing(self) -> bool {
        self.status() == 503
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            assert!((400..=504).contains(&reason.status()));
            assert!(!reason.hint().is_empty());
        }
    }
}
