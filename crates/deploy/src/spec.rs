//! How one slot is started: from a release, a service and a placement to a recipe for the shim.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use app::model::{App, Command, Listen, Ready, Restart, Service};
use control::proxy::EndpointAddress;
use control::shim::{RestartPolicy, SlotSocket, SlotSpec};
use control::{ServiceName, SlotId};
use disk::{DiskError, PathContext};
use environment::{Base, Environment, Generated, Inputs, Purpose, Variables};
use report::{Failure, Kind};

use crate::error::DeployError;
use crate::node::Node;
use crate::plan::PlannedSlot;
use crate::records::{ReleaseRecord, SlotPlacement};
use crate::users::User;

/// What `PORT` says to a server that is given its socket and only wants to see a number
/// (gunicorn refuses `-b 0.0.0.0:$PORT` without one); nothing ever binds it.
const UNBOUND_PORT: &str = "8000";

/// The service that runs an app's release commands.
pub const RELEASE_SERVICE: &str = "release";

/// A release with everything its processes need, read once.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The release.
    pub release: ReleaseRecord,
    user: Option<User>,
    user_name: String,
    generated: BTreeMap<String, Generated>,
    operator: Variables,
}

/// Returns a slot's name within its service's shim.
pub fn slot_id(slot: &PlannedSlot) -> SlotId {
    SlotId::new(slot.generation, slot.number)
}

/// Returns a service's name; the app file's reader has checked both parts.
pub fn service_name(app: &str, service: &str) -> Result<ServiceName, DeployError> {
    ServiceName::new(app, service).map_err(|error| Failure::from_error(Kind::Usage, &error).into())
}

/// Returns where a slot's own socket is; `None` for a service that does not listen.
pub fn address(
    node: &Node,
    app: &str,
    service_label: &str,
    listen: Listen,
    number: u32,
    slot: &SlotPlacement,
) -> Option<EndpointAddress> {
    let file = format!("{app}.{service_label}");
    let path = || node.home.slot_socket(&file, slot.generation, number);
    match listen {
        Listen::Fd => Some(EndpointAddress::Unix(text(&path()))),
        Listen::Path => Some(EndpointAddress::Unix(text(&path().join("socket")))),
        Listen::Port | Listen::Fixed(_) => {
            Some(EndpointAddress::Tcp(([127, 0, 0, 1], slot.port?).into()))
        }
        Listen::None => None,
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Prepared {
    /// Reads what a release's processes need.
    pub fn read(node: &Node, release: ReleaseRecord) -> Result<Self, DeployError> {
        let app = &release.app.name;
        let operator =
            environment::operator::read(&node.store, &node.key, app, release.env_version)?;
        let generated = environment::generated::read(&node.store, &node.key, app)?;
        let user = node.user(app)?;
        let user_name = node.user_name(app)?;
        Ok(Self { release, user, user_name, generated, operator })
    }

    /// Returns the app file it runs with.
    pub fn app(&self) -> &App {
        &self.release.app
    }

    /// Returns who its processes run as; `None`: the agent's own user.
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Constructs an environment of this release.
    pub fn environment(
        &self,
        node: &Node,
        purpose: Purpose<'_>,
    ) -> Result<Environment, environment::ConstructError> {
        let home = node.home.app_home(&self.release.app.name);
        let python = self.release.artifact.environment.as_ref().map(|layer| layer.prefix.as_path());
        Environment::construct(&Inputs {
            app: &self.release.app,
            purpose,
            release: Some(self.release.number),
            base: Base { user: &self.user_name, home: &home, python },
            generated: &self.generated,
            operator: &self.operator,
        })
    }

    /// Returns how a slot of a service is started, and makes the directories it needs.
    pub fn slot(
        &self,
        node: &Node,
        service_label: &str,
        number: u32,
        placement: &SlotPlacement,
    ) -> Result<SlotSpec, DeployError> {
        let app = &self.release.app.name;
        let service = self.release.app.services.get(service_label).ok_or_else(|| {
            Failure::new(Kind::Failed, format!("{app} has no service `{service_label}`"))
        })?;
        let file = format!("{app}.{service_label}");
        let runtime = node.home.slot_runtime(&file, placement.generation, number);
        self.own_directory(&runtime)?;
        let address = address(node, app, service_label, service.listen, number, placement);
        let socket = self.socket(node, service, address.as_ref())?;
        let port = match (service.listen, placement.port, &address) {
            (Listen::Path, _, Some(EndpointAddress::Unix(path))) => Some(path.clone()),
            (Listen::Fd, ..) => Some(UNBOUND_PORT.to_owned()),
            (Listen::Port | Listen::Fixed(_), Some(port), _) => Some(port.to_string()),
            _ => None,
        };
        let slot = environment::Slot { number, port: port.as_deref(), runtime: Some(&runtime) };
        let environment = self
            .environment(node, Purpose::Service { name: service_label, slot })
            .map_err(|error| error.failure(&std::collections::BTreeSet::new()))?;
        let (program, arguments) =
            resolve(&service.command, &environment, &self.release.artifact.code_directory)?;
        Ok(SlotSpec {
            id: SlotId::new(placement.generation, number),
            release: format!("v{}", self.release.number),
            program: text(&program),
            arguments,
            directory: text(&self.release.artifact.code_directory),
            environment: environment.variables(),
            credentials: self.user.as_ref().map(User::credentials),
            socket,
            notify: service.ready == Ready::Notify,
            restart: match service.restart {
                Restart::Always => RestartPolicy::Always,
                Restart::OnFailure => RestartPolicy::OnFailure,
                Restart::Never => RestartPolicy::Never,
            },
            stop_signal: service.stop_signal,
            signal_all: service.command.shell.is_some(),
            stop_grace_ms: service.stop_grace_ms,
            lease: Some(text(&self.release.artifact.lease)),
            // A socket that the app binds itself must be open to the proxy's group.
            umask: if service.listen == Listen::Path { 0o007 } else { 0o022 },
            open_files: service.open_files,
            process_socket: match (service.listen, address) {
                (Listen::Path, Some(EndpointAddress::Unix(path))) => Some(path),
                _ => None,
            },
        })
    }

    /// Returns how the release command is run: a slot that is never restarted.
    pub fn release_command(
        &self,
        node: &Node,
        command: &Command,
        generation: u64,
    ) -> Result<SlotSpec, DeployError> {
        let environment = self
            .environment(node, Purpose::ReleaseCommand)
            .map_err(|error| error.failure(&std::collections::BTreeSet::new()))?;
        let code = &self.release.artifact.code_directory;
        let (program, arguments) = resolve(command, &environment, code)?;
        Ok(SlotSpec {
            id: SlotId::new(generation, 0),
            release: format!("v{}", self.release.number),
            program: text(&program),
            arguments,
            directory: text(code),
            environment: environment.variables(),
            credentials: self.user.as_ref().map(User::credentials),
            socket: SlotSocket::None,
            notify: false,
            restart: RestartPolicy::Never,
            stop_signal: rustix::process::Signal::TERM.as_raw(),
            signal_all: command.shell.is_some(),
            stop_grace_ms: RELEASE_GRACE_MS,
            lease: Some(text(&self.release.artifact.lease)),
            umask: 0o022,
            open_files: None,
            process_socket: None,
        })
    }

    fn socket(
        &self,
        node: &Node,
        service: &Service,
        address: Option<&EndpointAddress>,
    ) -> Result<SlotSocket, DeployError> {
        match (service.listen, address) {
            (Listen::Fd, Some(EndpointAddress::Unix(path))) => Ok(SlotSocket::Unix {
                path: path.clone(),
                mode: if node.proxy_group.is_some() { 0o660 } else { 0o600 },
                group: node.proxy_group,
            }),
            (Listen::Path, Some(EndpointAddress::Unix(path))) => {
                // The app binds it: its directory is the app's, and the sockets made in it belong
                // to the proxy's group.
                let directory = Path::new(path).parent().unwrap_or(Path::new("/"));
                self.own_directory(directory)?;
                if let (Some(group), Some(user)) = (node.proxy_group, &self.user) {
                    std::os::unix::fs::chown(directory, Some(user.uid), Some(group))
                        .context("change the owner of", directory)?;
                    set_mode(directory, 0o2750)?;
                }
                Ok(SlotSocket::None)
            }
            _ => Ok(SlotSocket::None),
        }
    }

    /// Makes a private directory of the app's user.
    fn own_directory(&self, path: &Path) -> Result<(), DeployError> {
        disk::create_directory(path, 0o700)?;
        if let Some(user) = &self.user {
            std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))
                .context("change the owner of", path)?;
        }
        Ok(())
    }
}

/// How long a cancelled release command may take to end.
const RELEASE_GRACE_MS: u64 = 10_000;

fn set_mode(path: &Path, mode: u32) -> Result<(), DiskError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .context("set the mode of", path)
}

/// Returns the program and the arguments of a command: variables expanded from the environment
/// itself, the program found in its `PATH`.
pub fn resolve(
    command: &Command,
    environment: &Environment,
    directory: &Path,
) -> Result<(PathBuf, Vec<String>), DeployError> {
    let lookup = |name: &str| environment.get(name).map(str::to_owned);
    let words = command.expand(lookup).map_err(|error| {
        Failure::from_error(Kind::Usage, &error)
            .hint("declare it in [env] of skep.toml, or set it: skep env:set NAME=VALUE")
    })?;
    let path = environment.get("PATH").unwrap_or_default();
    let program = words.first().map(String::as_str).unwrap_or_default();
    let found = find_program(program, path, directory).ok_or_else(|| {
        Failure::new(Kind::Failed, format!("no program `{program}`"))
            .detail("command", command.text.clone())
            .detail("looked in", path.replace(':', "\n"))
            .hint(format!(
                "does the package that brings `{program}` stand in the app's requirements?"
            ))
    })?;
    Ok((found, words))
}

/// Returns the program that a name means: as it is when absolute, below the directory when it has
/// a slash, else the first executable file in `path`.
pub fn find_program(name: &str, path: &str, directory: &Path) -> Option<PathBuf> {
    let executable = |candidate: &Path| {
        std::fs::metadata(candidate)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        let candidate = directory.join(name);
        return executable(&candidate).then_some(candidate);
    }
    path.split(':')
        .filter(|part| !part.is_empty())
        .map(|part| Path::new(part).join(name))
        .find(|candidate| executable(candidate))
}
