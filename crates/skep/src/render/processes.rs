//! `ps`: one row a service and release, or one a slot.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use api::{ProcessRow, SlotPhase};
use jiff::Timestamp;

use super::paint::Style;
use super::quantity::{age, count, size};
use super::table::{Cell, Table};

/// Returns a table with one row for the slots of each service and release.
pub(crate) fn by_service(rows: &[ProcessRow], now: Timestamp) -> Table {
    let mut table =
        Table::new(&["SERVICE", "RELEASE", "STATE", "PROCS", "RSS", "RESTARTS", "SINCE", "NOTE"]);
    let mut groups: BTreeMap<(&str, Reverse<u32>), Vec<&ProcessRow>> = BTreeMap::new();
    for row in rows {
        let key = (row.service.as_str(), Reverse(row.release));
        groups.entry(key).or_default().push(row);
    }
    for ((service, _), slots) in groups {
        let (state, style) = state_of(&slots);
        let oldest = slots.iter().filter_map(|slot| slot.since.as_deref()).min();
        let memory: Option<u64> =
            slots.iter().filter_map(|slot| slot.memory_bytes).reduce(|a, b| a + b);
        let restarts: u64 = slots.iter().map(|slot| slot.restarts).sum();
        let mut notes: Vec<&str> = slots.iter().filter_map(|slot| slot.note.as_deref()).collect();
        notes.dedup();
        table.row([
            service.into(),
            format!("v{}", slots[0].release).into(),
            Cell::styled(state, style),
            processes_of(&slots).into(),
            memory.map(size).unwrap_or_default().into(),
            restarts.to_string().into(),
            oldest.map(|at| age(at, now)).unwrap_or_default().into(),
            notes.join("; ").into(),
        ]);
    }
    table
}

/// Returns a table with one row for each slot.
pub(crate) fn by_slot(rows: &[ProcessRow], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "SLOT", "RELEASE", "STATE", "PID", "PROCS", "RSS", "RESTARTS", "SINCE", "NOTE",
    ]);
    for row in rows {
        table.row([
            format!("{}.{}", row.service, row.slot).into(),
            format!("v{}", row.release).into(),
            Cell::styled(word(row.phase), style(row.phase)),
            row.pid.map(|pid| pid.to_string()).unwrap_or_default().into(),
            row.processes.map(|number| number.to_string()).unwrap_or_default().into(),
            row.memory_bytes.map(size).unwrap_or_default().into(),
            row.restarts.to_string().into(),
            row.since.as_deref().map(|at| age(at, now)).unwrap_or_default().into(),
            row.note.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

/// Returns `2 (+8)`: slots with a process, and what those processes forked.
fn processes_of(slots: &[&ProcessRow]) -> String {
    let alive = slots.iter().filter(|slot| slot.pid.is_some()).count();
    let all: u32 = slots.iter().filter_map(|slot| slot.processes).sum();
    match (all as usize).saturating_sub(alive) {
        0 => alive.to_string(),
        forked => format!("{alive} (+{forked})"),
    }
}

/// Returns the one state of all slots, or how many are in which.
fn state_of(slots: &[&ProcessRow]) -> (String, Style) {
    let mut phases: Vec<(SlotPhase, usize)> = Vec::new();
    for slot in slots {
        match phases.iter_mut().find(|(phase, _)| *phase == slot.phase) {
            Some((_, number)) => *number += 1,
            None => phases.push((slot.phase, 1)),
        }
    }
    let severity = |style| match style {
        Style::Bad => 3,
        Style::Warning => 2,
        Style::Good => 1,
        _ => 0,
    };
    let worst = phases.iter().map(|(phase, _)| style(*phase)).max_by_key(|style| severity(*style));
    let text = match phases.as_slice() {
        [(phase, _)] => word(*phase).to_owned(),
        several => {
            let parts: Vec<String> = several
                .iter()
                .map(|(phase, number)| count(*number, word(*phase), word(*phase)))
                .collect();
            parts.join(", ")
        }
    };
    (text, worst.unwrap_or_default())
}

fn word(phase: SlotPhase) -> &'static str {
    match phase {
        SlotPhase::Starting => "starting",
        SlotPhase::Ready => "ready",
        SlotPhase::Draining => "draining",
        SlotPhase::Backoff => "backoff",
        SlotPhase::CrashLoop => "crash loop",
        SlotPhase::Stopping => "stopping",
        SlotPhase::Stopped => "stopped",
        SlotPhase::Finished => "finished",
        SlotPhase::Failed => "failed",
        SlotPhase::Unknown => "unknown",
    }
}

fn style(phase: SlotPhase) -> Style {
    match phase {
        SlotPhase::Ready => Style::Good,
        SlotPhase::CrashLoop | SlotPhase::Failed => Style::Bad,
        SlotPhase::Starting | SlotPhase::Backoff | SlotPhase::Unknown => Style::Warning,
        SlotPhase::Draining | SlotPhase::Stopping | SlotPhase::Stopped | SlotPhase::Finished => {
            Style::Dim
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::paint::Paint;

    fn slot(service: &str, slot: u32, phase: SlotPhase, processes: u32) -> ProcessRow {
        ProcessRow {
            service: service.to_owned(),
            slot,
            generation: 7,
            release: 14,
            phase,
            pid: Some(4100 + slot),
            processes: Some(processes),
            memory_bytes: Some(103 << 20),
            restarts: u64::from(slot),
            since: Some("2026-03-05T10:00:00Z".to_owned()),
            note: None,
        }
    }

    #[test]
    fn services_are_summed_and_slots_can_be_listed() {
        let now = "2026-03-05T12:00:00Z".parse().unwrap();
        let mut dead = slot("shop/web", 1, SlotPhase::Backoff, 0);
        dead.pid = None;
        dead.memory_bytes = None;
        dead.note = Some("last: exit 3".to_owned());
        let rows = [
            slot("shop/queue", 0, SlotPhase::Ready, 1),
            slot("shop/web", 0, SlotPhase::Ready, 5),
            dead,
        ];
        insta::assert_snapshot!(by_service(&rows, now).lines(Paint::Plain).join("\n"), @r"
        SERVICE     RELEASE  STATE               PROCS   RSS   RESTARTS  SINCE  NOTE
        shop/queue  v14      ready               1       103M  0         2h     -
        shop/web    v14      1 ready, 1 backoff  1 (+4)  103M  1         2h     last: exit 3
        ");
        insta::assert_snapshot!(by_slot(&rows, now).lines(Paint::Plain).join("\n"), @r"
        SLOT          RELEASE  STATE    PID   PROCS  RSS   RESTARTS  SINCE  NOTE
        shop/queue.0  v14      ready    4100  1      103M  0         2h     -
        shop/web.0    v14      ready    4100  5      103M  0         2h     -
        shop/web.1    v14      backoff  -     0      -     1         2h     last: exit 3
        ");
    }
}
