//! Ctrl-C, told to whoever waits.

use report::{Failure, Kind};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};

/// The interrupts of this process from now on: SIGINT and SIGTERM end nothing by themselves any
/// more. SIGHUP still does; the agent notices that the connection is gone.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self> {
        let take = |kind| {
            signal(kind).map_err(|error| {
                let failure = Failure::new(Kind::Internal, "failed to listen for signals");
                Error::from(failure.because(&error))
            })
        };
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one. May be cancelled.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
