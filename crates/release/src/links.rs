//! Where the symlinks of a finished tree really lead.
//!
//! By its text alone a link may stay inside a tree and by way of another link leave all the same
//! (`a/up -> ..`, `x -> a/up/../secret`), also to something that is only made later. The tree is
//! complete and nobody can change it any more, so the kernel's walk (path_resolution(7)) is done here
//! over its entries.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use crate::manifest::{Entry, EntryKind};

/// Links followed before the kernel gives up with ELOOP (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Returns the first link that leaves the tree otherwise than to the interpreter or into the app's
/// data.
pub(crate) fn first_out<'a>(
    entries: &'a [Entry],
    interpreter: Option<&Path>,
) -> Option<(&'a str, &'a str)> {
    let by_path: BTreeMap<&str, &EntryKind> = entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::Link { .. } | EntryKind::Data { .. }))
        .map(|entry| (entry.path.as_str(), &entry.kind))
        .collect();
    entries.iter().find_map(|entry| match &entry.kind {
        EntryKind::Link { target } => leads_out(&by_path, &entry.path, target, interpreter)
            .then_some((entry.path.as_str(), target.as_str())),
        _ => None,
    })
}

fn leads_out(
    links: &BTreeMap<&str, &EntryKind>,
    path: &str,
    target: &str,
    interpreter: Option<&Path>,
) -> bool {
    let is_interpreter = |target: &str| interpreter == Some(Path::new(target));
    if target.starts_with('/') {
        return !is_interpreter(target);
    }
    let split = |text: &str| text.split('/').map(str::to_owned).collect::<VecDeque<_>>();
    let mut here = split(crate::path::parent(path));
    here.retain(|component| !component.is_empty());
    let mut rest = split(target);
    let mut followed = 0;
    while let Some(component) = rest.pop_front() {
        match component.as_str() {
            "" | "." => {}
            ".." => {
                if here.pop_back().is_none() {
                    return true;
                }
            }
            _ => {
                here.push_back(component);
                let joined = here.make_contiguous().join("/");
                match links.get(joined.as_str()) {
                    // What is above the data directory is not the app's.
                    Some(EntryKind::Data { .. }) => return rest.iter().any(|next| next == ".."),
                    Some(EntryKind::Link { target }) if target.starts_with('/') => {
                        return !is_interpreter(target);
                    }
                    Some(EntryKind::Link { target }) => {
                        followed += 1;
                        if followed == MAX_LINKS {
                            return false;
                        }
                        here.pop_back();
                        let mut next = split(target);
                        next.append(&mut rest);
                        rest = next;
                    }
                    _ => {}
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(links: &[(&str, &str)]) -> Option<String> {
        let mut entries: Vec<Entry> = links
            .iter()
            .map(|(path, target)| Entry {
                path: (*path).to_owned(),
                kind: EntryKind::Link { target: (*target).to_owned() },
            })
            .collect();
        entries.push(Entry {
            path: "media".to_owned(),
            kind: EntryKind::Data { name: "media".to_owned() },
        });
        first_out(&entries, Some(Path::new("/usr/bin/python3"))).map(|(path, _)| path.to_owned())
    }

    #[test]
    fn links_are_followed_as_the_kernel_does() {
        for inside in [
            [("bin/python", "/usr/bin/python3"), ("bin/python3", "python")],
            [("a/b/link", "../../c"), ("static", "media/static")],
            [("loop", "loop"), ("a", "b")],
            [("a/up", ".."), ("x", "a/up/y")],
        ] {
            assert_eq!(out(&inside), None, "{inside:?}");
        }
        for outside in [
            [("d/e/up", "../.."), ("x", "d/e/up/../secret")],
            [("a", "b"), ("x", "/etc/passwd")],
            [("a", "b"), ("x", "..")],
            [("a", "b"), ("x", "media/../../store.db")],
            [("a/b", "../media"), ("x", "a/b/..")],
        ] {
            assert_eq!(out(&outside).as_deref(), Some("x"), "{outside:?}");
        }
    }
}
