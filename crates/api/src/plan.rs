//! What a change would do, asked for with `--plan`.

use serde::{Deserialize, Serialize};

use crate::StepName;

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    /// The step it belongs to.
    pub step: StepName,
    /// What would be done.
    pub text: String,
}

/// What would happen to the slots of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedService {
    /// The service.
    pub service: String,
    /// Slots started while nothing of it is stopped.
    pub started: u32,
    /// Slots replaced in place: the old one is stopped first.
    pub replaced: u32,
    /// Slots that go: after the switch, once drained.
    pub retired: u32,
    /// How long requests of a slot that goes may go on; absent: none goes, or it does not listen.
    #[serde(default)]
    pub drain_ms: Option<u64>,
}

/// What would happen to a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableChange {
    /// It is not set now.
    Set,
    /// It has another value now.
    Changed,
    /// It is set now.
    Unset,
}

/// A variable of the operator's that would change; its values are nobody's to see here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedVariable {
    /// Its name.
    pub name: String,
    /// How.
    pub change: VariableChange,
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReply {
    /// The app.
    pub app: String,
    /// The current release.
    #[serde(default)]
    pub from: Option<u32>,
    /// The number that the release would get if nobody else makes one first; absent: it makes none.
    #[serde(default)]
    pub to: Option<u32>,
    /// Whether anything would change; decides the exit code 0 or 2.
    pub changes: bool,
    /// For people, in order.
    pub lines: Vec<PlanLine>,
    /// What would happen to slots; services that stay as they are, are not here.
    #[serde(default)]
    pub services: Vec<PlannedService>,
    /// Variables that would change.
    #[serde(default)]
    pub variables: Vec<PlannedVariable>,
    /// The build's allow-listed variables that would be passed on.
    #[serde(default)]
    pub build_environment: Vec<String>,
}
