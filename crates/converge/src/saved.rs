//! A plan in a file: what was agreed to, without a word of content.
//!
//! It holds, for every resource, keyed digests of what was wanted and of what was there, and what was
//! to be taken back; nothing can be applied from it alone. Whoever applies it evaluates the recipes
//! again, plans again and asks [`SavedPlan::check`] whether that is still the same plan.

use std::collections::HashMap;

use resource::ResourceId;
use serde::{Deserialize, Serialize};

use crate::plan::{Digests, Plan, ShownPlan};

const VERSION: u32 = 1;
/// Largest file that is parsed.
pub const MAX_SAVED_BYTES: usize = 64 << 20;

/// A saved plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    version: u32,
    /// The state of the ledger that it was made from.
    sequence: u64,
    leaving: Vec<ResourceId>,
    digests: Vec<Digests>,
    /// The plan as it was shown.
    shown: ShownPlan,
}

/// How a resource differs from the saved plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Which.
    pub id: ResourceId,
    /// How.
    pub how: How,
}

/// How a resource can differ from a saved plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The machine is not as it was.
    Machine,
    /// The recipe is not as it was.
    Recipe,
    /// The plan did not have it.
    New,
    /// The plan had it, and nobody declares it now.
    Gone,
    /// It was to be taken back, and is not now; or the other way round.
    Leaving,
}

/// Why a saved plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// It was made without a key.
    #[error("the plan was made without a key and cannot be saved")]
    NoKey,
    /// It is no saved plan.
    #[error("not a saved plan")]
    Malformed(#[source] serde_json::Error),
    /// It is larger than any plan.
    #[error("larger than {MAX_SAVED_BYTES} bytes")]
    TooLarge,
    /// It is of another version.
    #[error("a saved plan of version {0}; this program knows version {VERSION}")]
    Version(u32),
    /// Another run came between.
    #[error("another run has changed this machine since the plan was saved")]
    OtherRun,
    /// Something is different now.
    #[error("not the plan that was saved: {}", named(.0))]
    Stale(Vec<Moved>),
}

fn named(moved: &[Moved]) -> String {
    /// More would be no sentence; `Stale` has them all.
    const MAX_NAMED: usize = 5;
    let how = |how: How| match how {
        How::Machine => "is different on the machine",
        How::Recipe => "is declared differently",
        How::New => "is new",
        How::Gone => "is not declared any more",
        How::Leaving => "is not to be taken back, or is now",
    };
    let mut texts: Vec<String> = moved
        .iter()
        .take(MAX_NAMED)
        .map(|moved| format!("{} {}", moved.id, how(moved.how)))
        .collect();
    if moved.len() > MAX_NAMED {
        texts.push(format!("and {} more", moved.len() - MAX_NAMED));
    }
    texts.join(", ")
}

impl Plan {
    /// Returns the plan as a file; it must have been made with a key.
    pub fn save(&self) -> Result<Vec<u8>, SavedPlanError> {
        if self.digests.len() != self.list.entries().len() {
            return Err(SavedPlanError::NoKey);
        }
        let saved = SavedPlan {
            version: VERSION,
            sequence: self.sequence,
            leaving: self.leaving.clone(),
            digests: self.digests.clone(),
            shown: self.shown(),
        };
        serde_json::to_vec_pretty(&saved).map_err(SavedPlanError::Malformed)
    }
}

impl SavedPlan {
    /// Reads a saved plan.
    pub fn parse(bytes: &[u8]) -> Result<Self, SavedPlanError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if bytes.len() > MAX_SAVED_BYTES {
            return Err(SavedPlanError::TooLarge);
        }
        let Version { version } =
            serde_json::from_slice(bytes).map_err(SavedPlanError::Malformed)?;
        if version != VERSION {
            return Err(SavedPlanError::Version(version));
        }
        serde_json::from_slice(bytes).map_err(SavedPlanError::Malformed)
    }

    /// Returns the plan as it was shown.
    pub fn shown(&self) -> &ShownPlan {
        &self.shown
    }

    /// Fails unless a plan made now, with the same key, is the one that was saved.
    pub fn check(&self, now: &Plan) -> Result<(), SavedPlanError> {
        if self.sequence != now.sequence {
            return Err(SavedPlanError::OtherRun);
        }
        let by_id = |digests: &'_ [Digests]| -> HashMap<ResourceId, Digests> {
            digests.iter().map(|digests| (digests.id.clone(), digests.clone())).collect()
        };
        let (saved, present) = (by_id(&self.digests), by_id(&now.digests));
        let mut moved = Vec::new();
        let mut note = |id: &ResourceId, how| moved.push(Moved { id: id.clone(), how });
        for found in &now.digests {
            match saved.get(&found.id) {
                None => note(&found.id, How::New),
                Some(saved) if saved.want != found.want => note(&found.id, How::Recipe),
                Some(saved) if saved.have != found.have => note(&found.id, How::Machine),
                Some(_) => {}
            }
        }
        for gone in self.digests.iter().filter(|saved| !present.contains_key(&saved.id)) {
            note(&gone.id, How::Gone);
        }
        for id in self.leaving.iter().filter(|id| !now.leaving.contains(id)) {
            note(id, How::Leaving);
        }
        for id in now.leaving.iter().filter(|id| !self.leaving.contains(id)) {
            note(id, How::Leaving);
        }
        if moved.is_empty() { Ok(()) } else { Err(SavedPlanError::Stale(moved)) }
    }
}

/// Parses any bytes; what is read is written as it was.
#[doc(hidden)]
pub fn fuzz_saved_plan(bytes: &[u8]) {
    if let Ok(saved) = SavedPlan::parse(bytes) {
        let again = serde_json::to_vec(&saved).unwrap_or_default();
        assert!(SavedPlan::parse(&again).is_ok_and(|again| again == saved));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_versions_are_named() {
        let other = SavedPlan::parse(br#"{"version": 7, "more": true}"#).unwrap_err();
        assert!(matches!(other, SavedPlanError::Version(7)), "{other}");
        assert!(matches!(SavedPlan::parse(b"{").unwrap_err(), SavedPlanError::Malformed(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz_saved_plan(&bytes);
        }
    }
}
