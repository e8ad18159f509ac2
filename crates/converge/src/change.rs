//! What a resource would do: the difference between what is wanted and what is there.

use serde::{Deserialize, Serialize};
use similar::TextDiff;

/// Longest diff that is shown, in lines; a longer one is counted.
const MAX_DIFF_LINES: usize = 200;
/// Largest content that is compared line by line: beyond it a diff helps nobody and costs time.
const MAX_DIFF_BYTES: usize = 1 << 20;

/// One thing about a resource that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Change {
    /// An attribute with another value.
    Attribute {
        /// Its name.
        name: String,
        /// What it is; absent if there is nothing yet.
        old: Option<String>,
        /// What it should be.
        new: String,
    },
    /// Text that differs.
    Content {
        /// A unified diff; absent if it would be too long or the content is no text.
        diff: Option<String>,
        /// Lines that would be new, or bytes if it is no text.
        added: usize,
        /// Lines that would go.
        removed: usize,
    },
    /// Content that differs and must not be shown.
    Sensitive,
    /// Anything else, said in words.
    Said {
        /// The words.
        text: String,
    },
}

impl Change {
    /// Returns an attribute's change.
    pub(crate) fn attribute(
        name: &str,
        old: Option<impl Into<String>>,
        new: impl Into<String>,
    ) -> Self {
        Self::Attribute { name: name.to_owned(), old: old.map(Into::into), new: new.into() }
    }

    /// Returns a change in words.
    pub(crate) fn said(text: impl Into<String>) -> Self {
        Self::Said { text: text.into() }
    }

    /// Returns the change of a content.
    pub(crate) fn content(old: &[u8], new: &[u8], sensitive: bool) -> Self {
        if sensitive {
            return Self::Sensitive;
        }
        let texts = (std::str::from_utf8(old), std::str::from_utf8(new));
        let (Ok(old_text), Ok(new_text)) = texts else {
            return Self::Content { diff: None, added: new.len(), removed: old.len() };
        };
        if old.len().max(new.len()) > MAX_DIFF_BYTES {
            let (added, removed) = (new_text.lines().count(), old_text.lines().count());
            return Self::Content { diff: None, added, removed };
        }
        let diff = TextDiff::from_lines(old_text, new_text);
        let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
        let (added, removed) =
            (count(similar::ChangeTag::Insert), count(similar::ChangeTag::Delete));
        let text = diff.unified_diff().context_radius(3).to_string();
        let diff = (text.lines().count() <= MAX_DIFF_LINES).then_some(text);
        Self::Content { diff, added, removed }
    }

    /// Returns the change in one line.
    pub fn line(&self) -> String {
        match self {
            Self::Attribute { name, old: Some(old), new } => format!("{name}: {old} → {new}"),
            Self::Attribute { name, old: None, new } => format!("{name}: {new}"),
            Self::Content { added, removed, .. } => format!("content: +{added} -{removed}"),
            Self::Sensitive => "content changed (sensitive)".to_owned(),
            Self::Said { text } => text.clone(),
        }
    }
}

/// What is to be done about a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it comes to.
    pub mark: Mark,
    /// In which respects.
    pub changes: Vec<Change>,
}

impl Difference {
    /// Returns "nothing to do".
    pub(crate) fn none() -> Self {
        Self { mark: Mark::Unchanged, changes: Vec::new() }
    }

    /// Returns a difference with these changes, or none without any.
    pub(crate) fn of(mark: Mark, changes: Vec<Change>) -> Self {
        match changes.is_empty() {
            true => Self::none(),
            false => Self { mark, changes },
        }
    }

    /// Returns whether there is nothing to do.
    pub fn is_none(&self) -> bool {
        self.mark == Mark::Unchanged
    }

    /// Returns all changes in one line.
    pub(crate) fn line(&self) -> String {
        self.changes.iter().map(Change::line).collect::<Vec<_>>().join(", ")
    }
}

/// What happens to a resource, as the first character of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It will be made.
    Create,
    /// It will be changed.
    Update,
    /// It will be taken away.
    Delete,
    /// A command will run.
    Run,
    /// It will act because another one changes.
    Notified,
    /// Whether it changes cannot be known before others are applied.
    Perhaps,
    /// Its guard says no.
    Skipped,
    /// It cannot be done, or what it needs cannot.
    Blocked,
    /// It is as it should be.
    Unchanged,
}

impl Mark {
    /// Returns its character.
    pub fn character(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::Delete => '-',
            Self::Run => '!',
            Self::Notified => '↻',
            Self::Perhaps => '?',
            Self::Skipped => '·',
            Self::Blocked => 'x',
            Self::Unchanged => ' ',
        }
    }

    /// Returns whether the machine will be different.
    pub fn is_change(self) -> bool {
        matches!(
            self,
            Self::Create | Self::Update | Self::Delete | Self::Run | Self::Notified | Self::Perhaps
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compared_by_lines() {
        let Change::Content { diff: Some(diff), added: 1, removed: 1 } =
            Change::content(b"a\nb\nc\n", b"a\nB\nc\n", false)
        else {
            panic!("one line differs");
        };
        assert_eq!(diff, "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
    }

    #[test]
    fn what_is_long_or_secret_or_no_text_is_not_shown() {
        let long: String = (0..300).map(|line| format!("{line}\n")).collect();
        let shown = Change::content(b"", long.as_bytes(), false);
        assert_eq!(shown, Change::Content { diff: None, added: 300, removed: 0 });
        assert_eq!(Change::content(b"hunter2", b"hunter3", true), Change::Sensitive);
        let bytes = Change::content(b"", &[0xff, 0xfe], false);
        assert_eq!(bytes, Change::Content { diff: None, added: 2, removed: 0 });
    }
}
