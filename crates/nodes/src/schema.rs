//! The keys of the nodes file, as one table.
//!
//! The reader refuses what is not in it, suggestions are made from it, and [`crate::reference`]
//! prints the manual from it.

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What its absence means: a value as it is written, or words.
    pub absent: Absent,
    /// What it is for: Markdown, one paragraph.
    pub about: &'static str,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A list of run list items.
    Items,
    /// A dict of anything.
    Attributes,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A whole number of this range.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A duration such as `"30m"`, at least this many milliseconds.
    Duration {
        /// Shortest.
        min_ms: u64,
    },
    /// `false`, or a dict with these keys.
    Switched(&'static [Key]),
    /// `true`, `false`, or a dict of anything.
    Extended,
}

/// What the absence of a key means.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    /// An error.
    Required,
    /// This value, written as in the file, without quotes.
    Value(&'static str),
    /// What the text says.
    Means(&'static str),
}

use Absent::{Means, Required, Value};

const fn key(name: &'static str, kind: Kind, absent: Absent, about: &'static str) -> Key {
    Key { name, kind, absent, about }
}

/// Most machines of an autoscale group; more is a slip of the finger.
const MAX_MACHINES: i64 = 10_000;
/// Longest wait for a machine to come up: a day, as for every wait.
const MAX_TIMEOUT_SECONDS: i64 = 86_400;
/// Shortest time between two converges that nobody asked for: a converge that changes nothing takes
/// milliseconds, one that changes something may not be over sooner.
const MIN_CONVERGE_EVERY_MS: u64 = 60_000;

/// `[GROUP]` and `[__base__]`.
pub static GROUP: &[Key] = &[
    key("description", Kind::Text, Means("empty"), "What it is for; also the role's."),
    key("type", Kind::Text, Means("none"), "Packer's builder, for example `amazon-ebs`."),
    key("region", Kind::Text, Means("none"), "Where its instances are."),
    key("instance_type", Kind::Text, Means("none"), "How large they are."),
    key("source_ami", Kind::Text, Means("none"), "The image that its own image starts from."),
    key(
        "source_image",
        Kind::Text,
        Means("none"),
        "Instead of `source_ami`: a group, from whose newest image its own starts. The one that a \
         group sets hides the other one of its parent.",
    ),
    key("ssh_username", Kind::Text, Value("ubuntu"), "Who may log in on `source_ami`."),
    key("security_groups", Kind::Texts, Means("none"), "Names of the provider's groups."),
    key("default_attributes", Kind::Attributes, Means("none"), "The role's default attributes."),
    key("override_attributes", Kind::Attributes, Means("none"), "The role's override attributes."),
    key("run_list", Kind::Items, Means("none"), "What runs, in this order."),
    key(
        "post_run_list",
        Kind::Items,
        Means("none"),
        "What runs behind every `run_list`, the children's too.",
    ),
    key(
        "autoscale",
        Kind::Switched(AUTOSCALE),
        Value("false"),
        "Whether, and how, its instances are an autoscale group.",
    ),
    key(
        "packer",
        Kind::Extended,
        Value("true"),
        "Whether it gets an image of its own; a dict adds keys to Packer's builder.",
    ),
    key(
        "converge",
        Kind::Choice(&["apply", "plan", "off"]),
        Value("apply"),
        "What a node does by itself: change what differs, only report it, or nothing.",
    ),
    key(
        "converge_every",
        Kind::Duration { min_ms: MIN_CONVERGE_EVERY_MS },
        Means("only when something changed"),
        "How often a node converges without a cause.",
    ),
];

/// `autoscale = { … }`.
pub static AUTOSCALE: &[Key] = &[
    key(
        "timeout",
        Kind::Integer { min: 1, max: MAX_TIMEOUT_SECONDS },
        Required,
        "Seconds that a new instance may take to join.",
    ),
    key("node_min", Kind::Integer { min: 0, max: MAX_MACHINES }, Required, "Fewest instances."),
    key("node_max", Kind::Integer { min: 0, max: MAX_MACHINES }, Required, "Most instances."),
];

/// `[settings]`.
pub static SETTINGS: &[Key] = &[
    key(
        "role_prefix",
        Kind::Text,
        Value("role-"),
        "Stands before a group's name in the name of its role; may be empty.",
    ),
    key(
        "merge",
        Kind::Choice(&["level-1", "deep"]),
        Value("level-1"),
        "How dicts are merged: `\"level-1\"` replaces dicts inside them, `\"deep\"` merges those too.",
    ),
];

/// `[stages.NAME]`.
pub static STAGE: &[Key] = &[
    key("description", Kind::Text, Means("empty"), "What it is for."),
    key(
        "default_attributes",
        Kind::Attributes,
        Means("none"),
        "Default attributes above those of every role.",
    ),
    key(
        "override_attributes",
        Kind::Attributes,
        Means("none"),
        "Override attributes above those of every role.",
    ),
];

/// Returns every section with its heading, in the manual's order.
pub fn sections() -> [(&'static str, &'static [Key]); 4] {
    [
        ("[GROUP]", GROUP),
        ("autoscale = { … }", AUTOSCALE),
        ("[settings]", SETTINGS),
        ("[stages.NAME]", STAGE),
    ]
}
