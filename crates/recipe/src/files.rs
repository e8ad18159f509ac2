//! Content that comes from a cookbook: files and templates.

use std::collections::BTreeMap;

use resource::{Declaration, Schema, Value};

use crate::complaint::Complaint;
use crate::evaluated::Reads;
use crate::limits::MAX_FILE_BYTES;
use crate::run::Run;

/// The property that files and templates fill.
const CONTENT: &str = "content";

/// Returns whether `source` of a kind names a file of the cookbook.
pub(crate) fn renders(kind: &str) -> bool {
    matches!(kind, "file" | "template")
}

/// Returns whether a kind's content is rendered with `vars`.
pub(crate) fn has_vars(kind: &str) -> bool {
    kind == "template"
}

/// Where a resource's content comes from.
#[derive(Default)]
pub(crate) struct Files {
    source: Option<String>,
    vars: Option<Value>,
}

impl Files {
    pub(crate) fn source(&mut self, source: &Value) -> Result<(), Complaint> {
        let Value::Text(text) = source else {
            let label =
                format!("`source` is the path of a file of the cookbook, not {}", source.what());
            return Err(Complaint::new(label));
        };
        self.source = Some(text.to_string());
        Ok(())
    }

    pub(crate) fn vars(&mut self, vars: Value) -> Result<(), Complaint> {
        if !matches!(vars, Value::Map(_)) {
            return Err(Complaint::new(format!("`vars` is a dict, not {}", vars.what())));
        }
        self.vars = Some(vars);
        Ok(())
    }

    /// Puts the content into a declaration; returns what a template read.
    pub(crate) fn fill(
        self,
        run: &Run<'_>,
        schema: &Schema,
        cookbook: &str,
        declaration: &mut Declaration,
    ) -> Result<Option<Reads>, Complaint> {
        let kind = declaration.id.kind.as_str();
        let Some(source) = self.source else {
            let removes = matches!(declaration.action.as_str(), "delete" | "remove");
            return match kind {
                "template" if !removes && !declaration.properties.contains_key(CONTENT) => {
                    Err(Complaint::new(
                        "template needs `source`, a file below the cookbook's `templates`",
                    ))
                }
                _ => Ok(None),
            };
        };
        if declaration.properties.contains_key(CONTENT) {
            let label = "`source` and `content` both say what the content is";
            return Err(Complaint::new(label).at_name("source"));
        }
        let at_source = |complaint: Complaint| complaint.at_name("source");
        let (content, reads) = match kind {
            "template" => {
                let vars = self.vars.unwrap_or_else(|| Value::Map(BTreeMap::new()));
                let rendered = run.templates.render(run, cookbook, &source, vars);
                let rendered = rendered.map_err(at_source)?;
                (rendered.text, Some(rendered.reads))
            }
            _ => (content(run, cookbook, &source).map_err(at_source)?, None),
        };
        let attributes = reads.iter().flat_map(|reads: &Reads| &reads.attributes);
        let attributes = Value::List(attributes.map(Value::text).collect());
        // For people, where the kind wants to show them.
        for (name, value) in [("source", Value::text(&source)), ("attributes", attributes)] {
            if schema.property(name).is_some() {
                declaration.properties.insert(name.to_owned(), value);
            }
        }
        declaration.properties.insert(CONTENT.to_owned(), content);
        Ok(reads)
    }
}

/// Returns the path of a file below a directory of a cookbook, which may be named or not.
pub(crate) fn path(directory: &str, path: &str) -> Result<String, Complaint> {
    let below = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
    let below = below.unwrap_or(path);
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    match below.split('/').all(plain) && !below.contains(['\0', '\\']) {
        true => Ok(format!("{directory}/{below}")),
        false => {
            Err(Complaint::new(format!("`{path}` is no path below the cookbook's `{directory}`")))
        }
    }
}

/// Reads a file of a cookbook: text if it is text.
fn content(run: &Run<'_>, cookbook: &str, source: &str) -> Result<Value, Complaint> {
    let path = path("files", source)?;
    let Some(file) = run.read(cookbook, &path)? else {
        return Err(missing(run, cookbook, "files", &path));
    };
    if file.bytes.len() > MAX_FILE_BYTES {
        return Err(Complaint::limit(format!(
            "`{}` is larger than {MAX_FILE_BYTES} bytes",
            file.name
        )));
    }
    Ok(match std::str::from_utf8(&file.bytes) {
        Ok(text) => Value::text(text),
        Err(_) => Value::Bytes(file.bytes),
    })
}

/// Returns what to say of a file that is not there.
pub(crate) fn missing(run: &Run<'_>, cookbook: &str, directory: &str, path: &str) -> Complaint {
    match run.request.sources.list(cookbook, directory) {
        Ok(known) => Complaint::missing("file", path, &format!("in cookbook `{cookbook}`"), &known),
        Err(error) => error.into(),
    }
}
