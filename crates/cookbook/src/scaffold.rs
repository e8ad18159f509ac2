//! A new cookbook: the smallest one that does something.

use crate::manifest::MANIFEST;
use crate::name;

/// A name that no cookbook can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no name of a cookbook: {why}")]
pub struct BadName {
    /// The name.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// Returns the files of a new cookbook: paths below it, and texts.
pub fn scaffold(name: &str) -> Result<Vec<(&'static str, String)>, BadName> {
    if let Some(why) = name::cookbook_refusal(name) {
        return Err(BadName { name: name.to_owned(), why });
    }
    Ok(vec![
        (
            MANIFEST,
            format!(
                "name = \"{name}\"\nversion = \"0.1.0\"\ndescription = \"\"\n\n\
                 # What it needs of other cookbooks, for example base = \"~> 1.0\".\n[dependencies]\n"
            ),
        ),
        (
            "attributes/default.toml",
            format!("[\"{name}\"]\ndirectory = \"/etc/{name}\"\n"),
        ),
        (
            "recipes/default.star",
            format!(
                "directory(attr(\"{name}.directory\"), mode = \"0755\")\n\
                 template(attr(\"{name}.directory\") + \"/{name}.conf\", source = \"{name}.conf.j2\")\n"
            )
            .replace(&format!("{name}.conf.j2"), "default.conf.j2"),
        ),
        (
            "templates/default.conf.j2",
            format!("# Written by Skep for {{{{ node[\"{name}\"].directory }}}}.\n"),
        ),
    ])
}
