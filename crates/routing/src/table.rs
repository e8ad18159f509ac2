//! The whole table, composed of sections, and its revisions.

use std::collections::BTreeMap;

use control::Revision;
use control::proxy::RouteTable;

use crate::section::Section;

/// Bits of a revision that count within one epoch: four billion changes between two starts of an
/// agent.
const COUNTER_BITS: u32 = 32;

/// All sections and the revision they have together.
#[derive(Debug)]
pub(crate) struct Table {
    sections: BTreeMap<String, Section>,
    revision: Revision,
}

impl Table {
    pub(crate) fn new(epoch: u32) -> Self {
        Self { sections: BTreeMap::new(), revision: Revision(u64::from(epoch) << COUNTER_BITS) }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns whether no app has routes.
    pub(crate) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Replaces an app's section; returns whether anything changed.
    pub(crate) fn set(&mut self, app: &str, section: Section) -> bool {
        let known = self.sections.get(app);
        let changed = known.map_or(section != Section::default(), |known| *known != section);
        if section == Section::default() {
            self.sections.remove(app);
        } else {
            self.sections.insert(app.to_owned(), section);
        }
        if changed {
            self.revision.0 += 1;
        }
        changed
    }

    /// Changes a section in place; `change` returns whether it did.
    pub(crate) fn change(&mut self, app: &str, change: impl FnOnce(&mut Section) -> bool) -> bool {
        let changed = self.sections.get_mut(app).is_some_and(change);
        if changed {
            self.revision.0 += 1;
        }
        changed
    }

    /// Returns the table as proxies take it.
    pub(crate) fn compose(&self) -> RouteTable {
        RouteTable {
            services: self.sections.values().flat_map(|part| part.services.clone()).collect(),
            routes: self.sections.values().flat_map(|part| part.routes.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::proxy::Route;

    fn section(path: &str) -> Section {
        let route = Route {
            listener: "127.0.0.1:8000".into(),
            host: None,
            path: path.into(),
            service: "shop/web".parse().unwrap(),
        };
        Section { services: vec![], routes: vec![route] }
    }

    #[test]
    fn only_changes_raise_the_revision() {
        let mut table = Table::new(3);
        assert_eq!(table.revision(), Revision(3 << 32));
        assert!(table.set("shop", section("/")));
        assert!(!table.set("shop", section("/")));
        assert!(!table.set("blog", Section::default()));
        assert_eq!(table.revision(), Revision((3 << 32) + 1));
        assert!(table.set("shop", Section::default()));
        assert_eq!(table.compose(), RouteTable::default());
        assert!(Table::new(4).revision() > table.revision());
    }
}
