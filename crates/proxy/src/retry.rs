//! Whether a request that failed may be sent again: a table, no I/O.
//!
//! What counts is what the slot can have *read*. Nothing is sent again once a byte of an answer
//! has gone to the client.
//!
//! | failure, no response byte | any method | idempotent methods |
//! |---|---|---|
//! | the endpoint was withdrawn, connect failed, backlog full, nothing sent | again | again |
//! | the shim refused in the slot's place | again | again |
//! | reset, head and body in one small write on a unix socket | again | again |
//! | reset, otherwise | no | again |
//! | ended in order | no | once |
//! | no answer in time, garbage | no | no |
//! | any, after an interim response | no | no |
//!
//! A reset or an end costs one of [`MAX_RISKED`] tries; what was never executed costs none and is
//! bounded by the hold.

use crate::limits::{MAX_ENDED, MAX_RISKED};
use crate::reason::Reason;

/// How one attempt failed before a byte of its answer was passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The endpoint left the table between the choice and the first byte.
    Withdrawn,
    /// No connection.
    Connect,
    /// The socket's backlog is full.
    BacklogFull,
    /// A kept connection that the slot had closed, and that gave it no byte.
    Stale,
    /// A new connection that took no byte, or provably gave none to the slot.
    Unsent,
    /// The shim answered that the slot's process is gone.
    Refused,
    /// The connection was reset.
    Reset,
    /// The connection ended in order.
    Ended,
    /// Nothing came in time.
    Timeout,
    /// What came is no response.
    Garbage,
}

/// What is known of the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// RFC 9110 §9.2.2.
    pub(crate) idempotent: bool,
    /// All that was sent of it is still here.
    pub(crate) replayable: bool,
    /// An interim response came: it was read, and part of an answer may be with the client.
    pub(crate) answered: bool,
    /// It went out in one write of at most [`crate::limits::ONE_READ_BYTES`] on a unix socket.
    pub(crate) one_read: bool,
    /// Tries so far after which it may have been executed.
    pub(crate) risked: u8,
    /// Of these, those that ended in order.
    pub(crate) ended: u8,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Choose again; the same endpoint is fine.
    Again,
    /// Choose another endpoint; the same one only after a pause.
    Elsewhere,
    /// Answer with this reason.
    GiveUp(Reason),
}

/// Decides.
pub(crate) fn decide(failure: Failure, facts: Facts) -> Decision {
    let reason = reason(failure);
    if !facts.replayable || facts.answered {
        return Decision::GiveUp(reason);
    }
    let may_risk = facts.risked < MAX_RISKED;
    match failure {
        Failure::Withdrawn | Failure::Stale => Decision::Again,
        Failure::Unsent | Failure::Connect | Failure::BacklogFull | Failure::Refused => {
            Decision::Elsewhere
        }
        Failure::Reset if may_risk && (facts.idempotent || facts.one_read) => Decision::Elsewhere,
        Failure::Ended if may_risk && facts.idempotent && facts.ended < MAX_ENDED => {
            Decision::Elsewhere
        }
        Failure::Reset | Failure::Ended | Failure::Timeout | Failure::Garbage => {
            Decision::GiveUp(reason)
        }
    }
}

/// Returns what a failure is called when it is the last one.
pub(crate) fn reason(failure: Failure) -> Reason {
    match failure {
        Failure::Withdrawn | Failure::Refused => Reason::NoReadySlot,
        Failure::Connect | Failure::Stale | Failure::Unsent => Reason::ConnectFailed,
        Failure::BacklogFull => Reason::BacklogFull,
        Failure::Reset => Reason::WorkerDiedProcessing,
        Failure::Ended => Reason::AppNoResponse,
        Failure::Timeout => Reason::ResponseTimeout,
        Failure::Garbage => Reason::GarbageResponse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: Facts = Facts {
        idempotent: false,
        replayable: true,
        answered: false,
        one_read: false,
        risked: 0,
        ended: 0,
    };
    const GET: Facts = Facts { idempotent: true, ..POST };

    #[test]
    fn what_was_not_read_goes_elsewhere_whatever_the_method() {
        for failure in [Failure::Withdrawn, Failure::Stale] {
            assert_eq!(decide(failure, POST), Decision::Again);
        }
        let unread = [Failure::Unsent, Failure::Connect, Failure::BacklogFull, Failure::Refused];
        for failure in unread {
            assert_eq!(decide(failure, Facts { risked: 9, ..POST }), Decision::Elsewhere);
        }
    }

    #[test]
    fn what_may_have_run_is_sent_again_only_if_that_is_harmless() {
        let small = Facts { one_read: true, ..POST };
        assert_eq!(decide(Failure::Reset, small), Decision::Elsewhere);
        let died = Decision::GiveUp(Reason::WorkerDiedProcessing);
        assert_eq!(decide(Failure::Reset, POST), died);
        assert_eq!(decide(Failure::Reset, GET), Decision::Elsewhere);
        assert_eq!(decide(Failure::Reset, Facts { risked: MAX_RISKED, ..GET }), died);

        let silent = Decision::GiveUp(Reason::AppNoResponse);
        assert_eq!(decide(Failure::Ended, small), silent);
        assert_eq!(decide(Failure::Ended, GET), Decision::Elsewhere);
        assert_eq!(decide(Failure::Ended, Facts { risked: 1, ended: 1, ..GET }), silent);
    }

    #[test]
    fn slow_and_garbled_answers_are_final() {
        for failure in [Failure::Timeout, Failure::Garbage] {
            assert_eq!(decide(failure, GET), Decision::GiveUp(reason(failure)));
        }
    }

    #[test]
    fn what_is_not_here_any_more_or_was_partly_answered_is_not_sent_again() {
        for failure in [Failure::Unsent, Failure::Refused, Failure::Reset, Failure::Ended] {
            let gone = Facts { replayable: false, ..GET };
            assert_eq!(decide(failure, gone), Decision::GiveUp(reason(failure)));
            let answered = Facts { answered: true, one_read: true, ..GET };
            assert_eq!(decide(failure, answered), Decision::GiveUp(reason(failure)));
        }
    }
}
