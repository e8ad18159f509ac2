//! Removing an app, with a way back.
//!
//! `app:remove` cancels what is going on with the app or waits, stops it, moves its files to
//! `archives/APP-TIME/` and writes everything the store knew of it beside them (`records.json`;
//! variables as sealed as they were). Moving is one rename a directory, so that an archive takes no
//! space that was not taken before.

use std::path::{Path, PathBuf};

use api::Removal;
use deploy::DeployError;
use deploy::executor;
use deploy::records::{AppRecord, Intent, key};
use report::{Failure, Kind};
use serde::{Deserialize, Serialize};
use store::Txn;

use crate::state::Agent;

/// What `records.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Archive {
    version: u32,
    app: String,
    /// Key → value, both as the store has them; values are UTF-8 or a list of bytes.
    records: Vec<(String, Vec<u8>)>,
}

/// The version of archives that this build writes and reads.
const ARCHIVE_VERSION: u32 = 1;

/// Largest `records.json`: some thousand releases.
const MAX_RECORDS_BYTES: u64 = 256 << 20;

impl Agent {
    /// Returns what removing an app would take.
    pub(crate) fn removal_plan(&self, app: &AppRecord) -> Result<Removal, Failure> {
        let rows = self.processes(app);
        let running = rows.iter().filter(|row| row.pid.is_some()).count();
        let releases = self.node().journal().releases(&app.name)?.len();
        let archive = self.archive_directory(&app.name);
        let home = &self.node().home;
        let waiting = self.inner.registry.with(&app.name, |queue| queue.waiting.len());
        let going_on = self.inner.registry.running(&app.name);
        let mut lines = Vec::new();
        if let Some(id) = going_on {
            lines.push(format!("cancel deploy {id}, or wait for its end"));
        }
        if waiting > 0 {
            lines.push(format!("cancel {waiting} requests that wait"));
        }
        lines.push(format!("stop {running} slots"));
        if let Some(listener) = &app.listener {
            lines.push(format!("close its routes on {listener}"));
        }
        for path in moved(home, &app.name) {
            lines.push(format!("move {} to {}", path.display(), archive.display()));
        }
        lines.push("delete its logs".to_owned());
        lines.push(format!("archive {releases} releases, its variables and its scale"));
        Ok(Removal {
            app: app.name.clone(),
            lines,
            archive: Some(archive.display().to_string()),
            undo: Some(format!("skep app:restore {}", archive.display())),
        })
    }

    fn archive_directory(&self, app: &str) -> PathBuf {
        let stamp: String =
            deploy::node::now().chars().filter(char::is_ascii_digit).take(14).collect();
        self.node().home.archives().join(format!("{app}-{stamp}"))
    }

    /// Removes an app: stopped, drained, archived. Nothing else is taken on for it meanwhile.
    pub(crate) async fn remove(&self, app: AppRecord, who: &str) -> Result<Removal, Failure> {
        let name = app.name;
        let stop = format!("d{}", self.node().journal().count("deploy")?);
        let closed = Closed::of(self, &name, &stop)?;
        self.clear(&name).await?;
        // What was going on may have changed it.
        let app = self.app(&name)?;
        let removal = self.removal_plan(&app)?;
        self.stop_and_wait(&app, stop, who).await?;
        let node = self.node();
        node.router
            .set_app(&name, routing::Section::default())
            .await
            .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
        let nothing = AppRecord { name: name.clone(), ..AppRecord::default() };
        executor::remove_unclaimed(node, &nothing).await?;
        executor::end_shims(node, &name).await?;
        let archive = PathBuf::from(removal.archive.clone().unwrap_or_default());
        self.archive(&name, &archive)?;
        executor::close_unused_listeners(node, None).await;
        for handle in node.supervisor.services() {
            if handle.name().app() == name {
                let directory = node.home.shim(&handle.name().file_name());
                node.supervisor.forget(handle.name());
                disk::remove_tree(&directory)
                    .map_err(|error| Failure::from_error(Kind::Leftovers, &error))?;
            }
        }
        drop(closed);
        self.is_gone(&name);
        Ok(removal)
    }

    async fn stop_and_wait(&self, app: &AppRecord, id: String, who: &str) -> Result<(), Failure> {
        if app.serving.is_none() {
            return Ok(());
        }
        let record = self.record(id.clone(), &app.name, Intent::Stop { service: None }, who);
        self.enqueue(record, &deploy::Caller::default())?;
        self.inner.registry.over(&app.name, &id).await;
        let ended = self.node().journal().ended(&id)?;
        match ended.and_then(|record| record.end) {
            Some(deploy::records::End::Done) => Ok(()),
            Some(deploy::records::End::Failed(failure)) => Err(*failure),
            _ => Err(Failure::new(Kind::Failed, format!("{} could not be stopped", app.name))),
        }
    }

    fn archive(&self, app: &str, archive: &Path) -> Result<(), Failure> {
        let failed = |error: disk::DiskError| Failure::from_error(Kind::Failed, &error);
        let node = self.node();
        disk::create_directory(archive, 0o700).map_err(failed)?;
        let prefix = key::everything(app);
        let mut entries = node.store.range(&prefix).map_err(DeployError::from)?;
        entries.extend(node.store.get(&key::app(app)).map_err(DeployError::from)?);
        let records = Archive {
            version: ARCHIVE_VERSION,
            app: app.to_owned(),
            records: entries.into_iter().map(|entry| (entry.key, entry.value)).collect(),
        };
        let text = serde_json::to_vec(&records)
            .map_err(|error| Failure::from_error(Kind::Internal, &error))?;
        disk::write_atomically(&archive.join("records.json"), &text, 0o600).map_err(failed)?;
        for path in moved(&node.home, app) {
            let target = archive.join(label(&node.home, &path));
            std::fs::rename(&path, &target)
                .map_err(|error| failed(disk::DiskError::new("archive", &path, error)))?;
        }
        let gone = Txn::new()
            .delete_prefix(prefix)
            .delete_prefix(key::waiting_of(app))
            .delete_prefix(key::callers_of(app))
            .delete(key::deploy(app))
            .delete(key::app(app));
        node.journal().commit(&gone)?;
        Ok(())
    }

    /// Brings an archived app back, stopped.
    pub(crate) fn restore(&self, archive: &Path) -> Result<String, Failure> {
        let failed = |error: disk::DiskError| Failure::from_error(Kind::Failed, &error);
        let bytes = disk::read_limited(&archive.join("records.json"), MAX_RECORDS_BYTES).map_err(
            |error| {
                Failure::from_error(Kind::Usage, &error)
                    .hint("name a directory below the home's `archives`")
            },
        )?;
        let records: Archive = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::from_error(Kind::Usage, &error))?;
        if records.version != ARCHIVE_VERSION {
            let text = format!("the archive has version {}", records.version);
            return Err(Failure::new(Kind::Usage, text));
        }
        let node = self.node();
        let app = records.app;
        // The name becomes a path below; an archive could have been edited.
        control::ServiceName::new(&app, "x")
            .map_err(|error| Failure::from_error(Kind::Usage, &error))?;
        if app == app::RESERVED_APP {
            return Err(Failure::new(Kind::Usage, format!("`{app}` is no app of a user's")));
        }
        if node.journal().app(&app)?.is_some() {
            return Err(Failure::new(Kind::Exists, format!("there is an app `{app}` already"))
                .hint(format!("skep app:remove {app}")));
        }
        // The first deploy of an app comes before the app's record.
        if node.journal().deploying()?.contains(&app) {
            return Err(Failure::new(Kind::Locked, format!("a deploy of {app} is going on"))
                .hint("wait for its end, or cancel it with Ctrl-C where it was started"));
        }
        for path in [node.home.app(&app), node.home.app_artifacts(&app)] {
            let source = archive.join(label(&node.home, &path));
            if source.is_dir() {
                std::fs::rename(&source, &path)
                    .map_err(|error| failed(disk::DiskError::new("restore", &path, error)))?;
            }
        }
        let prefix = key::everything(&app);
        // In pieces: a transaction has a size. The app's own record comes last and makes it exist.
        let own = key::app(&app);
        let (last, rest): (Vec<_>, Vec<_>) = records
            .records
            .into_iter()
            .filter(|(key, _)| key.starts_with(&prefix) || *key == own)
            .partition(|(key, _)| *key == own);
        for (key, value) in rest.into_iter().chain(last) {
            node.store.put(&key, value).map_err(DeployError::from)?;
        }
        self.give_up_taken_address(&app)?;
        let removed = disk::remove_file(&archive.join("records.json"));
        removed.map_err(failed)?;
        let _ = std::fs::remove_dir(archive);
        Ok(app)
    }
}

/// An app that is being removed: as long as this lives, nothing is taken on for it but its stop.
struct Closed {
    agent: Agent,
    app: String,
}

impl Closed {
    fn of(agent: &Agent, app: &str, stop: &str) -> Result<Self, Failure> {
        agent.inner.registry.with(app, |queue| {
            if queue.removed_by.is_some() {
                return Err(Failure::new(Kind::Locked, format!("{app} is being removed already")));
            }
            queue.removed_by = Some(stop.to_owned());
            Ok(())
        })?;
        Ok(Self { agent: agent.clone(), app: app.to_owned() })
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.agent.inner.registry.with(&self.app, |queue| queue.removed_by = None);
    }
}

impl Agent {
    /// Takes its address from a restored app if somebody else has it now: the next deploy chooses.
    fn give_up_taken_address(&self, app: &str) -> Result<(), Failure> {
        let node = self.node();
        let Some(record) = node.journal().app(app)? else { return Ok(()) };
        let Some(serving) = &record.serving else { return Ok(()) };
        let release = node.journal().release(app, serving.release)?;
        if executor::check_claims(node, &release.app, record.listener.as_deref()).is_err() {
            node.journal().change_app(app, |record| record.listener = None)?;
        }
        Ok(())
    }
}

/// Returns the directories of an app.
fn moved(home: &home::Home, app: &str) -> Vec<PathBuf> {
    let all = [home.app(app), home.app_artifacts(app)];
    all.into_iter().filter(|path| path.is_dir()).collect()
}

/// Returns what a directory is called in an archive.
fn label(home: &home::Home, path: &Path) -> &'static str {
    if path.starts_with(home.artifacts()) { "artifacts" } else { "app" }
}
