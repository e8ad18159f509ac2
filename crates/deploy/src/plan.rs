//! The pure planner: from what runs to what shall run.
//!
//! [`fresh`], [`restarted`], [`scaled`], [`stopped`] and [`started`] make of what runs the servings
//! that an intent goes through; [`Roll::between`] says for one of those steps which slots are started
//! beside the old, which replaced in place, which retired.
//! Applying a plan and planning again gives an empty one, which the tests hold.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use app::model::{App, Listen, Service};

use crate::records::{Placement, Scale, Serving, SlotPlacement};

/// A slot in a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedSlot {
    /// The service.
    pub service: String,
    /// The slot's number.
    pub number: u32,
    /// The slot's generation.
    pub generation: u64,
}

/// One step from a serving to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// Started beside what runs, wave by wave; a wave starts when the one before is ready.
    pub waves: Vec<Vec<PlannedSlot>>,
    /// Old stopped, then new started, one after the other: services whose old and new must not
    /// run at once. Either side may be missing; never both.
    pub replaced: Vec<(Option<PlannedSlot>, Option<PlannedSlot>)>,
    /// Stopped after the switch, once drained.
    pub retired: Vec<PlannedSlot>,
}

/// Returns whether old and new slots of a service may run side by side.
pub fn may_overlap(service: &Service) -> bool {
    match service.listen {
        Listen::Fd | Listen::Path | Listen::Port => true,
        Listen::Fixed(_) => false,
        Listen::None => service.overlap,
    }
}

fn slots_of(serving: Option<&Serving>) -> BTreeSet<PlannedSlot> {
    let services = serving.into_iter().flat_map(|serving| &serving.services);
    services
        .filter(|(_, placement)| !placement.stopped)
        .flat_map(|(service, placement)| {
            placement.slots.iter().map(|(number, slot)| PlannedSlot {
                service: service.clone(),
                number: *number,
                generation: slot.generation,
            })
        })
        .collect()
}

/// Returns the slots that run in `to` and not in `from`.
pub fn added(from: Option<&Serving>, to: &Serving) -> BTreeSet<PlannedSlot> {
    slots_of(Some(to)).difference(&slots_of(from)).cloned().collect()
}

impl Roll {
    /// Returns what leads from `from` to `to`. `old` and `new` are the app files that the two
    /// servings run with; a service that only the old one knows is judged by the old one.
    pub fn between(from: Option<&Serving>, to: &Serving, old: Option<&App>, new: &App) -> Self {
        let before = slots_of(from);
        let after = slots_of(Some(to));
        let added: Vec<&PlannedSlot> = after.difference(&before).collect();
        let removed: Vec<&PlannedSlot> = before.difference(&after).collect();
        let overlaps = |name: &str| {
            let both = [new.services.get(name), old.and_then(|old| old.services.get(name))];
            // Where nothing of it runs there is nothing to overlap with.
            both.into_iter().flatten().all(may_overlap)
                || !removed.iter().any(|slot| slot.service == *name)
        };

        let mut roll = Self::default();
        for wave in waves(new) {
            let slots: Vec<PlannedSlot> = added
                .iter()
                .filter(|slot| wave.contains(&slot.service) && overlaps(&slot.service))
                .map(|slot| (*slot).clone())
                .collect();
            if !slots.is_empty() {
                roll.waves.push(slots);
            }
        }
        let names: BTreeSet<&String> =
            added.iter().chain(&removed).map(|slot| &slot.service).collect();
        for name in names {
            let of = |slots: &[&PlannedSlot]| -> Vec<PlannedSlot> {
                slots.iter().filter(|slot| slot.service == *name).map(|s| (*s).clone()).collect()
            };
            let (added, removed) = (of(&added), of(&removed));
            if overlaps(name) {
                roll.retired.extend(removed);
            } else {
                let pairs = added.len().max(removed.len());
                let mut added = added.into_iter();
                let mut removed = removed.into_iter();
                roll.replaced.extend((0..pairs).map(|_| (removed.next(), added.next())));
            }
        }
        roll
    }

    /// Returns whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.waves.is_empty() && self.replaced.is_empty() && self.retired.is_empty()
    }

    /// Returns every slot that is started.
    pub fn started(&self) -> impl Iterator<Item = &PlannedSlot> {
        let replaced = self.replaced.iter().filter_map(|(_, new)| new.as_ref());
        self.waves.iter().flatten().chain(replaced)
    }
}

/// Returns the services in the order of `after`: a wave needs only waves before it. The app file's
/// reader refuses cycles; should one come from elsewhere, its members start together at the end.
pub fn waves(app: &App) -> Vec<BTreeSet<String>> {
    let mut waves = Vec::new();
    let mut placed: BTreeSet<String> = BTreeSet::new();
    while placed.len() < app.services.len() {
        let wave: BTreeSet<String> = app
            .services
            .iter()
            .filter(|(name, _)| !placed.contains(*name))
            .filter(|(_, service)| {
                service.after.iter().all(|n| placed.contains(n) || !app.services.contains_key(n))
            })
            .map(|(name, _)| name.clone())
            .collect();
        let wave = if wave.is_empty() {
            app.services.keys().filter(|name| !placed.contains(*name)).cloned().collect()
        } else {
            wave
        };
        placed.extend(wave.iter().cloned());
        waves.push(wave);
    }
    waves
}

/// Returns how many slots a service shall have: the operator's number, else the app file's.
pub fn wanted(app: &App, scale: &Scale, service: &str) -> u32 {
    let by_operator = scale.services.get(service).map(|scaled| scaled.slots);
    by_operator.or_else(|| app.services.get(service).map(|s| s.processes)).unwrap_or(0)
}

/// Gives out generations and ports while a serving is made.
pub trait Allocate {
    /// Why nothing can be given out.
    type Error;

    /// Returns a generation that was never used.
    fn generation(&mut self) -> Result<u64, Self::Error>;

    /// Returns a port that nobody uses now.
    fn port(&mut self) -> Result<u16, Self::Error>;
}

fn place<A: Allocate>(
    service: &Service,
    release: u32,
    generation: u64,
    allocate: &mut A,
) -> Result<SlotPlacement, A::Error> {
    let port = match service.listen {
        Listen::Port => Some(allocate.port()?),
        Listen::Fixed(port) => Some(port),
        // A server with a held descriptor may still want to see a number in PORT.
        Listen::Fd | Listen::Path | Listen::None => None,
    };
    Ok(SlotPlacement { generation, release, port })
}

/// Returns a serving with all new slots, from `release`; what was stopped stays stopped.
pub fn fresh<A: Allocate>(
    app: &App,
    release: u32,
    scale: &Scale,
    before: Option<&Serving>,
    allocate: &mut A,
) -> Result<Serving, A::Error> {
    let generation = allocate.generation()?;
    let mut services = BTreeMap::new();
    for (name, service) in &app.services {
        let mut placement = Placement {
            stopped: before
                .and_then(|before| before.services.get(name))
                .is_some_and(|placement| placement.stopped),
            ..Placement::default()
        };
        for number in 0..wanted(app, scale, name) {
            placement.slots.insert(number, place(service, release, generation, allocate)?);
        }
        services.insert(name.clone(), placement);
    }
    Ok(Serving { release, services })
}

/// Returns the servings of a restart: one a slot, so that one slot at a time is replaced.
pub fn restarted<A: Allocate>(
    app: &App,
    before: &Serving,
    only: Option<&str>,
    allocate: &mut A,
) -> Result<Vec<Serving>, A::Error> {
    let generation = allocate.generation()?;
    let mut stages = Vec::new();
    let mut serving = before.clone();
    for (name, placement) in &before.services {
        let Some(service) = app.services.get(name) else { continue };
        if placement.stopped || only.is_some_and(|only| only != name) {
            continue;
        }
        for number in placement.slots.keys() {
            let slot = place(service, before.release, generation, allocate)?;
            if let Some(placement) = serving.services.get_mut(name) {
                placement.slots.insert(*number, slot);
            }
            stages.push(serving.clone());
        }
    }
    Ok(stages)
}

/// Returns the serving with these numbers of slots; those that stay are not touched.
pub fn scaled<A: Allocate>(
    app: &App,
    before: &Serving,
    scale: &Scale,
    allocate: &mut A,
) -> Result<Serving, A::Error> {
    let mut serving = before.clone();
    for (name, service) in &app.services {
        let count = wanted(app, scale, name);
        let placement = serving.services.entry(name.clone()).or_default();
        placement.slots.retain(|number, _| *number < count);
        for number in 0..count {
            if let Entry::Vacant(vacant) = placement.slots.entry(number) {
                let generation = allocate.generation()?;
                vacant.insert(place(service, before.release, generation, allocate)?);
            }
        }
    }
    Ok(serving)
}

/// Returns the serving with services stopped.
pub fn stopped(before: &Serving, only: Option<&str>) -> Serving {
    let mut serving = before.clone();
    for (name, placement) in &mut serving.services {
        placement.stopped |= only.is_none_or(|only| only == name);
    }
    serving
}

/// Returns the serving with services started again, in new slots.
pub fn started<A: Allocate>(
    app: &App,
    before: &Serving,
    only: Option<&str>,
    scale: &Scale,
    allocate: &mut A,
) -> Result<Serving, A::Error> {
    let fresh = fresh(app, before.release, scale, None, allocate)?;
    let mut serving = before.clone();
    for (name, placement) in fresh.services {
        let present = serving
            .services
            .entry(name.clone())
            .or_insert(Placement { stopped: true, ..Placement::default() });
        if present.stopped && only.is_none_or(|only| only == name) {
            *present = placement;
        }
    }
    Ok(serving)
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::model::App;
    use std::convert::Infallible;

    struct Counting(u64, u16);

    impl Allocate for Counting {
        type Error = Infallible;

        fn generation(&mut self) -> Result<u64, Infallible> {
            self.0 += 1;
            Ok(self.0)
        }

        fn port(&mut self) -> Result<u16, Infallible> {
            self.1 += 1;
            Ok(self.1)
        }
    }

    fn shop() -> App {
        let text = "app = \"shop\"\n\
            [services.web]\ncommand = \"gunicorn shop:app\"\nprocesses = 2\nafter = [\"cache\"]\n\
            [services.cache]\ncommand = \"./cache\"\nlisten = \"port\"\npath = \"/cache\"\n\
            [services.queue]\ncommand = \"celery -A shop worker\"\nprocesses = 2\n";
        app::parse("skep.toml", text, &app::Layout::new("shop")).expect("the test's app file")
    }

    fn names(slots: &[PlannedSlot]) -> Vec<String> {
        slots.iter().map(|s| format!("{}.{}@{}", s.service, s.number, s.generation)).collect()
    }

    #[test]
    fn a_first_release_starts_in_the_order_of_after() {
        let app = shop();
        let to = fresh(&app, 1, &Scale::default(), None, &mut Counting(6, 20000)).unwrap();
        let roll = Roll::between(None, &to, None, &app);
        let waves: Vec<_> = roll.waves.iter().map(|wave| names(wave)).collect();
        let first = vec!["cache.0@7", "queue.0@7", "queue.1@7"];
        assert_eq!(waves, [first, vec!["web.0@7", "web.1@7"]]);
        assert!(roll.retired.is_empty() && roll.replaced.is_empty());
    }

    #[test]
    fn listeners_overlap_and_workers_are_replaced_old_first() {
        let app = shop();
        let mut allocate = Counting(0, 20000);
        let from = fresh(&app, 1, &Scale::default(), None, &mut allocate).unwrap();
        let to = fresh(&app, 2, &Scale::default(), Some(&from), &mut allocate).unwrap();
        let roll = Roll::between(Some(&from), &to, Some(&app), &app);
        assert_eq!(names(&roll.retired), ["cache.0@1", "web.0@1", "web.1@1"]);
        assert!(roll.replaced.iter().all(|(old, new)| {
            old.as_ref().is_some_and(|o| o.generation == 1)
                && new.as_ref().is_some_and(|n| n.generation == 2)
        }));
        assert_eq!(roll.replaced.len(), 2);
        assert!(Roll::between(Some(&to), &to, Some(&app), &app).is_empty());
    }

    #[test]
    fn a_restart_replaces_one_slot_a_stage() {
        let app = shop();
        let mut allocate = Counting(0, 20000);
        let from = fresh(&app, 1, &Scale::default(), None, &mut allocate).unwrap();
        let stages = restarted(&app, &from, Some("web"), &mut allocate).unwrap();
        assert_eq!(stages.len(), 2);
        let first = Roll::between(Some(&from), &stages[0], Some(&app), &app);
        assert_eq!(first.started().count(), 1);
        assert_eq!(first.retired.len(), 1);
        let second = Roll::between(Some(&stages[0]), &stages[1], Some(&app), &app);
        assert_eq!(names(&second.retired), ["web.1@1"]);
    }

    #[test]
    fn scale_outlives_a_deploy_and_a_stop_outlives_both() {
        let app = shop();
        let mut allocate = Counting(0, 20000);
        let from = fresh(&app, 1, &Scale::default(), None, &mut allocate).unwrap();
        let mut scale = Scale::default();
        let four = crate::records::Scaled { slots: 4, who: "ann".into(), at: String::new() };
        scale.services.insert("web".into(), four);
        let grown = scaled(&app, &from, &scale, &mut allocate).unwrap();
        let roll = Roll::between(Some(&from), &grown, Some(&app), &app);
        assert_eq!(roll.started().count(), 2);
        assert!(roll.retired.is_empty() && roll.replaced.is_empty());

        let without_queue = stopped(&grown, Some("queue"));
        let next = fresh(&app, 2, &scale, Some(&without_queue), &mut allocate).unwrap();
        assert_eq!(next.services["web"].slots.len(), 4);
        assert!(next.services["queue"].stopped);
        let again = started(&app, &next, Some("queue"), &scale, &mut allocate).unwrap();
        assert!(!again.services["queue"].stopped);
        assert_eq!(again.services["web"], next.services["web"]);
    }
}
