//! What a change would do, without doing it.
//!
//! The releases and servings are those that the executor would make ([`super::intended`]), and the
//! slots are told by [`Roll::between`], which it goes by; nothing is written, counted or started.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use api::{
    DeployKind, DeployRequest, EnvChange, PlanLine, PlanReply, PlannedService, PlannedVariable,
    StepName, VariableChange,
};
use app::model::{App, Listen};
use environment::operator::{self, Change, Difference};
use release::{Builder, Cancel};
use report::{Failure, Kind, Secret};

use super::allocate::Imagined;
use super::artifact::{START, Standing, identity, standing};
use super::intended::{self, Target};
use super::listener;
use crate::error::DeployError;
use crate::node::{Node, now};
use crate::plan::{PlannedSlot, Roll};
use crate::records::{AppRecord, Intent, Serving};

/// Returns what a request would do. Reads the source and runs git and the interpreter where that
/// is a directory; blocks.
pub fn plan_of(node: &Node, request: &DeployRequest) -> Result<PlanReply, DeployError> {
    if let DeployKind::Deploy { directory, force } = &request.kind {
        return deploy(node, request, Path::new(directory), *force);
    }
    let name = request.app.as_deref().unwrap_or_default();
    let record = node.journal().app(name)?.unwrap_or_default();
    if let DeployKind::Environment { changes, stage } = &request.kind {
        return variables(node, request, name, &record, changes, *stage);
    }
    let Some(intent) = Intent::asked(&request.kind) else {
        return Err(Failure::new(Kind::Internal, "a request without an intent").into());
    };
    let serving = intended::serving(name, record.serving.as_ref())?;
    let mut plan = Preview::of(node, name, &record);
    if let Intent::Start { .. } = intent {
        let release = node.journal().release(name, serving.release)?;
        listener::check_claims(node, &release.app, record.listener.as_deref())?;
    }
    plan.intent(serving, &intent, &request.who)?;
    Ok(plan.reply)
}

fn deploy(
    node: &Node,
    request: &DeployRequest,
    source: &Path,
    force: bool,
) -> Result<PlanReply, DeployError> {
    let app = app::load(source).map_err(Failure::from)?;
    let journal = node.journal();
    let record = journal.app(&app.name)?.unwrap_or_default();
    let asked = request.listen.as_deref().map(listener::parse).transpose()?;
    let asked = asked.map(|address| address.to_string());
    let listener = asked.clone().or_else(|| record.listener.clone());
    let head = operator::head(&node.store, &app.name)?;
    let set = operator::read(&node.store, &node.key, &app.name, head.current)?;
    intended::foresee(node, &app, &set, request.shell.names())?;
    listener::check_claims(node, &app, listener.as_deref())?;
    let identity = identity(node, &app.name)?;
    let builder = Builder::new(&node.home, &app, source, identity, &request.build_environment);
    let cancel = Cancel::new()
        .map_err(|error| DeployError::from(Failure::from_error(Kind::Temporary, &error)))?;
    let planned = builder.plan(&cancel).map_err(|error| DeployError::from(Failure::from(error)))?;

    let mut plan = Preview::of(node, &app.name, &record);
    plan.reply.build_environment.clone_from(&planned.passed_variables);
    if let (Some(from), false) = (&record.serving, force) {
        let current = journal.release(&app.name, from.release)?;
        match standing(node, from, &current, &app, &planned, asked.as_deref())? {
            Standing::Differs => {}
            Standing::Serves => return Ok(plan.reply),
            Standing::Down => {
                let text = format!("no change since v{}; it is started", current.number);
                plan.say(StepName::Build, text);
                plan.intent(from, &START, &request.who)?;
                return Ok(plan.reply);
            }
        }
    }
    for line in &planned.lines {
        plan.say(StepName::Build, line.clone());
    }
    if let Some(command) = &app.release.command {
        plan.say(StepName::Release, command.text.clone());
    }
    plan.listener = listener.or_else(|| Some("an address that is chosen then".to_owned()));
    plan.release(&app, record.serving.as_ref())?;
    Ok(plan.reply)
}

fn variables(
    node: &Node,
    request: &DeployRequest,
    name: &str,
    record: &AppRecord,
    changes: &[EnvChange],
    stage: bool,
) -> Result<PlanReply, DeployError> {
    let mut plan = Preview::of(node, name, record);
    let changes: Vec<Change> = changes
        .iter()
        .map(|EnvChange { name, value }| Change {
            name: name.clone(),
            value: value.clone().map(Secret::new),
        })
        .collect();
    let head = operator::head(&node.store, name)?;
    let (store, key, who) = (&node.store, &node.key, request.who.as_str());
    let sketch = operator::sketch(store, key, name, head.current, &changes, (who, &now()))?;
    if sketch.differences.is_empty() {
        return Ok(plan.reply);
    }
    for (name, difference) in &sketch.differences {
        let (change, word) = match difference {
            Difference::Added => (VariableChange::Set, "is set"),
            Difference::Changed => (VariableChange::Changed, "gets another value"),
            Difference::Removed => (VariableChange::Unset, "is unset"),
        };
        plan.say(StepName::Check, format!("{name} {word}"));
        plan.reply.variables.push(PlannedVariable { name: name.clone(), change });
    }
    let (Some(serving), false) = (&record.serving, stage) else {
        plan.say(StepName::Check, "stored; it takes effect with the next release".to_owned());
        return Ok(plan.reply);
    };
    let current = node.journal().release(name, serving.release)?;
    intended::foresee(node, &current.app, &sketch.variables, request.shell.names())?;
    let names = sketch.differences.into_keys().collect();
    // Its number is given when it is written.
    let intent = Intent::Environment { version: sketch.version, names };
    plan.intent(serving, &intent, who)?;
    Ok(plan.reply)
}

/// A plan that is being written.
struct Preview<'a> {
    node: &'a Node,
    listener: Option<String>,
    reply: PlanReply,
}

impl<'a> Preview<'a> {
    /// Returns the plan of no change at all.
    fn of(node: &'a Node, app: &str, record: &AppRecord) -> Self {
        let reply = PlanReply {
            app: app.to_owned(),
            from: record.serving.as_ref().map(|serving| serving.release),
            to: None,
            changes: false,
            lines: Vec::new(),
            services: Vec::new(),
            variables: Vec::new(),
            build_environment: Vec::new(),
        };
        Self { node, listener: record.listener.clone(), reply }
    }

    /// Adds a line; whatever has one is a change.
    fn say(&mut self, step: StepName, text: String) {
        self.reply.lines.push(PlanLine { step, text });
        self.reply.changes = true;
    }

    /// Adds what an intent leads to.
    fn intent(&mut self, serving: &Serving, intent: &Intent, who: &str) -> Result<(), DeployError> {
        let name = self.reply.app.clone();
        let target =
            intended::of(self.node, &name, serving, intent, who, &mut Imagined::default())?;
        match target {
            Target::Release { release, about } => {
                self.say(StepName::Build, about);
                for change in release.changed.iter().filter(|_| self.reply.variables.is_empty()) {
                    let text = format!("changes {change}");
                    self.reply.lines.push(PlanLine { step: StepName::Check, text });
                }
                self.release(&release.app, Some(serving))
            }
            Target::Slots { stages, .. } => {
                let app = self.node.journal().release(&name, serving.release)?.app;
                self.slots(&app, Some(serving), &stages)
            }
        }
    }

    /// Adds what a new release of `app` leads to.
    fn release(&mut self, app: &App, from: Option<&Serving>) -> Result<(), DeployError> {
        let journal = self.node.journal();
        let number = intended::next_number(journal, &app.name)?;
        let stage = intended::stage(journal, app, number, from, &mut Imagined::default())?;
        self.reply.to = Some(number);
        self.reply.changes = true;
        self.slots(app, from, &[stage])?;
        let started = self.reply.services.iter().any(|service| service.started > 0);
        if started && from.is_some() && app.deploy.watch_ms > 0 {
            let text = format!("{}; a crash loop swaps back", seconds(app.deploy.watch_ms));
            self.say(StepName::Watch, text);
        }
        Ok(())
    }

    /// Adds what happens to slots on the way from `from` through `stages`, whose last one is of
    /// `app`.
    fn slots(
        &mut self,
        app: &App,
        from: Option<&Serving>,
        stages: &[Serving],
    ) -> Result<(), DeployError> {
        let Some(last) = stages.last() else { return Ok(()) };
        let mut files = BTreeMap::from([(last.release, app.clone())]);
        let slots = from.iter().flat_map(|serving| serving.services.values());
        let slots = slots.flat_map(|placed| placed.slots.values()).map(|slot| slot.release);
        for number in from.iter().map(|serving| serving.release).chain(slots) {
            if let Entry::Vacant(vacant) = files.entry(number) {
                vacant.insert(self.node.journal().release(&app.name, number)?.app);
            }
        }
        let mut services: BTreeMap<String, PlannedService> = BTreeMap::new();
        let mut before = from;
        for stage in stages {
            let old = before.and_then(|before| files.get(&before.release));
            count(&mut services, &Roll::between(before, stage, old, app), before, &files);
            before = Some(stage);
        }
        let one_by_one = stages.len() > 1;
        for planned in services.values() {
            let now_runs = from.is_some_and(|from| runs(from, &planned.service));
            let text = started(planned, now_runs, one_by_one);
            let how = app.services.get(&planned.service).filter(|_| self.reply.to.is_some());
            match (text.is_empty(), how) {
                (true, _) => {}
                (false, Some(service)) => {
                    let how = service.listen_reason();
                    self.say(StepName::Start, format!("{}: {text}; {how}", planned.service));
                }
                (false, None) => self.say(StepName::Start, format!("{}: {text}", planned.service)),
            }
        }
        if services.is_empty() {
            self.say(StepName::Start, "no slot is started or stopped now".to_owned());
        }
        let listens = |name: &String| {
            let found = files.values().filter_map(|file| file.services.get(name));
            found.into_iter().any(|service| service.listen != Listen::None)
        };
        if let (Some(address), true) = (self.listener.clone(), services.keys().any(listens)) {
            self.say(StepName::Switch, format!("routes on {address}"));
        }
        for planned in services.values().filter(|planned| planned.retired + planned.replaced > 0) {
            let slots = of_slots(planned.retired + planned.replaced, "old slot");
            let text = match planned.drain_ms {
                Some(limit) => {
                    let limit = seconds(limit);
                    format!("{}: {slots}, requests have up to {limit} to end", planned.service)
                }
                None => format!("{}: {slots}, no requests to wait for", planned.service),
            };
            self.say(StepName::Drain, text);
        }
        self.reply.services = services.into_values().collect();
        Ok(())
    }
}

/// Adds one stage to the services' numbers.
fn count(
    services: &mut BTreeMap<String, PlannedService>,
    roll: &Roll,
    before: Option<&Serving>,
    files: &BTreeMap<u32, App>,
) {
    let mut of = |slot: &PlannedSlot, goes: bool, change: fn(&mut PlannedService)| {
        let service = slot.service.clone();
        let planned = services
            .entry(service.clone())
            .or_insert_with(|| PlannedService { service, ..PlannedService::default() });
        change(planned);
        let placed = before.and_then(|before| before.services.get(&slot.service));
        let placed = placed.and_then(|placed| placed.slots.get(&slot.number)).filter(|_| goes);
        let file = placed.and_then(|placed| files.get(&placed.release));
        let old = file.and_then(|file| file.services.get(&slot.service));
        let limit = old.filter(|old| old.listen != Listen::None).map(|old| old.drain_ms);
        planned.drain_ms = planned.drain_ms.max(limit);
    };
    for slot in roll.waves.iter().flatten() {
        of(slot, false, |planned| planned.started += 1);
    }
    for pair in &roll.replaced {
        match pair {
            (Some(old), Some(_)) => of(old, true, |planned| planned.replaced += 1),
            (Some(old), None) => of(old, true, |planned| planned.retired += 1),
            (None, Some(new)) => of(new, false, |planned| planned.started += 1),
            (None, None) => {}
        }
    }
    for slot in &roll.retired {
        of(slot, true, |planned| planned.retired += 1);
    }
}

fn runs(serving: &Serving, service: &str) -> bool {
    serving.services.get(service).is_some_and(|placed| !placed.stopped && !placed.slots.is_empty())
}

/// Returns how slots of a service are started; empty if none is.
fn started(planned: &PlannedService, now_runs: bool, one_by_one: bool) -> String {
    let mut parts = Vec::new();
    if planned.started > 0 {
        let beside = match (now_runs, planned.retired) {
            (false, _) => "",
            (true, 0) => " beside what runs",
            (true, _) => " beside the old",
        };
        parts.push(format!("{}{beside}", of_slots(planned.started, "new slot")));
    }
    if planned.replaced > 0 {
        let slots = of_slots(planned.replaced, "slot");
        parts.push(format!("{slots} replaced, the old stopped first"));
    }
    if one_by_one && planned.started + planned.replaced > 1 {
        parts.push("one at a time".to_owned());
    }
    parts.join(", ")
}

fn of_slots(count: u32, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

fn seconds(milliseconds: u64) -> String {
    format!("{} s", std::time::Duration::from_millis(milliseconds).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;
    use crate::records::Scale;

    fn shop() -> App {
        let text = "app = \"shop\"\n\
            [services.web]\ncommand = \"gunicorn shop:app\"\nprocesses = 2\n\
            [services.queue]\ncommand = \"celery -A shop worker\"\n";
        app::parse("skep.toml", text, &app::Layout::new("shop")).expect("the test's app file")
    }

    fn counted(
        from: Option<&Serving>,
        to: &Serving,
        file: &App,
    ) -> BTreeMap<String, PlannedService> {
        let mut services = BTreeMap::new();
        let files = BTreeMap::from([(1, file.clone())]);
        count(&mut services, &Roll::between(from, to, Some(file), file), from, &files);
        services
    }

    #[test]
    fn what_is_counted_is_what_the_roll_says() {
        let app = shop();
        let mut allocate = Imagined::default();
        let scale = Scale::default();
        let first = plan::fresh(&app, 1, &scale, None, &mut allocate).unwrap();
        let services = counted(None, &first, &app);
        assert_eq!(services["web"].started, 2);
        assert_eq!(started(&services["web"], false, false), "2 new slots");
        assert_eq!(services["web"].drain_ms, None, "none goes");

        let second = plan::fresh(&app, 2, &scale, Some(&first), &mut allocate).unwrap();
        let services = counted(Some(&first), &second, &app);
        assert_eq!((services["web"].started, services["web"].retired), (2, 2));
        assert_eq!(services["web"].drain_ms, Some(30_000));
        assert_eq!((services["queue"].replaced, services["queue"].drain_ms), (1, None));
        assert_eq!(started(&services["web"], true, false), "2 new slots beside the old");
        assert_eq!(
            started(&services["queue"], true, false),
            "1 slot replaced, the old stopped first"
        );
        assert!(counted(Some(&second), &second, &app).is_empty());

        let down = plan::stopped(&first, None);
        let services = counted(Some(&first), &down, &app);
        assert_eq!((services["web"].retired, services["queue"].retired), (2, 1));
        assert_eq!(started(&services["web"], true, false), "");
    }
}
