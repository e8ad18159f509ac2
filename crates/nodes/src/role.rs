//! Chef roles, and the bytes that they are written as.
//!
//! A role is one JSON object with the keys `name`, `chef_type`, `json_class`, `description`,
//! `override_attributes`, `default_attributes`, `run_list`, in this order, and `env_run_lists`
//! behind them only where a hand-written role has some. Format, version 1, never changed without
//! need, because whoever commits roles would see every file change:
//!
//! - four spaces of indent, one entry a line, `"key": value`, `{}` and `[]` where there is nothing,
//!   one newline at the end;
//! - keys of attributes sorted by their bytes, so that neither moving a line of the nodes file nor
//!   writing it in the other format changes a role;
//! - text in UTF-8 as it is; escaped are only `"`, `\` and what is below U+0020 (`\b \t \n \f \r`,
//!   else `\u001f` in lowercase);
//! - whole numbers from -2⁶³ to 2⁶⁴-1 with all their digits; others as the shortest text that reads
//!   back as the same double, with a point or an exponent (`1.0`, `0.1`, `1e21`);
//! - items of the run list always with their brackets.

use std::collections::BTreeMap;

use report::{Failure, Kind};
use serde_json::Value as Json;

use crate::group::Group;
use crate::item::Item;
use crate::name::is_role_name;
use crate::nodes_file::Settings;
use crate::writer;

/// `chef_type` of every role.
pub const CHEF_TYPE: &str = "role";
/// `json_class` of every role.
pub const JSON_CLASS: &str = "Chef::Role";

/// A role.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Its inner name, `role-web`; the file is named after the group.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Override attributes, by key.
    pub override_attributes: serde_json::Map<String, Json>,
    /// Default attributes, by key.
    pub default_attributes: serde_json::Map<String, Json>,
    /// What runs.
    pub run_list: Vec<Item>,
    /// What runs instead in an environment of Chef's; Skep writes none.
    pub env_run_lists: BTreeMap<String, Vec<Item>>,
}

/// A group whose name Chef would refuse as a role's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("group `{group}` cannot be a role: Chef takes letters, digits, `_` and `-` in `{name}`")]
pub struct BadRoleName {
    /// The group.
    pub group: String,
    /// What the role would be called.
    pub name: String,
}

impl From<BadRoleName> for Failure {
    fn from(error: BadRoleName) -> Self {
        let name = error.group.replace('.', "_");
        Self::new(Kind::Usage, error.to_string()).hint(format!("call it `{name}`"))
    }
}

impl Role {
    /// Returns the role that a group becomes.
    pub fn of(group: &Group, settings: &Settings) -> Result<Self, BadRoleName> {
        let name = format!("{}{}", settings.role_prefix, group.name);
        if !is_role_name(&name) {
            return Err(BadRoleName { group: group.name.clone(), name });
        }
        let attributes = |key| match group.keys.get(key).map(crate::value::Value::to_json) {
            Some(Json::Object(entries)) => entries,
            _ => serde_json::Map::new(),
        };
        Ok(Self {
            name,
            description: group.description().to_owned(),
            override_attributes: attributes("override_attributes"),
            default_attributes: attributes("default_attributes"),
            run_list: group.run_list().into_iter().map(|step| step.item).collect(),
            env_run_lists: BTreeMap::new(),
        })
    }

    /// Returns the role's bytes.
    pub fn to_text(&self) -> String {
        let list = |items: &[Item]| -> Json { items.iter().map(Item::to_string).collect() };
        let mut entries = vec![
            ("name", self.name.clone().into()),
            ("chef_type", CHEF_TYPE.into()),
            ("json_class", JSON_CLASS.into()),
            ("description", self.description.clone().into()),
            ("override_attributes", self.override_attributes.clone().into()),
            ("default_attributes", self.default_attributes.clone().into()),
            ("run_list", list(&self.run_list)),
        ];
        if !self.env_run_lists.is_empty() {
            let lists = self.env_run_lists.iter().map(|(name, items)| (name.clone(), list(items)));
            entries.push(("env_run_lists", Json::Object(lists.collect())));
        }
        let mut text = String::new();
        writer::dict(&mut text, entries.iter().map(|(key, value)| (*key, value)), 0);
        text.push('\n');
        text
    }
}

/// Returns the path of a group's role, relative to the repository: `role[GROUP]` is found by it.
pub fn role_path(group: &str) -> String {
    format!("{ROLES}/{group}.json")
}

/// Where roles lie.
pub const ROLES: &str = "roles";
