//! The construction: layers in, one environment with its history out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use app::model::{App, Origin, Service};
use report::{Failure, Kind, Secret};

use crate::base::{self, Base};
use crate::check::{ENVIRONMENT_LIMIT_BYTES, Refusal, check, json_bytes};
use crate::generated::Generated;
use crate::layer::Layer;
use crate::missing::{Missing, MissingVariable};
use crate::operator::Variables;
use crate::profile;
use crate::secrecy::{has_credentials, looks_secret};

/// Everything an environment is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The app as its release describes it.
    pub app: &'a App,
    /// What the environment is for.
    pub purpose: Purpose<'a>,
    /// The release's number; absent while it has none.
    pub release: Option<u32>,
    /// User and places.
    pub base: Base<'a>,
    /// Values drawn for this app; see [`crate::generated`].
    pub generated: &'a BTreeMap<String, Generated>,
    /// The operator's variables; see [`crate::operator`].
    pub operator: &'a Variables,
}

/// What an environment is for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// The release command.
    ReleaseCommand,
    /// A slot of a service.
    Service {
        /// The service's name.
        name: &'a str,
        /// Which slot.
        slot: Slot<'a>,
    },
    /// A one-off command; no server runs in it, so it has no profile and no slot.
    OneOff {
        /// With the variables of this service too.
        service: Option<&'a str>,
    },
}

/// The slot's own places.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// Its number.
    pub number: u32,
    /// What `PORT` is; absent: the service does not listen.
    pub port: Option<&'a str>,
    /// Its private directory.
    pub runtime: Option<&'a Path>,
}

impl<'a> Purpose<'a> {
    pub(crate) fn service(&self) -> Option<&'a str> {
        match *self {
            Self::Service { name, .. } => Some(name),
            Self::OneOff { service } => service,
            Self::ReleaseCommand => None,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::ReleaseCommand => "the release command".to_owned(),
            Self::Service { name, .. } => format!("service {name}"),
            Self::OneOff { .. } => "the command".to_owned(),
        }
    }
}

/// Why there is no environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstructError {
    /// Required variables are not set.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A variable of the app file cannot be set.
    #[error("{origin} sets a variable that cannot be set")]
    Refused {
        /// Where it is set.
        origin: String,
        /// Which, and why not.
        #[source]
        refusal: Refusal,
    },
    /// A word before a command needs a variable that nothing sets.
    #[error("{origin} needs a variable that is not set")]
    Unset {
        /// Where.
        origin: String,
        /// Which.
        #[source]
        unset: app::UnsetVariable,
    },
    /// The app has no such service.
    #[error("{app} has no service `{service}`")]
    NoService {
        /// The app.
        app: String,
        /// The name asked for.
        service: String,
    },
    /// All variables together are too large to be handed over.
    #[error("the variables of {app} have {bytes} bytes, the limit is {ENVIRONMENT_LIMIT_BYTES}")]
    TooLarge {
        /// The app.
        app: String,
        /// How many they have, as JSON.
        bytes: usize,
    },
}

impl ConstructError {
    /// Returns it as it is shown to the caller; `shell` are the names in the caller's shell.
    pub fn failure(&self, shell: &BTreeSet<String>) -> Failure {
        match self {
            Self::Missing(missing) => missing.failure(shell),
            Self::Refused { refusal, .. } => {
                let hints = Failure::from(refusal).hints;
                Failure { hints, ..Failure::from_error(Kind::Usage, self) }
            }
            Self::NoService { .. } | Self::Unset { .. } => Failure::from_error(Kind::Usage, self),
            Self::TooLarge { .. } => Failure::from_error(Kind::Usage, self)
                .hint("keep large values in a file below the app's data and set its path"),
        }
    }
}

/// One value of one variable in one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its value; [`Secret`] whether it is one or not, so that showing it is always a decision.
    pub value: Secret,
    /// Whether it is a secret.
    pub secret: bool,
    /// Its layer.
    pub layer: Layer,
    /// What set it: a file and its table, a profile, a command.
    pub source: String,
    /// Who set it, where an operator did.
    pub who: Option<String>,
    /// When, RFC 3339, where an operator did or it was drawn.
    pub at: Option<String>,
}

impl Row {
    /// Returns whether a list hides the value unless it was asked for: secrets, and whatever an
    /// operator typed, since nobody said what it is.
    pub fn masked(&self) -> bool {
        self.secret || self.layer == Layer::Operator
    }
}

/// One environment and where each part of it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// By name; within one name lowest layer first, the last one is in force.
    rows: Vec<Row>,
}

impl Environment {
    /// Constructs the environment.
    ///
    /// # Errors
    /// Refuses a required variable that no layer sets, a name or value of the
    /// app file that cannot be set, and variables that are too large together.
    pub fn construct(inputs: &Inputs<'_>) -> Result<Self, ConstructError> {
        let mut layers = Layers { inputs, rows: Vec::new() };
        layers.base();
        layers.profile()?;
        layers.app_file()?;
        layers.service()?;
        layers.generated();
        layers.operator();
        let mut rows = layers.rows;
        // Stable: within one name the layers keep their order.
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        let environment = Self { rows };
        environment.complete(inputs)?;
        environment.small_enough(inputs)?;
        Ok(environment)
    }

    /// Returns what a process is started with: sorted by name, each name once.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.effective().map(|row| (row.name.clone(), row.value.reveal().to_owned())).collect()
    }

    /// Returns one variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.effective().find(|row| row.name == name).map(|row| row.value.reveal())
    }

    /// Returns every value of every layer, by name; several rows of one name are its layers,
    /// lowest first, and the last one is in force.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the rows in force.
    pub fn effective(&self) -> impl Iterator<Item = &Row> {
        self.rows.chunk_by(|a, b| a.name == b.name).filter_map(<[Row]>::last)
    }

    fn complete(&self, inputs: &Inputs<'_>) -> Result<(), Missing> {
        let variables: Vec<MissingVariable> = inputs
            .app
            .env
            .iter()
            .filter(|(name, variable)| variable.required && self.get(name).is_none())
            .map(|(name, variable)| MissingVariable {
                name: name.clone(),
                about: variable.about.clone(),
                secret: variable.secret || looks_secret(name, ""),
            })
            .collect();
        if variables.is_empty() {
            return Ok(());
        }
        let app = inputs.app.name.clone();
        Err(Missing { app, purpose: inputs.purpose.describe(), variables })
    }

    fn small_enough(&self, inputs: &Inputs<'_>) -> Result<(), ConstructError> {
        let bytes = json_bytes(self.effective().map(|row| (row.name.as_str(), row.value.reveal())));
        if bytes > ENVIRONMENT_LIMIT_BYTES {
            return Err(ConstructError::TooLarge { app: inputs.app.name.clone(), bytes });
        }
        Ok(())
    }
}

/// The rows while they are collected, layer by layer.
struct Layers<'a> {
    inputs: &'a Inputs<'a>,
    rows: Vec<Row>,
}

impl Layers<'_> {
    fn push(&mut self, layer: Layer, name: &str, value: &str, source: String) {
        let declared = self
            .inputs
            .app
            .env
            .get(name)
            .is_some_and(|variable| variable.secret || variable.generate_bytes.is_some());
        let secret = declared || layer == Layer::Generated || has_credentials(value);
        self.rows.push(Row {
            name: name.to_owned(),
            value: Secret::new(value),
            secret,
            layer,
            source,
            who: None,
            at: None,
        });
    }

    fn base(&mut self) {
        for (name, value) in base::variables(self.inputs) {
            self.push(Layer::Base, name, &value, "skep".to_owned());
        }
    }

    fn profile(&mut self) -> Result<(), ConstructError> {
        if let Purpose::Service { name, slot } = &self.inputs.purpose {
            let service = service(self.inputs.app, name)?;
            for variable in profile::variables(service, slot) {
                self.push(Layer::Profile, variable.name, &variable.value, variable.source);
            }
        }
        Ok(())
    }

    fn app_file(&mut self) -> Result<(), ConstructError> {
        let file = self.file();
        for (name, variable) in &self.inputs.app.env {
            let source = format!("{file} [env]");
            // A name is checked where it is declared, with a value or without.
            allowed(name, variable.value.as_deref().unwrap_or_default(), &source)?;
            if let Some(value) = &variable.value {
                self.push(Layer::AppFile, name, value, source);
            }
        }
        Ok(())
    }

    fn service(&mut self) -> Result<(), ConstructError> {
        let file = self.file();
        let app = self.inputs.app;
        let (command, own) = match self.inputs.purpose.service() {
            Some(name) => {
                let service = service(app, name)?;
                for (variable, value) in &service.env {
                    let source = format!("{file} [services.{name}.env]");
                    allowed(variable, value, &source)?;
                    self.push(Layer::Service, variable, value, source);
                }
                (Some(&service.command), format!("{file}, command of {name}"))
            }
            None if matches!(self.inputs.purpose, Purpose::ReleaseCommand) => {
                (app.release.command.as_ref(), format!("{file}, release command"))
            }
            None => (None, String::new()),
        };
        // As a shell has it: the words before a command count for this command alone, and one
        // that is written further right wins.
        let Some(command) =
            command.filter(|_| !matches!(self.inputs.purpose, Purpose::OneOff { .. }))
        else {
            return Ok(());
        };
        let assignments = command
            .expand_assignments(|name| self.lookup(name))
            .map_err(|unset| ConstructError::Unset { origin: own.clone(), unset })?;
        for (name, value) in &assignments {
            allowed(name, value, &own)?;
            self.push(Layer::Service, name, value, own.clone());
        }
        Ok(())
    }

    /// Returns what a `$NAME` before a command means: the highest layer's value.
    fn lookup(&self, name: &str) -> Option<String> {
        let operator = self.inputs.operator.get(name).map(|variable| &variable.value);
        let generated = self.inputs.generated.get(name).map(|generated| &generated.value);
        let lower = self.rows.iter().rev().find(|row| row.name == name).map(|row| &row.value);
        let value = operator.or(generated).or(lower)?;
        Some(value.reveal().to_owned())
    }

    fn generated(&mut self) {
        let declared = |name: &str| {
            self.inputs.app.env.get(name).is_some_and(|variable| variable.generate_bytes.is_some())
        };
        // A value that was drawn for an earlier release's app file stays in the store, for a
        // rollback; this release does not see it.
        let values: Vec<_> =
            self.inputs.generated.iter().filter(|(name, _)| declared(name)).collect();
        for (name, generated) in values {
            let source = format!("drawn by skep, {} [env] {name}", self.file());
            self.push(Layer::Generated, name, generated.value.reveal(), source);
            if let Some(row) = self.rows.last_mut() {
                row.at = Some(generated.at.clone());
            }
        }
    }

    fn operator(&mut self) {
        for (name, variable) in self.inputs.operator.iter() {
            self.push(Layer::Operator, name, variable.value.reveal(), "skep env:set".to_owned());
            if let Some(row) = self.rows.last_mut() {
                row.secret |= looks_secret(name, variable.value.reveal());
                row.who = Some(variable.who.clone());
                row.at = Some(variable.at.clone());
            }
        }
    }

    fn file(&self) -> &'static str {
        match self.inputs.app.origin {
            Origin::AppFile => "skep.toml",
            Origin::Procfile => "Procfile",
            Origin::Detected => "detected",
        }
    }
}

fn service<'a>(app: &'a App, name: &str) -> Result<&'a Service, ConstructError> {
    app.services.get(name).ok_or_else(|| ConstructError::NoService {
        app: app.name.clone(),
        service: name.to_owned(),
    })
}

fn allowed(name: &str, value: &str, origin: &str) -> Result<(), ConstructError> {
    check(name, value)
        .map_err(|refusal| ConstructError::Refused { origin: origin.to_owned(), refusal })
}
