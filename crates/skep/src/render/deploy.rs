//! A deploy as it goes: events in, lines out.
//!
//! [`DeployView::apply`] returns lines that are *settled*: printed once, never changed. What is
//! still moving is [`DeployView::moving`]: a terminal draws it again and again below the settled
//! lines, everything else leaves it out. So a log file has one line a step, in the order in which
//! the steps ended.
//!
//! Events may come twice (a client that lost the agent attaches again and is told everything from
//! the beginning): what was said is not said again.

use std::collections::BTreeSet;
use std::fmt::Write;

use api::{DeployEvent, DeploySummary, LiveReport, Progress, StepName, StepState};

use super::paint::{Paint, Style};
use super::quantity::elapsed;
use super::untrusted::visible;

/// Whether the client's end ends what it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// A deploy: it goes on without the client.
    Deploy,
    /// `skep up` in the foreground.
    Foreground,
}

/// Whether the lines that build steps write are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// The last one while its step runs.
    Steps,
    /// All of them.
    Output,
}

/// What is shown of one deploy.
#[derive(Debug)]
pub(crate) struct DeployView {
    paint: Paint,
    session: Session,
    verbosity: Verbosity,
    header_said: bool,
    running: Vec<Running>,
    settled: BTreeSet<StepName>,
    notices: BTreeSet<String>,
    last_output: Option<String>,
    app: String,
    from: Option<u32>,
    to: Option<u32>,
    /// The release's number and source, until the step that made it has told them.
    numbered: Option<DeploySummary>,
    first_release: bool,
    stops: bool,
    live: Option<LiveReport>,
}

#[derive(Debug)]
struct Running {
    progress: Progress,
    received_ms: u64,
}

/// A step's name and text, padded to these, put the durations under each other.
const NAME_WIDTH: usize = 8;
const TEXT_WIDTH: usize = 39;
const ELAPSED_WIDTH: usize = 7;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

impl DeployView {
    /// Returns the view of a deploy of which nothing is known yet.
    pub(crate) fn new(paint: Paint, session: Session, verbosity: Verbosity) -> Self {
        Self {
            paint,
            session,
            verbosity,
            header_said: false,
            running: Vec::new(),
            settled: BTreeSet::new(),
            notices: BTreeSet::new(),
            last_output: None,
            app: String::new(),
            from: None,
            to: None,
            numbered: None,
            first_release: false,
            stops: false,
            live: None,
        }
    }

    /// Says that this goes on with what was shown before: no header.
    pub(crate) fn continues(&mut self) {
        self.header_said = true;
    }

    /// Takes an event in and returns the lines it settles. `now_ms` is any clock that only rises.
    pub(crate) fn apply(&mut self, event: &DeployEvent, now_ms: u64) -> Vec<String> {
        match event {
            DeployEvent::Begun { deploy } => self.begin(deploy),
            DeployEvent::Numbered { deploy } => {
                self.to = deploy.to;
                self.numbered = Some(deploy.clone());
                Vec::new()
            }
            DeployEvent::Progress(progress) => self.step(progress, now_ms),
            DeployEvent::Output { line, .. } => {
                let line = visible(line).into_owned();
                match self.verbosity {
                    Verbosity::Output => vec![self.paint.paint(Style::Dim, &format!("   {line}"))],
                    Verbosity::Steps => {
                        self.last_output = Some(line);
                        Vec::new()
                    }
                }
            }
            DeployEvent::Notice { text } => {
                if !self.notices.insert(text.clone()) {
                    return Vec::new();
                }
                vec![format!(" {} {}", self.paint.paint(Style::Warning, "!"), visible(text))]
            }
            // A stop is switched too, but nothing serves after it.
            DeployEvent::Live(_) if self.stops => Vec::new(),
            DeployEvent::Live(report) => {
                let again = self.live.replace(report.clone()).is_some();
                match self.session {
                    Session::Foreground if !again => vec![self.up_line(report)],
                    _ => Vec::new(),
                }
            }
            DeployEvent::Ended { deploy, failure } => self.end(deploy, failure.is_some()),
        }
    }

    /// Returns the lines that are still moving. `frame` turns the spinner.
    pub(crate) fn moving(&self, now_ms: u64, frame: usize) -> Vec<String> {
        let spinner = self.paint.paint(Style::Warning, SPINNER[frame % SPINNER.len()]);
        let mut lines: Vec<String> = self
            .running
            .iter()
            .map(|running| {
                let since = now_ms.saturating_sub(running.received_ms);
                self.step_line(&spinner, &running.progress, running.progress.elapsed_ms + since)
            })
            .collect();
        if let (Some(output), false) = (&self.last_output, lines.is_empty()) {
            lines.push(self.paint.paint(Style::Dim, &format!("   {output}")));
        }
        if let (Some(report), Session::Deploy) = (&self.live, self.session) {
            lines.push(self.live_line(report));
        }
        lines
    }

    /// Returns what is known to be live, for a client that leaves early.
    pub(crate) fn live_summary(&self) -> Option<String> {
        self.live.as_ref().map(|report| self.live_line(report))
    }

    fn begin(&mut self, deploy: &DeploySummary) -> Vec<String> {
        self.app.clone_from(&deploy.app);
        (self.from, self.to) = (deploy.from, deploy.to);
        self.first_release = deploy.from.is_none();
        self.stops = deploy.kind == "stop";
        if std::mem::replace(&mut self.header_said, true) {
            return Vec::new();
        }
        let makes_release = ["deploy", "rollback", "environment"].contains(&deploy.kind.as_str());
        let versions = match (deploy.from, deploy.to) {
            (Some(from), Some(to)) if from != to => format!("v{from} → v{to}"),
            // The step that makes the release tells its number.
            (Some(from), None) if makes_release => format!("v{from} → …"),
            (None, None) if makes_release => "first release".to_owned(),
            (from, to) => to.or(from).map(|number| format!("v{number}")).unwrap_or_default(),
        };
        let mut line = format!("{} → this machine", self.paint.paint(Style::Bold, &deploy.app));
        if deploy.kind != "deploy" {
            line.push_str("   ");
            line.push_str(&visible(&deploy.kind));
        }
        for part in [Some(versions), deploy.source.clone()].into_iter().flatten() {
            if !part.is_empty() {
                line.push_str("   ");
                line.push_str(&visible(&part));
            }
        }
        vec![line]
    }

    fn step(&mut self, progress: &Progress, now_ms: u64) -> Vec<String> {
        if self.settled.contains(&progress.step) {
            return Vec::new();
        }
        if progress.step != StepName::Queue {
            // Whatever begins, the waiting is over, and is not worth a line.
            self.running.retain(|known| known.progress.step != StepName::Queue);
        }
        let (mark, style) = match progress.state {
            StepState::Running => {
                let running = Running { progress: progress.clone(), received_ms: now_ms };
                match self.running.iter_mut().find(|known| known.progress.step == progress.step) {
                    Some(known) => *known = running,
                    None => self.running.push(running),
                }
                return Vec::new();
            }
            StepState::Done => ("✓", Style::Good),
            StepState::Skipped => ("·", Style::Dim),
            StepState::Failed => ("✗", Style::Bad),
        };
        self.running.retain(|known| known.progress.step != progress.step);
        self.settled.insert(progress.step);
        self.last_output = None;
        let mark = self.paint.paint(style, mark);
        let numbered = self.numbered.take_if(|_| progress.step == StepName::Build);
        let Some(DeploySummary { to: Some(number), source, .. }) = numbered else {
            return vec![self.step_line(&mark, progress, progress.elapsed_ms)];
        };
        let note = match source {
            Some(source) => format!("v{number} · {source}"),
            None => format!("v{number}"),
        };
        let progress = Progress { note: Some(note), ..progress.clone() };
        vec![self.step_line(&mark, &progress, progress.elapsed_ms)]
    }

    fn end(&mut self, deploy: &DeploySummary, failed: bool) -> Vec<String> {
        // Known only now if a build had to tell.
        self.first_release = deploy.from.is_none();
        let cross = self.paint.paint(Style::Bad, "✗");
        let left = std::mem::take(&mut self.running);
        let mut lines = Vec::new();
        if failed {
            lines.extend(
                left.iter()
                    .map(|one| self.step_line(&cross, &one.progress, one.progress.elapsed_ms)),
            );
            return lines;
        }
        lines.push(match (self.session, deploy.kind.as_str(), &self.live) {
            (Session::Foreground, "stop", _) => {
                format!("{} is down; releases, data and variables are kept", deploy.app)
            }
            // The deploy is over, the session goes on.
            (Session::Foreground, _, Some(_)) => return lines,
            (Session::Foreground, _, None) => {
                let version = deploy.to.or(deploy.from).map(|to| format!(" v{to}"));
                let version = version.unwrap_or_default();
                format!("{}{version} is up, nothing had to change   Ctrl-C stops it", deploy.app)
            }
            // No step: none was needed.
            (_, "stop", _) if self.settled.is_empty() => {
                format!("{app}: nothing runs that could be stopped", app = deploy.app)
            }
            (_, "stop", _) => format!(
                "{app} is stopped; releases, data and variables are kept · undo: skep start {app}",
                app = deploy.app
            ),
            (_, _, Some(report)) => self.live_line(report),
            (_, _, None) => format!("{}: nothing had to change", deploy.app),
        });
        if self.session == Session::Deploy {
            self.live = None;
        }
        lines
    }

    fn step_line(&self, mark: &str, progress: &Progress, elapsed_ms: u64) -> String {
        let name = format!("{:NAME_WIDTH$}", step_name(progress.step));
        let mut text = format!("{:TEXT_WIDTH$}", visible(&progress.text));
        if text.chars().count() > TEXT_WIDTH {
            // Longer than its column: what follows must not read as a part of it.
            text.push(' ');
        }
        let time = match progress.state {
            StepState::Skipped => String::new(),
            _ => elapsed(elapsed_ms),
        };
        let pad = " ".repeat(ELAPSED_WIDTH.saturating_sub(time.chars().count()));
        let time = self.paint.paint(Style::Dim, &time);
        let note = progress.note.as_deref().map(visible).unwrap_or_default();
        let line = format!(" {mark} {name} {text} {time}{pad} {note}");
        line.trim_end().to_owned()
    }

    /// Returns `live after 4.1 s · 0 failed, 2 held ≤ 40 ms · undo: skep rollback shop`.
    fn live_line(&self, report: &LiveReport) -> String {
        let mut parts = vec![format!(
            "{} after {}",
            self.paint.paint(Style::Good, "live"),
            elapsed(report.after_ms)
        )];
        if self.first_release && !report.addresses.is_empty() {
            parts.push(report.addresses.join(" "));
        }
        let mut counts = format!("{} failed", report.failed);
        if report.failed > 0 {
            counts = self.paint.paint(Style::Bad, &counts);
        }
        if report.held > 0 {
            // Writing to a String cannot fail.
            let _ = write!(counts, ", {} held ≤ {}", report.held, elapsed(report.held_max_ms));
        }
        if report.cut > 0 {
            let cut = format!("{} cut at the drain limit", report.cut);
            let _ = write!(counts, ", {}", self.paint.paint(Style::Warning, &cut));
        }
        parts.push(counts);
        if let Some(undo) = &report.undo {
            parts.push(format!("undo: {}", visible(undo)));
        }
        parts.join(" · ")
    }

    /// Returns `shop v1 is at http://shop.localhost:8000 after 10.3 s   Ctrl-C stops it`.
    fn up_line(&self, report: &LiveReport) -> String {
        // Without a number of its own it started the release that was there.
        let version = self.to.or(self.from).map(|number| format!(" v{number}")).unwrap_or_default();
        let place = match report.addresses.as_slice() {
            [] => "up".to_owned(),
            addresses => format!("at {}", self.paint.paint(Style::Bold, &addresses.join(" "))),
        };
        let app = &self.app;
        format!(
            "{app}{version} is {place} after {}   Ctrl-C stops it · edit, then `skep deploy`",
            elapsed(report.after_ms)
        )
    }
}

fn step_name(step: StepName) -> &'static str {
    match step {
        StepName::Queue => "queue",
        StepName::Build => "build",
        StepName::Check => "check",
        StepName::Release => "release",
        StepName::Start => "start",
        StepName::Switch => "switch",
        StepName::Drain => "drain",
        StepName::Watch => "watch",
        StepName::Undo => "undo",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::DeployId;
    use report::{Failure, Kind};

    fn summary(kind: &str, from: Option<u32>, to: Option<u32>, state: &str) -> DeploySummary {
        DeploySummary {
            id: DeployId("d1".to_owned()),
            app: "shop".to_owned(),
            kind: kind.to_owned(),
            from,
            to,
            source: (kind == "deploy" && to.is_some()).then(|| "8c1f2e9 +2 uncommitted".to_owned()),
            who: "anna".to_owned(),
            at: "2026-03-05T12:00:00Z".to_owned(),
            state: state.to_owned(),
        }
    }

    fn step(
        step: StepName,
        state: StepState,
        text: &str,
        elapsed_ms: u64,
        note: &str,
    ) -> DeployEvent {
        DeployEvent::Progress(Progress {
            step,
            state,
            text: text.to_owned(),
            note: (!note.is_empty()).then(|| note.to_owned()),
            elapsed_ms,
        })
    }

    fn live() -> LiveReport {
        LiveReport {
            after_ms: 4_100,
            addresses: vec!["http://shop.localhost:8000".to_owned()],
            failed: 0,
            held: 2,
            held_max_ms: 40,
            cut: 0,
            undo: Some("skep rollback shop".to_owned()),
        }
    }

    /// Every settled line, then what a terminal would still be drawing at `now_ms`.
    fn show(view: &mut DeployView, events: &[DeployEvent], now_ms: u64) -> String {
        let mut lines: Vec<String> = events.iter().flat_map(|event| view.apply(event, 0)).collect();
        lines.extend(view.moving(now_ms, 3).into_iter().map(|line| format!("~{line}")));
        lines.join("\n")
    }

    fn view(session: Session) -> DeployView {
        DeployView::new(Paint::Plain, session, Verbosity::Steps)
    }

    fn good() -> Vec<DeployEvent> {
        use StepName::{Build, Check, Drain, Release, Start, Switch};
        use StepState::{Done, Running};
        vec![
            DeployEvent::Begun { deploy: summary("deploy", Some(14), None, "running") },
            step(Build, Running, "copying", 10, ""),
            DeployEvent::Output { step: Build, line: "Collected \x1b[2J42 packages".to_owned() },
            DeployEvent::Numbered { deploy: summary("deploy", Some(14), Some(15), "running") },
            step(Build, Done, "environment unchanged, code 0.2 s", 400, ""),
            step(Check, Done, "7/7 variables, 1.4 GB free", 100, ""),
            step(Release, Done, "python manage.py migrate", 1_900, ""),
            step(Start, Done, "web 2/2, queue 1/1", 1_300, "GET / 200 in 48 ms"),
            step(Switch, Done, "acknowledged by the proxy", 4, ""),
            DeployEvent::Live(live()),
            step(Drain, Running, "v14: 1 in flight, GET /export 11 s of 30", 11_000, ""),
        ]
    }

    #[test]
    fn a_deploy_that_drains() {
        insta::assert_snapshot!(show(&mut view(Session::Deploy), &good(), 500), @r"
        shop → this machine   v14 → …
         ✓ build    environment unchanged, code 0.2 s       0.4 s   v15 · 8c1f2e9 +2 uncommitted
         ✓ check    7/7 variables, 1.4 GB free              0.1 s
         ✓ release  python manage.py migrate                1.9 s
         ✓ start    web 2/2, queue 1/1                      1.3 s   GET / 200 in 48 ms
         ✓ switch   acknowledged by the proxy               4 ms
        ~ ⠸ drain    v14: 1 in flight, GET /export 11 s of 30  11.5 s
        ~live after 4.1 s · 0 failed, 2 held ≤ 40 ms · undo: skep rollback shop
        ");
    }

    #[test]
    fn the_end_says_what_it_cost_and_how_to_undo_it() {
        let mut events = good();
        events.push(step(StepName::Drain, StepState::Done, "v14", 12_000, ""));
        events.push(DeployEvent::Live(LiveReport { cut: 1, failed: 1, ..live() }));
        events.push(DeployEvent::Ended {
            deploy: summary("deploy", Some(14), Some(15), "done"),
            failure: None,
        });
        let text = show(&mut view(Session::Deploy), &events, 0);
        let end: Vec<&str> = text.lines().rev().take(2).collect();
        insta::assert_snapshot!(end[1], @" ✓ drain    v14                                     12.0 s");
        insta::assert_snapshot!(
            end[0],
            @"live after 4.1 s · 1 failed, 2 held ≤ 40 ms, 1 cut at the drain limit · undo: skep rollback shop"
        );
    }

    #[test]
    fn output_is_shown_while_its_step_runs_and_cannot_drive_the_terminal() {
        insta::assert_snapshot!(show(&mut view(Session::Deploy), &good()[..3], 90), @r"
        shop → this machine   v14 → …
        ~ ⠸ build    copying                                 0.1 s
        ~   Collected ^[[2J42 packages
        ");
    }

    #[test]
    fn a_failed_start_leaves_its_cross() {
        let events = [
            DeployEvent::Begun { deploy: summary("deploy", None, None, "running") },
            DeployEvent::Notice { text: "not enforced (not root): own user".to_owned() },
            step(StepName::Release, StepState::Skipped, "no release command", 0, ""),
            step(
                StepName::Start,
                StepState::Failed,
                "web 0/2 after 20 s",
                20_000,
                "v14 still serves, nothing was switched",
            ),
            step(StepName::Undo, StepState::Running, "stopping web", 0, ""),
            DeployEvent::Ended {
                deploy: summary("deploy", None, Some(1), "failed"),
                failure: Some(Failure::new(Kind::Failed, "never ready")),
            },
        ];
        insta::assert_snapshot!(show(&mut view(Session::Deploy), &events, 0), @r"
        shop → this machine   first release
         ! not enforced (not root): own user
         · release  no release command
         ✗ start    web 0/2 after 20 s                      20.0 s  v14 still serves, nothing was switched
         ✗ undo     stopping web                            0 ms
        ");
    }

    #[test]
    fn no_number_is_claimed_that_no_release_gets() {
        let events = [
            DeployEvent::Begun { deploy: summary("deploy", Some(14), None, "running") },
            step(StepName::Build, StepState::Skipped, "no change since v14", 0, ""),
            DeployEvent::Ended {
                deploy: summary("deploy", Some(14), Some(14), "done"),
                failure: None,
            },
        ];
        insta::assert_snapshot!(show(&mut view(Session::Deploy), &events, 0), @r"
        shop → this machine   v14 → …
         · build    no change since v14
        shop: nothing had to change
        ");
    }

    #[test]
    fn what_stands_behind_a_long_text_is_apart_from_it() {
        let text = "`STRIPE_KEY` is not set for shop; web needs it";
        let failed = step(StepName::Check, StepState::Failed, text, 0, "");
        assert_eq!(
            show(&mut view(Session::Deploy), &[failed], 0),
            format!(" ✗ check    {text}  0 ms")
        );
    }

    #[test]
    fn what_is_stopped_already_is_told_once() {
        let events = [
            DeployEvent::Begun { deploy: summary("stop", Some(14), None, "running") },
            DeployEvent::Ended { deploy: summary("stop", Some(14), None, "done"), failure: None },
        ];
        insta::assert_snapshot!(show(&mut view(Session::Deploy), &events, 0), @r"
        shop → this machine   stop   v14
        shop: nothing runs that could be stopped
        ");
    }

    #[test]
    fn attaching_again_repeats_nothing() {
        let mut view = view(Session::Deploy);
        let first = show(&mut view, &good(), 0);
        let again: Vec<String> = good().iter().flat_map(|event| view.apply(event, 0)).collect();
        assert_eq!(again, Vec::<String>::new(), "after\n{first}");
    }

    #[test]
    fn a_foreground_session_says_where_it_is() {
        let events = [
            DeployEvent::Begun { deploy: summary("deploy", None, None, "running") },
            DeployEvent::Numbered { deploy: summary("deploy", None, Some(1), "running") },
            DeployEvent::Live(LiveReport { undo: None, ..live() }),
            DeployEvent::Ended { deploy: summary("deploy", None, Some(1), "done"), failure: None },
            DeployEvent::Ended { deploy: summary("stop", Some(1), None, "done"), failure: None },
        ];
        insta::assert_snapshot!(show(&mut view(Session::Foreground), &events, 0), @r"
        shop → this machine   first release
        shop v1 is at http://shop.localhost:8000 after 4.1 s   Ctrl-C stops it · edit, then `skep deploy`
        shop is down; releases, data and variables are kept
        ");
    }

    #[test]
    fn other_kinds_say_what_they_are() {
        let events = [
            DeployEvent::Begun { deploy: summary("stop", Some(14), None, "running") },
            step(StepName::Queue, StepState::Running, "behind d3", 0, ""),
            step(StepName::Drain, StepState::Done, "nothing in flight", 2, ""),
            DeployEvent::Live(live()),
            DeployEvent::Ended { deploy: summary("stop", Some(14), None, "done"), failure: None },
        ];
        insta::assert_snapshot!(show(&mut view(Session::Deploy), &events, 0), @r"
        shop → this machine   stop   v14
         ✓ drain    nothing in flight                       2 ms
        shop is stopped; releases, data and variables are kept · undo: skep start shop
        ");
    }
}
