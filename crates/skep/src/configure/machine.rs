//! What recipes read of this machine: attributes, facts, data bags, and from the agent an app's
//! variables and services.

use std::future::Future;

use api::{EnvList, ProcessRow, SlotPhase, path};
use cookbook::{Attributes, DataBags};
use home::{Home, HomeError};
use recipe::{Cause, LookupError, Node};
use report::{Failure, Kind, Secret};
use resource::Value;

use super::facts;
use crate::client::{Client, start, target};
use crate::error::{Error, Result};
use crate::output::{Format, Loudness, Output};

/// This machine, as recipes see it.
pub(super) struct Machine {
    attributes: Attributes,
    bags: DataBags,
    home: Home,
}

impl Machine {
    /// Returns this machine with these attributes and data bags.
    pub(super) fn new(attributes: Attributes, bags: DataBags, home: Home) -> Self {
        Self { attributes, bags, home }
    }

    /// Asks the agent; `None` where nothing was ever installed, so that nothing can be there.
    fn ask<T, F>(&self, question: impl FnOnce(Client) -> F) -> Result<Option<T>, LookupError>
    where
        F: Future<Output = Result<T>>,
    {
        match self.home.open() {
            Err(HomeError::Missing(_)) => return Ok(None),
            Err(error) => return Err(failed(Failure::from(error))),
            Ok(_) => {}
        }
        let output = Output::new(Format::Text, Loudness::Quiet);
        let client = start::connect(&self.home, &output).map_err(said)?;
        // Recipes are evaluated on a thread of their own, where no event loop runs.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| LookupError {
            cause: Cause::Internal,
            message: format!("failed to start an event loop: {error}"),
            hints: Vec::new(),
        })?;
        runtime.block_on(question(client)).map(Some).map_err(said)
    }
}

fn failed(failure: Failure) -> LookupError {
    let causes = failure.causes.iter().map(|cause| format!(": {cause}"));
    let place = failure.excerpts.first().map(|excerpt| {
        let at = excerpt.position;
        format!(": {}:{}:{}: {}", excerpt.file, at.line, at.column, excerpt.label)
    });
    let message =
        format!("{}{}{}", failure.message, causes.collect::<String>(), place.unwrap_or_default());
    let cause = match failure.kind {
        Kind::Usage => Cause::Invalid,
        Kind::Internal => Cause::Internal,
        _ => Cause::Unavailable,
    };
    LookupError { cause, message, hints: failure.hints }
}

fn said(error: Error) -> LookupError {
    match error {
        Error::Failure(failure) => failed(*failure),
        Error::ReaderGone => LookupError {
            cause: Cause::Unavailable,
            message: "the agent is gone".to_owned(),
            hints: Vec::new(),
        },
    }
}

impl Node for Machine {
    fn attributes(&self) -> &Value {
        self.attributes.merged()
    }

    fn fact(&self, name: &str) -> Result<Option<Value>, LookupError> {
        Ok(facts::fact(name))
    }

    fn facts(&self) -> Vec<String> {
        facts::names()
    }

    fn data_bag_item(&self, bag: &str, id: &str) -> Result<Option<Value>, LookupError> {
        self.bags.item(bag, id).map_err(|error| failed(Failure::from(error)))
    }

    fn data_bag_ids(&self, bag: &str) -> Vec<String> {
        self.bags.ids(bag)
    }

    fn data_bags(&self) -> Vec<String> {
        self.bags.names()
    }

    fn env_of(&self, app: &str, key: &str) -> Result<Option<Secret>, LookupError> {
        let at = target(path::ENVIRONMENT, &[("app", app)], &[("reveal", Some("true"))]);
        let list = self.ask(|client| async move { client.get::<EnvList>(&at).await })?;
        let mut entries = list.into_iter().flat_map(|list| list.entries);
        let entry = entries.find(|entry| entry.name == key);
        Ok(entry.and_then(|entry| entry.value).map(Secret::new))
    }

    fn services(&self, service: &str) -> Result<Vec<Value>, LookupError> {
        let rows =
            self.ask(|client| async move { client.get::<Vec<ProcessRow>>(path::PROCESSES).await })?;
        let ready = rows
            .unwrap_or_default()
            .into_iter()
            .filter(|row| row.service == service && matches!(row.phase, SlotPhase::Ready));
        let node = facts::fact("hostname").unwrap_or_default();
        let endpoints = ready.map(|row| {
            let (app, name) = service.split_once('/').unwrap_or((service, ""));
            let socket = self.home.slot_socket(&format!("{app}.{name}"), row.generation, row.slot);
            Value::Map(
                [
                    ("node".to_owned(), node.clone()),
                    ("release".to_owned(), Value::Integer(i64::from(row.release))),
                    ("slot".to_owned(), Value::Integer(i64::from(row.slot))),
                    ("socket".to_owned(), Value::text(socket.display().to_string())),
                ]
                .into(),
            )
        });
        Ok(endpoints.collect())
    }
}
