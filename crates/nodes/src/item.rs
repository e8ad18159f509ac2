//! One item of a run list.
//!
//! `recipe[cookbook]`, `recipe[cookbook::name]`, either with `@1.2` or `@1.2.3` before the bracket,
//! `role[name]`, and the same recipes without `recipe[…]`: what Chef's `RunListItem` takes, with
//! names held to letters, digits, `_`, `-` and `.`. Written, an item always has its brackets.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use report::did_you_mean;
use serde::{Serialize, Serializer};

use crate::name::{MAX_NAME_BYTES, is_name_character};

/// What a cookbook runs where no recipe is named.
pub const DEFAULT_RECIPE: &str = "default";

/// An item of a run list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// A recipe.
    Recipe {
        /// Its cookbook.
        cookbook: String,
        /// Its name; absent, [`DEFAULT_RECIPE`].
        recipe: Option<String>,
        /// The cookbook's version, two or three numbers.
        version: Option<String>,
    },
    /// A role.
    Role {
        /// Its name.
        name: String,
    },
}

/// Text that is no item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ItemError {
    /// What is wrong.
    pub message: String,
    /// Which bytes of the text it is about.
    pub at: Range<usize>,
}

impl Item {
    /// Returns what it runs, without a version: `cookbook::recipe`, or `role[name]`. Two items with
    /// the same one run the same thing.
    pub fn runs(&self) -> String {
        match self {
            Self::Recipe { cookbook, recipe, .. } => {
                format!("{cookbook}::{}", recipe.as_deref().unwrap_or(DEFAULT_RECIPE))
            }
            Self::Role { .. } => self.to_string(),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { name } => write!(f, "role[{name}]"),
            Self::Recipe { cookbook, recipe, version } => {
                write!(f, "recipe[{cookbook}")?;
                recipe.iter().try_for_each(|recipe| write!(f, "::{recipe}"))?;
                version.iter().try_for_each(|version| write!(f, "@{version}"))?;
                f.write_str("]")
            }
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Item {
    type Err = ItemError;

    fn from_str(text: &str) -> Result<Self, ItemError> {
        let Some(open) = text.find('[') else { return recipe(text, 0) };
        let (kind, inner) = (&text[..open], &text[open + 1..]);
        let Some(inner) = inner.strip_suffix(']') else {
            let at = match text.find(']') {
                Some(close) => close + 1..text.len(),
                None => text.len()..text.len(),
            };
            let message =
                if at.is_empty() { "`]` is missing" } else { "expected nothing behind `]`" };
            return Err(ItemError { message: message.to_owned(), at });
        };
        match kind {
            "recipe" => recipe(inner, open + 1),
            "role" => {
                name("role", inner, open + 1)?;
                Ok(Self::Role { name: inner.to_owned() })
            }
            _ => {
                let message = match did_you_mean(&kind.to_lowercase(), ["recipe", "role"]) {
                    Some(meant) => format!("did you mean `{meant}[…]`?"),
                    None => "expected `recipe[…]` or `role[…]`".to_owned(),
                };
                Err(ItemError { message, at: 0..open.max(1) })
            }
        }
    }
}

fn recipe(text: &str, start: usize) -> Result<Item, ItemError> {
    let (path, version) = match text.split_once('@') {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    let (cookbook, recipe) = match path.split_once("::") {
        Some((cookbook, recipe)) => (cookbook, Some(recipe)),
        None => (path, None),
    };
    name("cookbook", cookbook, start)?;
    if let Some(recipe) = recipe {
        name("recipe", recipe, start + cookbook.len() + 2)?;
    }
    if let Some(version) = version {
        check_version(version, start + path.len() + 1)?;
    }
    Ok(Item::Recipe {
        cookbook: cookbook.to_owned(),
        recipe: recipe.map(str::to_owned),
        version: version.map(str::to_owned),
    })
}

fn name(what: &str, text: &str, start: usize) -> Result<(), ItemError> {
    let end = start + text.len();
    if text.is_empty() {
        return Err(ItemError { message: format!("the {what}'s name is missing"), at: start..end });
    }
    if let Some((index, character)) = text.char_indices().find(|(_, c)| !is_name_character(*c)) {
        let at = start + index..start + index + character.len_utf8();
        let message = match character {
            ':' => "a recipe is written `cookbook::name`".to_owned(),
            _ => {
                format!("{character:?} in the {what}'s name; it has letters, digits, `_`, `-`, `.`")
            }
        };
        return Err(ItemError { message, at });
    }
    if text.starts_with('.') {
        let message = format!("the {what}'s name starts with a dot");
        return Err(ItemError { message, at: start..start + 1 });
    }
    if text.len() > MAX_NAME_BYTES {
        let message = format!("the {what}'s name is longer than {MAX_NAME_BYTES} characters");
        return Err(ItemError { message, at: start..end });
    }
    Ok(())
}

fn check_version(version: &str, start: usize) -> Result<(), ItemError> {
    /// Digits of one part; more fit no version in use, and no `u64`.
    const MAX_DIGITS: usize = 18;
    let parts: Vec<&str> = version.split('.').collect();
    let number = |part: &&str| {
        (1..=MAX_DIGITS).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    if (2..=3).contains(&parts.len()) && parts.iter().all(number) {
        return Ok(());
    }
    let message = "a version is two or three numbers: `@1.2` or `@1.2.3`".to_owned();
    Err(ItemError { message, at: start..start + version.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_written_with_their_brackets() {
        for (text, written) in [
            ("recipe[nginx]", "recipe[nginx]"),
            ("nginx", "recipe[nginx]"),
            ("nginx::site", "recipe[nginx::site]"),
            ("recipe[nginx::default]", "recipe[nginx::default]"),
            ("recipe[nginx@1.2]", "recipe[nginx@1.2]"),
            ("recipe[ng-inx_2::a.b@1.2.3]", "recipe[ng-inx_2::a.b@1.2.3]"),
            ("role[12_04-bee]", "role[12_04-bee]"),
        ] {
            let item: Item = text.parse().unwrap();
            assert_eq!(item.to_string(), written);
            assert_eq!(written.parse::<Item>().unwrap(), item);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, at, message) in [
            ("", 0..0, "the cookbook's name is missing"),
            ("roles[web]", 0..5, "did you mean `role[…]`?"),
            ("Recipe[web]", 0..6, "did you mean `recipe[…]`?"),
            ("bag[web]", 0..3, "expected `recipe[…]` or `role[…]`"),
            ("[web]", 0..1, "expected `recipe[…]` or `role[…]`"),
            ("recipe[web", 10..10, "`]` is missing"),
            ("recipe[web] ", 11..12, "expected nothing behind `]`"),
            ("recipe[web:site]", 10..11, "a recipe is written `cookbook::name`"),
            ("recipe[a::b::c]", 11..12, "a recipe is written `cookbook::name`"),
            ("recipe[web::]", 12..12, "the recipe's name is missing"),
            ("recipe[web@1]", 11..12, "a version is two or three numbers: `@1.2` or `@1.2.3`"),
            (
                "recipe[web@1.2.3.4]",
                11..18,
                "a version is two or three numbers: `@1.2` or `@1.2.3`",
            ),
            (
                "recipe[../x]",
                9..10,
                "'/' in the cookbook's name; it has letters, digits, `_`, `-`, `.`",
            ),
            ("role[.]", 5..6, "the role's name starts with a dot"),
            ("web]", 3..4, "']' in the cookbook's name; it has letters, digits, `_`, `-`, `.`"),
        ] {
            let error = text.parse::<Item>().unwrap_err();
            assert_eq!((error.at, error.message.as_str()), (at, message), "{text}");
        }
    }

    #[test]
    fn no_recipe_is_the_default_one() {
        let runs = |text: &str| text.parse::<Item>().unwrap().runs();
        assert_eq!(runs("recipe[a]"), "a::default");
        assert_eq!(runs("a::default@1.2"), "a::default");
        assert_eq!(runs("role[a]"), "role[a]");
    }
}
