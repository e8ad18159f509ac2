//! Paths inside a source set or an artifact: relative, normalised UTF-8, `/` between components.

/// Longest path of a file below the root of a tree; Linux takes 4096 for the whole.
pub(crate) const MAX_PATH_BYTES: usize = 3072;
/// Longest component; what Linux filesystems take.
const MAX_COMPONENT_BYTES: usize = 255;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// No component at all.
    #[error("it is empty")]
    Empty,
    /// Longer than anything that could be stored.
    #[error("it or one of its components is too long")]
    TooLong,
    /// It starts with a slash, or has `.`, `..` or an empty component.
    #[error("it is not a normalised relative path")]
    NotNormal,
    /// A line feed or another control character, which would forge lines in lists and logs.
    #[error("it holds a control character")]
    Control,
}

/// Checks that `path` is what this crate writes into manifests and source lists.
pub(crate) fn check(path: &str) -> Result<(), PathFault> {
    if path.is_empty() {
        return Err(PathFault::Empty);
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(PathFault::TooLong);
    }
    if path.chars().any(char::is_control) {
        return Err(PathFault::Control);
    }
    for component in path.split('/') {
        match component {
            "" | "." | ".." => return Err(PathFault::NotNormal),
            _ if component.len() > MAX_COMPONENT_BYTES => return Err(PathFault::TooLong),
            _ => {}
        }
    }
    Ok(())
}

/// Returns the directory part; the empty string for a path of one component.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Returns whether `path` is `ancestor` or lies below it.
pub(crate) fn is_within(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Follows `target` from the directory of the link at `path` by its text alone. Returns `None`
/// when it is absolute or climbs above the root.
pub(crate) fn resolve_link(path: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut components: Vec<&str> = parent(path).split('/').filter(|c| !c.is_empty()).collect();
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            name => components.push(name),
        }
    }
    Some(components.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_relative_paths_pass() {
        for good in ["a", "a/b.c", "ä/ö ü", "a/..b", ".env"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, fault) in [
            ("", PathFault::Empty),
            ("/a", PathFault::NotNormal),
            ("a//b", PathFault::NotNormal),
            ("a/../b", PathFault::NotNormal),
            ("a/", PathFault::NotNormal),
            ("a\nb", PathFault::Control),
            ("a\u{7f}", PathFault::Control),
        ] {
            assert_eq!(check(bad), Err(fault), "{bad:?}");
        }
        assert_eq!(check(&"x".repeat(256)), Err(PathFault::TooLong));
    }

    #[test]
    fn links_resolve_by_text_and_never_above_the_root() {
        assert_eq!(resolve_link("a/b/link", "../c").as_deref(), Some("a/c"));
        assert_eq!(resolve_link("link", "./x/../y").as_deref(), Some("y"));
        assert_eq!(resolve_link("a/link", "..").as_deref(), Some(""));
        assert_eq!(resolve_link("a/link", "../.."), None);
        assert_eq!(resolve_link("link", "/etc"), None);
    }

    #[test]
    fn within_means_whole_components() {
        assert!(is_within("media/x", "media"));
        assert!(is_within("media", "media"));
        assert!(!is_within("mediation", "media"));
    }
}
