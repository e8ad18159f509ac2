//! Reads and checks: first each value in itself, then what only inheritance brings together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use report::{SourceText, did_you_mean};

use super::{MAX_GROUPS, NodesFile, Settings, Stage, Written};
use crate::check;
use crate::document::{self, Format, Givers};
use crate::merge::Depth;
use crate::name::{BASE, MAX_NAME_BYTES, is_role_name, refusal};
use crate::problem::{ParseErrors, Reading};
use crate::schema;
use crate::value::{Entry, Value};

const SETTINGS: &str = "settings";
const STAGES: &str = "stages";

/// Reads the text of a nodes file; the ending of `file` decides its format.
pub fn parse(file: &str, text: &str) -> Result<NodesFile, ParseErrors> {
    let reading = Reading::new(file, text);
    let givers = Givers::Keys(Arc::from(file));
    let root = document::read(&reading, Format::of(file), &givers);
    let nodes = root.and_then(|root| read(&reading, &root));
    // What is wrong in itself would be told again for each group that inherits it.
    if let Some(nodes) = nodes.as_ref().filter(|_| reading.is_clean()) {
        check_resolved(&reading, nodes);
    }
    reading.into_result(nodes)
}

fn read(reading: &Reading<'_>, root: &Value) -> Option<NodesFile> {
    let mut nodes = NodesFile {
        file: reading.file.to_string(),
        settings: Settings::default(),
        stages: BTreeMap::new(),
        base: BTreeMap::new(),
        groups: BTreeMap::new(),
        source: SourceText::new(&*reading.file, reading.text),
    };
    let entries = check::map(reading, "a dict of groups", root)?;
    for (name, entry) in entries {
        match name.as_str() {
            SETTINGS => nodes.settings = read_settings(reading, &entry.value),
            STAGES => nodes.stages = read_stages(reading, &entry.value),
            BASE => {
                if let Some(keys) = read_group(reading, name, entry) {
                    nodes.base = keys;
                }
            }
            _ => {
                if let Some(why) = refusal(name) {
                    reading.add(entry.key.clone(), why);
                } else if let Some(keys) = read_group(reading, name, entry) {
                    let name_origin = reading.origin(&Arc::from(name.as_str()), entry.key.clone());
                    nodes.groups.insert(name.clone(), Written { name: name_origin, keys });
                }
            }
        }
    }
    if nodes.groups.len() > MAX_GROUPS {
        reading.add(0..0, format!("more than {MAX_GROUPS} groups"));
        return None;
    }
    Some(nodes)
}

fn read_group(reading: &Reading<'_>, name: &str, entry: &Entry) -> Option<BTreeMap<String, Entry>> {
    let what = format!("a dict: `{name}` is a group");
    let keys = check::map(reading, &what, &entry.value)?;
    check::entries(reading, &format!("group `{name}`"), schema::GROUP, keys);
    if let (Some(ami), Some(image)) = (keys.get("source_ami"), keys.get("source_image")) {
        let later = ami.key.start.max(image.key.start);
        let span = if later == ami.key.start { &ami.key } else { &image.key };
        reading.add(span.clone(), "a group has `source_ami` or `source_image`, not both");
    }
    Some(keys.clone())
}

fn read_settings(reading: &Reading<'_>, value: &Value) -> Settings {
    let mut settings = Settings::default();
    let Some(keys) = check::map(reading, "a dict", value) else { return settings };
    check::entries(reading, "`settings`", schema::SETTINGS, keys);
    if let Some(prefix) = value.get("role_prefix")
        && let Some(text) = prefix.as_text()
    {
        // With a group's name behind it, it is the name of a role.
        if text.len() <= MAX_NAME_BYTES && is_role_name(&format!("{text}x")) {
            text.clone_into(&mut settings.role_prefix);
        } else {
            let label = "Chef takes letters, digits, `_` and `-` in the name of a role";
            reading.add(prefix.origin.span.clone(), label);
        }
    }
    if value.get("merge").and_then(Value::as_text) == Some("deep") {
        settings.merge = Depth::All;
    }
    settings
}

fn read_stages(reading: &Reading<'_>, value: &Value) -> BTreeMap<String, Stage> {
    let mut stages = BTreeMap::new();
    let Some(entries) = check::map(reading, "a dict of stages", value) else { return stages };
    for (name, entry) in entries {
        if let Some(why) = refusal(name) {
            reading.add(entry.key.clone(), why);
            continue;
        }
        let what = format!("a dict: `{name}` is a stage");
        let Some(keys) = check::map(reading, &what, &entry.value) else { continue };
        check::entries(reading, &format!("stage `{name}`"), schema::STAGE, keys);
        let text = entry.value.get("description").and_then(Value::as_text);
        let stage = Stage {
            description: text.unwrap_or_default().to_owned(),
            default_attributes: entry.value.get("default_attributes").cloned(),
            override_attributes: entry.value.get("override_attributes").cloned(),
        };
        stages.insert(name.clone(), stage);
    }
    stages
}

/// Reports what is wrong only together with what is inherited.
fn check_resolved(reading: &Reading<'_>, nodes: &NodesFile) {
    for (name, written) in &nodes.groups {
        if let Some(autoscale) = nodes.value(written, "autoscale") {
            check_autoscale(reading, &autoscale);
        }
        if let Some(image) = nodes.value(written, "source_image") {
            check_source(reading, nodes, name, &image);
        }
    }
}

fn check_source(reading: &Reading<'_>, nodes: &NodesFile, group: &str, image: &Value) {
    let mut seen = BTreeSet::from([group.to_owned()]);
    let mut next = image.as_text().map(str::to_owned);
    while let Some(name) = next {
        if !nodes.groups.contains_key(&name) {
            // One that is further on is told where it is named.
            if image.as_text() == Some(&name) {
                reading.add(image.origin.span.clone(), no_such_group(nodes, &name));
            }
            return;
        }
        if name == group {
            let label = format!("the image of `{group}` would start from itself");
            reading.add(image.origin.span.clone(), label);
        }
        if !seen.insert(name.clone()) {
            return;
        }
        next = nodes.source_image(&name).map(str::to_owned);
    }
}

fn no_such_group(nodes: &NodesFile, name: &str) -> String {
    // Comparing takes time with the length of both.
    let comparable = name.len() <= MAX_NAME_BYTES;
    match did_you_mean(name, nodes.names().filter(|_| comparable)) {
        Some(meant) => format!("no such group; did you mean `{meant}`?"),
        None => "no such group".to_owned(),
    }
}

fn check_autoscale(reading: &Reading<'_>, autoscale: &Value) {
    if autoscale.as_map().is_none() {
        return;
    }
    check::complete(reading, "`autoscale`", schema::AUTOSCALE, autoscale);
    if let (Some(min), Some(max)) = (autoscale.get("node_min"), autoscale.get("node_max"))
        && min.as_integer() > max.as_integer()
    {
        reading.add(max.origin.span.clone(), "`node_max` is below `node_min`");
    }
}
