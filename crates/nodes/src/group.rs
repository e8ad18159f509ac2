//! A group with all that it inherits.

use std::collections::BTreeMap;

use report::quantity::parse_duration;
use serde::Serialize;

use crate::item::Item;
use crate::value::{Entry, Origin, Value};

/// A resolved group.
///
/// Its values were checked when the file was read; what is asked of it here is there or absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Where its name stands.
    pub origin: Origin,
    /// Its keys, its own and inherited ones.
    pub keys: BTreeMap<String, Value>,
}

/// An item of the effective run list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What runs.
    pub item: Item,
    /// Where it was written.
    pub origin: Origin,
    /// In which list.
    pub list: RunList,
}

/// One of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunList {
    /// `run_list`.
    RunList,
    /// `post_run_list`.
    PostRunList,
}

/// `autoscale = { … }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Autoscale {
    /// Seconds that a new instance may take to join.
    #[serde(rename = "timeout")]
    pub timeout_seconds: u64,
    /// Fewest instances.
    pub node_min: u64,
    /// Most instances.
    pub node_max: u64,
}

/// Whether a group gets an image of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Packer<'g> {
    /// It does not.
    Off,
    /// It does.
    On,
    /// It does, with more keys for the builder.
    With(&'g BTreeMap<String, Entry>),
}

/// What a node does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Converge {
    /// It changes what differs.
    Apply,
    /// It reports what differs.
    Plan,
    /// Nothing.
    Off,
}

/// Who may log in where a group does not say.
pub const SSH_USERNAME: &str = "ubuntu";

impl Group {
    /// Returns the text of a key; empty if it is absent.
    pub fn text(&self, key: &str) -> &str {
        self.keys.get(key).and_then(Value::as_text).unwrap_or_default()
    }

    /// Returns what it is for.
    pub fn description(&self) -> &str {
        self.text("description")
    }

    /// Returns who may log in on the image that its own starts from.
    pub fn ssh_username(&self) -> &str {
        match self.text("ssh_username") {
            "" => SSH_USERNAME,
            name => name,
        }
    }

    /// Returns the names of its security groups, the parent's first.
    pub fn security_groups(&self) -> impl Iterator<Item = &str> {
        self.items("security_groups").iter().filter_map(Value::as_text)
    }

    /// Returns what runs, in order: `run_list`, then `post_run_list`.
    ///
    /// Nothing is dropped: what stands in it twice does so in the role, where Chef runs it at its
    /// first place.
    pub fn run_list(&self) -> Vec<Step> {
        let lists = [("run_list", RunList::RunList), ("post_run_list", RunList::PostRunList)];
        let steps = lists.into_iter().flat_map(|(key, list)| {
            self.items(key).iter().filter_map(move |value| {
                let item = value.as_text()?.parse().ok()?;
                Some(Step { item, origin: value.origin.clone(), list })
            })
        });
        steps.collect()
    }

    /// Returns its limits, if its instances are an autoscale group.
    pub fn autoscale(&self) -> Option<Autoscale> {
        let dict = self.keys.get("autoscale")?;
        let number = |key| u64::try_from(dict.get(key)?.as_integer()?).ok();
        Some(Autoscale {
            timeout_seconds: number("timeout")?,
            node_min: number("node_min")?,
            node_max: number("node_max")?,
        })
    }

    /// Returns whether it gets an image of its own.
    pub fn packer(&self) -> Packer<'_> {
        let Some(value) = self.keys.get("packer") else { return Packer::On };
        match (value.as_map(), value.as_boolean()) {
            (Some(keys), _) => Packer::With(keys),
            (None, Some(false)) => Packer::Off,
            (None, _) => Packer::On,
        }
    }

    /// Returns what its nodes do by themselves.
    pub fn converge(&self) -> Converge {
        match self.text("converge") {
            "plan" => Converge::Plan,
            "off" => Converge::Off,
            _ => Converge::Apply,
        }
    }

    /// Returns how often its nodes converge without a cause, if they do.
    pub fn converge_every_ms(&self) -> Option<u64> {
        parse_duration(self.keys.get("converge_every")?.as_text()?).ok()
    }

    fn items(&self, key: &str) -> &[Value] {
        self.keys.get(key).map(Value::items).unwrap_or_default()
    }
}
