//! From an intent to the servings it goes through.

use api::{StepName, StepState};
use report::{Failure, Kind};
use store::Txn;

use super::{Executor, listener};
use crate::error::DeployError;
use crate::node::{Node, now};
use crate::plan::{self, Allocate};
use crate::records::{End, Intent, Phase, ReleaseRecord, ReleaseState, Scale, Serving, key};

/// Ports that slots bind by themselves: outside the ephemeral range of Linux (32768–60999), so
/// that no outgoing connection takes one between two starts.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Gives out generations from the store and ports that nobody has.
pub(super) struct FromNode<'a> {
    pub(super) node: &'a Node,
    pub(super) taken: Vec<u16>,
}

impl<'a> FromNode<'a> {
    pub(super) fn new(node: &'a Node) -> Result<Self, DeployError> {
        let mut taken = Vec::new();
        for app in node.journal().apps()? {
            let deploy = node.journal().deploy(&app.name)?;
            let stages = deploy.iter().flat_map(|deploy| &deploy.stages);
            for serving in app.serving.iter().chain(stages) {
                let slots = serving.services.values().flat_map(|placement| &placement.slots);
                taken.extend(slots.filter_map(|(_, slot)| slot.port));
            }
        }
        Ok(Self { node, taken })
    }
}

/// Returns where the search for port number `count` of an installation begins: all ports in turn,
/// in an order of its own. Between the search and the process that binds the port nobody holds it,
/// so two installations of one machine must not try the same ones at the same time.
fn first_port(installation: &str, count: u64) -> u16 {
    let range = u64::from(PORTS.end - PORTS.start);
    let id = u64::from_str_radix(installation, 16).unwrap_or_default();
    // Without a common divisor with the range, so that every port has its turn.
    let step = (1..range).map(|more| id % range + more).find(|step| gcd(*step, range) == 1);
    let place = (id / range % range + count % range * step.unwrap_or(1)) % range;
    PORTS.start + place as u16
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Allocate for FromNode<'_> {
    type Error = DeployError;

    fn generation(&mut self) -> Result<u64, DeployError> {
        self.node.journal().count("generation")
    }

    fn port(&mut self) -> Result<u16, DeployError> {
        // Each search begins where a counter says, so that a port rests before it is used again:
        // connections of its last owner may still be ending.
        let count = self.node.journal().count("port")?;
        let start = first_port(&self.node.installation, count);
        let free = |port: &u16| {
            !self.taken.contains(port) && std::net::TcpListener::bind(("0.0.0.0", *port)).is_ok()
        };
        let found = (start..PORTS.end).chain(PORTS.start..start).find(free);
        let port = found.ok_or_else(|| {
            let text = format!("no port between {} and {} is free", PORTS.start, PORTS.end);
            DeployError::from(Failure::new(Kind::Temporary, text))
        })?;
        self.taken.push(port);
        Ok(port)
    }
}

impl Executor {
    /// Makes the release, where the intent asks for one, and the stages. Returns an end when there
    /// is nothing to do.
    pub(super) async fn make_target(&mut self) -> Result<Option<End>, DeployError> {
        match self.record.intent.clone() {
            Intent::Deploy { directory, force } => self.build(&directory, force).await,
            Intent::Rollback { to } => self.roll_back(to),
            Intent::Environment { version, names } => self.change_environment(version, &names),
            intent => {
                if let Intent::Start { .. } = intent {
                    self.open_again().await?;
                }
                self.rearrange(&intent)
            }
        }
    }

    /// Returns what serves, or why this cannot be done without.
    fn serving(&self) -> Result<Serving, DeployError> {
        let app = &self.record.app;
        self.record.from.clone().ok_or_else(|| {
            Failure::new(Kind::Usage, format!("{app} has no release yet"))
                .hint("skep deploy")
                .into()
        })
    }

    fn roll_back(&mut self, to: Option<u32>) -> Result<Option<End>, DeployError> {
        let serving = self.serving()?;
        let app = self.record.app.clone();
        let releases = self.node.journal().releases(&app)?;
        let current = self.node.journal().release(&app, serving.release)?;
        let target = rollback_target(&app, &releases, &current, to)?;
        if !target.artifact.directory.is_dir() {
            let text = format!("the files of {app} v{} are not kept any more", target.number);
            return Err(Failure::new(Kind::Failed, text)
                .hint(format!("skep releases {app} shows which are kept"))
                .into());
        }
        let kind = format!("rollback to v{}", target.number);
        let changed = changes(&self.node, &current, &target);
        let mut release = target.clone();
        release.kind = kind;
        release.changed = changed;
        self.feed.step(
            StepName::Build,
            StepState::Skipped,
            format!("v{} is here: nothing to build", target.number),
        );
        self.add_release(release)?;
        Ok(None)
    }

    fn change_environment(
        &mut self,
        version: u64,
        names: &[String],
    ) -> Result<Option<End>, DeployError> {
        let serving = self.serving()?;
        let current = self.node.journal().release(&self.record.app, serving.release)?;
        let mut release = current.clone();
        release.env_version = version;
        release.kind = "environment".to_owned();
        release.changed = names.iter().map(|name| format!("env {name}")).collect();
        let text = format!("code as in v{}", current.number);
        self.feed.step(StepName::Build, StepState::Skipped, text);
        self.add_release(release)?;
        Ok(None)
    }

    /// Writes a new release record and the stage that leads to it.
    pub(super) fn add_release(&mut self, mut release: ReleaseRecord) -> Result<(), DeployError> {
        let app = self.record.app.clone();
        let node = self.node.clone();
        let journal = node.journal();
        let scale = journal.scale(&app)?;
        // The record and the number are written in one transaction: a number is never given twice,
        // and none is missing.
        let number = journal.app(&app)?.map_or(0, |app| app.last_release) + 1;
        release.number = number;
        release.state = ReleaseState::Pending;
        release.failure = None;
        release.removed = false;
        release.who.clone_from(&self.record.who);
        release.at = now();
        let mut allocate = FromNode::new(&node)?;
        // Whoever deploys an app that is down wants it up; one service that was stopped by itself
        // stays so.
        let down = |serving: &&Serving| serving.services.values().all(|placed| placed.stopped);
        let before = self.record.from.as_ref().filter(|serving| !down(serving));
        let stage = plan::fresh(&release.app, number, &scale, before, &mut allocate)?;
        let (txn, _) = journal.with_app(Txn::new(), &app, |app| app.last_release = number)?;
        let txn = txn.put_json(key::release(&app, number), &release);
        self.advance_with(txn, |record| {
            record.phase = Phase::Check;
            record.release = Some(number);
            record.stages = vec![stage];
        })
    }

    /// Opens the app's address again: one that was removed and restored had to give it back, and
    /// somebody else may have it now.
    async fn open_again(&mut self) -> Result<(), DeployError> {
        let serving = self.serving()?;
        let known = self.node.journal().app(&self.record.app)?.and_then(|app| app.listener);
        if known.is_some() {
            let release = self.node.journal().release(&self.record.app, serving.release)?;
            listener::open(self, &release.app).await?;
        }
        Ok(())
    }

    /// Intents that change no release.
    fn rearrange(&mut self, intent: &Intent) -> Result<Option<End>, DeployError> {
        let serving = self.serving()?;
        let app = self.record.app.clone();
        let node = self.node.clone();
        let journal = node.journal();
        let model = journal.release(&app, serving.release)?.app;
        let mut scale = journal.scale(&app)?;
        let mut allocate = FromNode::new(&node)?;
        let known = |service: &str| match model.services.contains_key(service) {
            true => Ok(()),
            false => Err(unknown_service(&app, service, model.services.keys())),
        };
        let mut txn = Txn::new();
        let stages = match intent {
            Intent::Restart { service } => {
                service.as_deref().map_or(Ok(()), known)?;
                plan::restarted(&model, &serving, service.as_deref(), &mut allocate)?
            }
            Intent::Stop { service } => {
                service.as_deref().map_or(Ok(()), known)?;
                vec![plan::stopped(&serving, service.as_deref())]
            }
            Intent::Start { service } => {
                service.as_deref().map_or(Ok(()), known)?;
                vec![plan::started(&model, &serving, service.as_deref(), &scale, &mut allocate)?]
            }
            Intent::Scale { targets } => {
                for (service, slots) in targets {
                    known(service)?;
                    let (who, at) = (self.record.who.clone(), now());
                    let scaled = crate::records::Scaled { slots: *slots, who, at };
                    scale.services.insert(service.clone(), scaled);
                }
                check_scale(&model, &scale)?;
                // The wish is recorded with the stage: whoever resumes this sees both.
                txn = txn.put_json(key::scale(&app), &scale);
                vec![plan::scaled(&model, &serving, &scale, &mut allocate)?]
            }
            Intent::Deploy { .. } | Intent::Rollback { .. } | Intent::Environment { .. } => {
                return Ok(Some(End::Done));
            }
        };
        let stages: Vec<Serving> = stages
            .into_iter()
            .scan(serving.clone(), |before, stage| {
                let changed = *before != stage;
                *before = stage.clone();
                Some(changed.then_some(stage))
            })
            .flatten()
            .collect();
        if stages.is_empty() {
            if matches!(intent, Intent::Scale { .. }) {
                journal.commit(&txn)?;
            }
            self.feed.notice("nothing to do");
            return Ok(Some(End::Done));
        }
        let listener = journal.app(&app)?.and_then(|app| app.listener);
        self.advance_with(txn, |record| {
            record.phase = Phase::Start;
            record.stages = stages;
            record.listener = listener;
        })?;
        Ok(None)
    }

    /// Variables, addresses: everything that can be known to fail before something is started.
    pub(super) async fn check(&mut self) -> Result<(), DeployError> {
        self.feed.step(StepName::Check, StepState::Running, "");
        let release = self.release().ok_or_else(|| self.no_release())?;
        let app = &release.app;
        refuse_users(app)?;
        environment::generated::ensure(&self.node.store, &self.node.key, app, &now())?;
        let prepared = crate::spec::Prepared::read(&self.node, release.clone())?;
        for name in app.services.keys() {
            let slot = environment::Slot { number: 0, port: None, runtime: None };
            let purpose = environment::Purpose::Service { name, slot };
            prepared
                .environment(&self.node, purpose)
                .map_err(|error| error.failure(&std::collections::BTreeSet::new()))?;
        }
        let listener = listener::open(self, app).await?;
        let free = disk::free_bytes(&self.node.home.artifacts())?;
        let declared = app.env.len();
        let text = format!("{declared}/{declared} variables, {} free", size(free));
        // Kept even if this deploy fails: it was chosen, or asked for, once. What serves moves to it
        // with the switch.
        let mut txn = Txn::new();
        if self.record.from.is_none() {
            let app = self.record.app.clone();
            let keep = |app: &mut crate::records::AppRecord| app.listener.clone_from(&listener);
            (txn, _) = self.node.journal().with_app(txn, &app, keep)?;
        }
        self.advance_with(txn, |record| {
            record.phase = Phase::Release;
            record.listener = listener;
        })?;
        self.feed.step(StepName::Check, StepState::Done, text);
        Ok(())
    }

    pub(super) fn no_release(&self) -> DeployError {
        let number = self.record.release.unwrap_or_default();
        DeployError::NoRelease { app: self.record.app.clone(), number }
    }
}

/// Refuses `user`: a pushed repository must not choose whose files its processes may touch.
fn refuse_users(app: &app::model::App) -> Result<(), DeployError> {
    let Some((name, user)) =
        app.services.iter().find_map(|(name, service)| Some((name, service.user.as_ref()?)))
    else {
        return Ok(());
    };
    let text = format!("`{name}` wants to run as `{user}`, which is not supported yet");
    Err(Failure::new(Kind::Usage, text)
        .cause(
            "each app runs as a user of its own; which others it may be is for the operator to say",
        )
        .hint(format!("remove `user` from [services.{name}]"))
        .into())
}

fn size(bytes: u64) -> String {
    /// Bytes of a gigabyte.
    const GIGA: f64 = 1e9;
    format!("{:.1} GB", bytes as f64 / GIGA)
}

pub(super) fn unknown_service<'a>(
    app: &str,
    service: &str,
    known: impl Iterator<Item = &'a String> + Clone,
) -> DeployError {
    let meant = report::did_you_mean(service, known.clone().map(String::as_str));
    let names: Vec<&str> = known.map(String::as_str).collect();
    let failure = Failure::new(Kind::Usage, format!("{app} has no service `{service}`"));
    match meant {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint(format!("its services are: {}", names.join(", "))),
    }
    .into()
}

/// Most slots of one service on one node: beyond it a typo is likelier than a wish.
const MAX_SLOTS: u32 = 1000;

fn check_scale(app: &app::model::App, scale: &Scale) -> Result<(), DeployError> {
    for (name, scaled) in &scale.services {
        let fixed = app.services.get(name).is_some_and(|service| {
            matches!(service.listen, app::model::Listen::Fixed(_)) && scaled.slots > 1
        });
        if fixed {
            let text = format!("`{name}` binds one fixed port: it can have one slot only");
            return Err(Failure::new(Kind::Usage, text).into());
        }
        if scaled.slots > MAX_SLOTS {
            let text = format!("{name}={} is over the limit of {MAX_SLOTS}", scaled.slots);
            return Err(Failure::new(Kind::Usage, text).into());
        }
    }
    Ok(())
}

/// Picks what to roll back to: the release that was named, else the newest good one before the
/// current that differs from it.
pub(crate) fn rollback_target(
    app: &str,
    releases: &[ReleaseRecord],
    current: &ReleaseRecord,
    to: Option<u32>,
) -> Result<ReleaseRecord, DeployError> {
    if let Some(number) = to {
        let found = releases.iter().find(|release| release.number == number);
        let found = found.ok_or_else(|| DeployError::NoRelease { app: app.to_owned(), number })?;
        return match found.state {
            ReleaseState::Good => Ok(found.clone()),
            ReleaseState::Pending if found.number == current.number => Ok(found.clone()),
            ReleaseState::Pending | ReleaseState::Failed => {
                let text = format!("{app} v{number} never served well: it is no rollback target");
                Err(Failure::new(Kind::Usage, text).hint(format!("skep releases {app}")).into())
            }
        };
    }
    let differs = |release: &&ReleaseRecord| {
        release.number < current.number
            && release.state == ReleaseState::Good
            && !release.removed
            && (release.artifact.id != current.artifact.id
                || release.env_version != current.env_version
                || release.app != current.app)
    };
    releases.iter().rev().find(differs).cloned().ok_or_else(|| {
        Failure::new(Kind::Usage, format!("{app} has no earlier good release"))
            .hint(format!("skep releases {app}"))
            .into()
    })
}

/// Returns how two releases differ, for people.
pub(super) fn changes(node: &Node, old: &ReleaseRecord, new: &ReleaseRecord) -> Vec<String> {
    let mut changed = Vec::new();
    if old.artifact.id != new.artifact.id {
        let environment =
            |release: &ReleaseRecord| release.artifact.environment.as_ref().map(|layer| layer.id);
        if environment(old) != environment(new) {
            changed.push("packages".to_owned());
        }
        changed.push("code".to_owned());
    }
    if old.app.config_json() != new.app.config_json() {
        changed.push("app file".to_owned());
    }
    if old.env_version != new.env_version {
        let read =
            |version| environment::operator::read(&node.store, &node.key, &new.app.name, version);
        match (read(old.env_version), read(new.env_version)) {
            (Ok(before), Ok(after)) => {
                let names = before.differences(&after);
                changed.extend(names.keys().map(|name| format!("env {name}")));
            }
            _ => changed.push("env".to_owned()),
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_port_has_its_turn_in_an_order_of_the_installation() {
        let count = u64::from(PORTS.end - PORTS.start);
        for installation in ["39f39cbc539f", "000000000000", "ffffffffffff", "?"] {
            let all: BTreeSet<u16> = (1..=count).map(|n| first_port(installation, n)).collect();
            assert_eq!(all.len() as u64, count, "{installation}");
            assert!(all.iter().all(|port| PORTS.contains(port)));
        }
        let first = |installation| (1..=20).map(|n| first_port(installation, n)).collect();
        let (one, other): (BTreeSet<u16>, BTreeSet<u16>) =
            (first("39f39cbc539f"), first("3ae2cb74613b"));
        assert!(one.intersection(&other).count() < 3, "{one:?} {other:?}");
    }
}
