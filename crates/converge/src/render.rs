//! A plan as people read it: one line for each step with its mark, and a count at the end.

use std::fmt::Write as _;
use std::time::Duration;

use crate::change::{Change, Mark};
use crate::plan::{Counts, Plan, Step};

/// What is printed of a plan.
#[derive(Debug, Clone, Copy, Default)]
pub struct RenderOptions {
    /// Whether the differences of contents are printed.
    pub diff: bool,
    /// Whether resources that are as they should be are printed too.
    pub unchanged: bool,
    /// How long reading the machine took.
    pub read_in: Option<Duration>,
}

impl Plan {
    /// Returns the plan as text.
    pub fn render(&self, options: RenderOptions) -> String {
        let mut text = String::new();
        for step in &self.steps {
            if step.mark != Mark::Unchanged || options.unchanged {
                render_step(&mut text, step, options);
            }
        }
        text.push_str(&footer(self.counts(), options.read_in));
        text.push('\n');
        text
    }
}

fn render_step(text: &mut String, step: &Step, options: RenderOptions) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{} {}", step.mark.character(), step.id);
    if matches!(step.mark, Mark::Notified) {
        let _ = write!(text, " {}", step.action);
    }
    let lines: Vec<String> = step.changes.iter().map(Change::line).collect();
    if !lines.is_empty() {
        let _ = write!(text, "  {}", lines.join(", "));
    }
    if let Some(reason) = &step.reason {
        let _ = write!(text, "  ({reason})");
    }
    text.push('\n');
    if options.diff {
        for change in &step.changes {
            if let Change::Content { diff: Some(diff), .. } = change {
                for line in diff.lines() {
                    let _ = writeln!(text, "    {line}");
                }
            }
        }
    }
}

fn footer(counts: Counts, read_in: Option<Duration>) -> String {
    let parts: Vec<String> = [
        (counts.create, "to create"),
        (counts.update, "to update"),
        (counts.delete, "to delete"),
        (counts.run, "to run"),
        (counts.notified, "to notify"),
        (counts.perhaps, "may change"),
        (counts.blocked, "blocked"),
        (counts.skipped, "skipped"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, words)| format!("{count} {words}"))
    .chain([format!("{} unchanged", counts.unchanged)])
    .collect();
    let read = read_in.map(|time| format!("; read in {} ms", time.as_millis()));
    format!("{}{}", parts.join(", "), read.unwrap_or_default())
}
