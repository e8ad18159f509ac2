//! What a deploy tells whoever watches it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use api::{DeployEvent, Progress, StepName, StepState};
use tokio::sync::watch;

/// Events kept of one deploy; output lines beyond it are dropped from the feed (the build log has
/// them), steps and ends never.
const MAX_EVENTS: usize = 10_000;

/// The events of one deploy, from its beginning, for any number of watchers.
#[derive(Debug, Clone)]
pub struct Feed {
    events: Arc<Mutex<Vec<DeployEvent>>>,
    length: watch::Sender<usize>,
    /// The begin of the current step.
    step: Arc<Mutex<Option<(StepName, Instant)>>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { events: Arc::default(), length: watch::Sender::new(0), step: Arc::default() }
    }
}

impl Feed {
    /// Adds an event.
    pub fn push(&self, event: DeployEvent) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let droppable = matches!(event, DeployEvent::Output { .. });
        if events.len() >= MAX_EVENTS && droppable {
            return;
        }
        events.push(event);
        self.length.send_replace(events.len());
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
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events[from.min(events.len())..].to_vec()
    }

    /// Returns whether a step was told already.
    pub fn has_step(&self) -> bool {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns whether its last event was heard.
    pub fn is_over(&self) -> bool {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(events.last(), Some(DeployEvent::Ended { .. }))
    }
}
