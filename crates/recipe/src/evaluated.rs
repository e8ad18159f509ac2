//! What an evaluation gives.

use std::collections::{BTreeMap, BTreeSet};

use resource::{Declaration, Place, RecipeName, ResourceId};

/// What recipes declared, and what they read to know it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluated {
    /// The resources, in order. Each fits its schema; the same one may be there twice, which
    /// [`resource::ResourceList`] judges.
    pub declarations: Vec<Declaration>,
    /// The recipes, in the order in which they began.
    pub recipes: Vec<RecipeName>,
    /// What each recipe's code read.
    pub reads: BTreeMap<RecipeName, Reads>,
    /// What the template of a resource read: when only this changes, only this resource does.
    pub template_reads: BTreeMap<ResourceId, Reads>,
    /// What recipes said with `print`.
    pub notices: Vec<Notice>,
    /// Notices that were too many.
    pub notices_omitted: usize,
}

impl Evaluated {
    /// Returns everything that was read, by whomever.
    pub fn all_reads(&self) -> Reads {
        let mut all = Reads::default();
        for reads in self.reads.values().chain(self.template_reads.values()) {
            all.extend(reads);
        }
        all
    }
}

/// What something depends on, because it was read. What was looked for and not found is there too:
/// it matters once it appears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Paths of attributes, `nginx.port`. A path stands for all below it.
    pub attributes: BTreeSet<String>,
    /// Names of facts.
    pub facts: BTreeSet<String>,
    /// Data bags and ids.
    pub data_bag_items: BTreeSet<(String, String)>,
    /// Apps and names of variables.
    pub env: BTreeSet<(String, String)>,
    /// Services, `app/service`.
    pub services: BTreeSet<String>,
}

impl Reads {
    /// Returns whether nothing was read.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what something else read.
    pub fn extend(&mut self, other: &Self) {
        self.attributes.extend(other.attributes.iter().cloned());
        self.facts.extend(other.facts.iter().cloned());
        self.data_bag_items.extend(other.data_bag_items.iter().cloned());
        self.env.extend(other.env.iter().cloned());
        self.services.extend(other.services.iter().cloned());
    }
}

/// A line that a recipe printed, secrets redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub text: String,
    /// Where.
    pub place: Option<Place>,
}
