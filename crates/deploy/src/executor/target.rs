//! From an intent to the servings it goes through, and what is looked at before they begin.

use api::{DeployEvent, StepName, StepState};
use store::Txn;

use super::allocate::FromNode;
use super::intended::{self, Target};
use super::{Executor, listener};
use crate::error::DeployError;
use crate::node::now;
use crate::records::{End, Intent, Phase, ReleaseRecord, ReleaseState, key};

impl Executor {
    /// Makes the release, where the intent asks for one, and the stages. Returns an end when there
    /// is nothing to do.
    pub(super) async fn make_target(&mut self) -> Result<Option<End>, DeployError> {
        match self.record.intent.clone() {
            Intent::Deploy { directory, force } => self.build(&directory, force).await,
            intent => self.go(&intent).await,
        }
    }

    /// Takes on what an intent that builds nothing leads to, also where a deploy turns out to be one.
    pub(super) async fn go(&mut self, intent: &Intent) -> Result<Option<End>, DeployError> {
        if let Intent::Start { .. } = intent {
            self.open_again().await?;
        }
        self.aim_at(intent)
    }

    fn aim_at(&mut self, intent: &Intent) -> Result<Option<End>, DeployError> {
        let (app, who) = (self.record.app.clone(), self.record.who.clone());
        let node = self.node.clone();
        let journal = node.journal();
        let serving = intended::serving(&app, self.record.from.as_ref())?;
        let target = intended::of(&node, &app, serving, intent, &who, &mut FromNode::new(&node)?)?;
        let (stages, scale) = match target {
            Target::Release { release, about } => {
                self.add_release(*release)?;
                self.feed.step(StepName::Build, StepState::Skipped, about);
                return Ok(None);
            }
            Target::Slots { stages, scale } => (stages, scale),
        };
        // The wish is recorded with the stage: whoever resumes this sees both.
        let txn = match &scale {
            Some(scale) => Txn::new().put_json(key::scale(&app), scale),
            None => Txn::new(),
        };
        if stages.is_empty() {
            if scale.is_some() {
                journal.commit(&txn)?;
            }
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

    /// Writes a new release record and the stage that leads to it, and tells the number.
    pub(super) fn add_release(&mut self, mut release: ReleaseRecord) -> Result<(), DeployError> {
        let app = self.record.app.clone();
        let node = self.node.clone();
        let journal = node.journal();
        // The record and the number are written in one transaction: a number is never given twice,
        // and none is missing.
        let number = intended::next_number(journal, &app)?;
        release.number = number;
        release.state = ReleaseState::Pending;
        release.failure = None;
        release.removed = false;
        release.who.clone_from(&self.record.who);
        release.at = now();
        let before = self.record.from.as_ref();
        let stage =
            intended::stage(journal, &release.app, number, before, &mut FromNode::new(&node)?)?;
        let (txn, _) = journal.with_app(Txn::new(), &app, |app| app.last_release = number)?;
        let txn = txn.put_json(key::release(&app, number), &release);
        self.advance_with(txn, |record| {
            record.phase = Phase::Check;
            record.release = Some(number);
            record.stages = vec![stage];
        })?;
        self.feed.push(DeployEvent::Numbered { deploy: self.summary("running") });
        Ok(())
    }

    /// Opens the app's address again: one that was removed and restored had to give it back, and
    /// somebody else may have it now.
    async fn open_again(&mut self) -> Result<(), DeployError> {
        let serving = intended::serving(&self.record.app, self.record.from.as_ref())?;
        let known = self.node.journal().app(&self.record.app)?.and_then(|app| app.listener);
        if known.is_some() {
            let release = self.node.journal().release(&self.record.app, serving.release)?;
            listener::open(self, &release.app).await?;
        }
        Ok(())
    }

    /// Variables, addresses: everything that can be known to fail before something is started.
    pub(super) async fn check(&mut self) -> Result<(), DeployError> {
        self.feed.step(StepName::Check, StepState::Running, "");
        let release = self.release().ok_or_else(|| self.no_release())?;
        let app = &release.app;
        intended::refuse_users(app)?;
        environment::generated::ensure(&self.node.store, &self.node.key, app, &now())?;
        let prepared = crate::spec::Prepared::read(&self.node, release.clone())?;
        for name in app.services.keys() {
            let slot = environment::Slot { number: 0, port: None, runtime: None };
            let purpose = environment::Purpose::Service { name, slot };
            prepared
                .environment(&self.node, purpose)
                .map_err(|error| error.failure(self.caller.shell.names()))?;
        }
        let node = self.node.clone();
        let _claiming = node.claiming.lock().await;
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

fn size(bytes: u64) -> String {
    /// Bytes of a gigabyte.
    const GIGA: f64 = 1e9;
    format!("{:.1} GB", bytes as f64 / GIGA)
}
