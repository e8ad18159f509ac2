//! What a deploy tells whoever watches it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use api::{DeployEvent, Progress, StepName, StepState};
use tokio::sync::watch;

/// Events kept of one deploy; output lines beyond it are dropped from the feed (the build log has
/// them), steps and ends never.
const MAX_EVENTS: usize = 10_000;

/// Bytes of output kept of one deploy, for the same reason: a line has no length that could be
/// counted on, and feeds of deploys that ended are kept for a while.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// The events of one deploy, from its beginning, for any number of watchers.
#[derive(Debug, Clone)]
pub struct Feed {
    told: Arc<Mutex<Told>>,
    length: watch::Sender<usize>,
    /// The begin of the current step.
    step: Arc<Mutex<Option<(StepName, Instant)>>>,
}

#[derive(Debug, Default)]
struct Told {
    events: Vec<DeployEvent>,
    output_bytes: usize,
}

impl Default for Feed {
    fn default() -> Self {
        Self { told: Arc::default(), length: watch::Sender::new(0), step: Arc::default() }
    }
}

impl Feed {
    /// Adds an event.
    pub fn push(&self, event: DeployEvent) {
        let mut told = self.told();
        if let DeployEvent::Output { line, .. } = &event {
            let output_bytes = told.output_bytes + line.len();
            if told.events.len() >= MAX_EVENTS || output_bytes > MAX_OUTPUT_BYTES {
                return;
            }
            told.output_bytes = output_bytes;
        }
        told.events.push(event);
        self.length.send_replace(told.events.len());
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how a step stands. The time since the step was first heard of is added.
    pub fn step(&self, step: StepName, state: StepState, text: impl Into<String>) {
        self.remark(step, state, text, None);
    }

    /// Says how a step stands, with a remark.
    pub fn remark(
        &self,
        step: StepName,
        state: StepState,
        text: impl Into<String>,
        note: Option<String>,
    ) {
        let mut current = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match *current {
            Some((name, since)) if name == step => since,
            _ => {
                let now = Instant::now();
                *current = Some((step, now));
                now
            }
        };
        drop(current);
        let elapsed_ms = since.elapsed().as_millis() as u64;
        let text = text.into();
        self.push(DeployEvent::Progress(Progress { step, state, text, note, elapsed_ms }));
    }

    /// Adds a remark that belongs to no step.
    pub fn notice(&self, text: impl Into<String>) {
        self.push(DeployEvent::Notice { text: text.into() });
    }

    /// Returns the events from number `from` on, waiting until there is one.
    pub async fn after(&self, from: usize) -> Vec<DeployEvent> {
        let mut length = self.length.subscribe();
        // The sender lives as long as this value, so waiting cannot fail.
        let _ = length.wait_for(|length| *length > from).await;
        let told = self.told();
        told.events[from.min(told.events.len())..].to_vec()
    }

    /// Returns whether a step was told already.
    pub fn has_step(&self) -> bool {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns whether its last event was heard.
    pub fn is_over(&self) -> bool {
        matches!(self.told().events.last(), Some(DeployEvent::Ended { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_bounded_in_lines_and_bytes_and_steps_are_told_all_the_same() {
        let output =
            |length: usize| DeployEvent::Output { step: StepName::Build, line: "x".repeat(length) };
        for (length, kept) in [(0, MAX_EVENTS), (MAX_OUTPUT_BYTES / 4, 4)] {
            let feed = Feed::default();
            for _ in 0..2 * kept {
                feed.push(output(length));
            }
            feed.step(StepName::Build, StepState::Done, "built");
            let told = feed.told();
            assert_eq!(told.events.len(), kept + 1);
            assert!(matches!(told.events.last(), Some(DeployEvent::Progress(_))));
        }
    }
}
