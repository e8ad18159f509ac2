//! The start of the agent, and its end.

use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use control::{Hello, PROTOCOL, Role};
use deploy::Node;
use deploy::executor::{self, proxy_service};
use deploy::records::AppRecord;
use deploy::users::Users;
use environment::Key;
use home::Home;
use report::{Failure, Kind};
use routing::Router;
use store::Store;
use supervise::{Config, ShimProgram, Supervisor};
use tokio::signal::unix::{SignalKind, signal};

use crate::state::{Agent, Concern, RETRY_PAUSE};
use crate::take_over::take_over;
use crate::{http, proxy, sessions};

/// The name under which root's installation keeps the proxy's user.
const PROXY_USER: &str = "skep-proxy";

/// How long requests of the interface may take to end when the agent is asked to.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Runs the agent of an installation until it is asked to end.
pub fn run(home: &Home) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SKEP_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // To standard output, which its shim keeps as the log of skep/agent.
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).without_time().init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(serve(home)),
        Err(error) => Err(Failure::from_error(Kind::Failed, &error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// The agent waits more than it works; two threads keep one slow store write from delaying probes.
const WORKERS: usize = 2;

async fn serve(home: &Home) -> Result<(), Failure> {
    let listener = api_listener(home)?;
    let agent = compose(home).await?;
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(http::serve(agent.clone(), listener, stopped));
    // Their clients can come back from now on.
    agent.await_sessions();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    agent.set_ending();
    tracing::info!("the agent ends; services go on");
    stop.send_replace(true);
    // A client that follows a log would keep it for ever.
    let _ = tokio::time::timeout(SHUTDOWN, serving).await;
    Ok(())
}

/// Returns the interface's listener: held by the agent's shim, or bound by an agent that was
/// started by hand.
fn api_listener(home: &Home) -> Result<UnixListener, Failure> {
    let passed = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string())
        && std::env::var("LISTEN_FDS").is_ok_and(|count| count.parse::<u32>().is_ok_and(|n| n > 0));
    if passed {
        /// `SD_LISTEN_FDS_START`, see sd_listen_fds(3).
        const FIRST: i32 = 3;
        #[expect(unsafe_code, reason = "the one descriptor that comes as a number")]
        // SAFETY: LISTEN_PID names this process, so descriptor 3 is a listener that was passed to
        // it and that nothing else in this process owns.
        let socket = unsafe { OwnedFd::from_raw_fd(FIRST) };
        return Ok(UnixListener::from(socket));
    }
    // Replacing a socket file that a live agent listens on would hide that agent.
    let path = home.api_socket();
    if disk::socket::connect_stream(&path).is_ok() {
        let text = format!("an agent listens on `{}` already", path.display());
        return Err(Failure::new(Kind::Locked, text).hint("skep agent:stop"));
    }
    let socket = disk::socket::bind_stream(&path, 0o600)
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    Ok(UnixListener::from(socket))
}

/// Returns this build's version, for people.
pub(crate) fn build() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

async fn compose(home: &Home) -> Result<Agent, Failure> {
    let installation = home.open().map_err(Failure::from)?;
    let boot_id = disk::boot_id().map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let store = Arc::new(Store::open(&home.store()).map_err(Failure::from)?);
    empty_run(home, &boot_id).map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let key = Key::open_or_create(&home.key())
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let mut not_enforced = Vec::new();
    let cgroup_base = match cgroup::Base::establish(&installation.id) {
        Ok(base) => Some(base.path().to_owned()),
        Err(why) => {
            not_enforced.push(format!("{}: {why}", api::LIMIT_SESSIONS));
            None
        }
    };
    let program =
        std::env::current_exe().map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let users = Users::of_this_process();
    if let Users::Same = users {
        not_enforced
            .push("apps run as your own user: each could read the others' files".to_owned());
    }
    let supervisor = Supervisor::new(Config {
        home: home.clone(),
        installation: installation.id.clone(),
        build: build(),
        boot_id: boot_id.clone(),
        shim_program: ShimProgram::beside(&program),
        cgroup_base: cgroup_base.clone(),
    });
    let discovered =
        supervisor.discover().await.map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    tracing::info!(shims = discovered.len(), "greeted the shims");
    watch_own_shim(home, &supervisor, &program).await?;

    let proxy_user = proxy_user(&store, users, &program, &mut not_enforced)?;
    let recipe = proxy::recipe(home, &installation.id, &program, proxy_user.as_ref())?;
    let mut proxies = proxy::Proxies::read(&store, &supervisor, home, recipe)?;
    let proxy_handle = supervisor.service(&proxy_service());
    let hello = Hello {
        protocol: PROTOCOL,
        role: Role::Agent,
        build: build(),
        boot_id: boot_id.clone(),
        installation: installation.id.clone(),
    };
    let epoch = deploy::Journal::new(&store).count("routes").map_err(Failure::from)?;
    let instances = proxy::instances(home, &proxy_handle);
    let router = Router::spawn(epoch as u32, hello, instances);
    let node = Node {
        home: home.clone(),
        installation: installation.id.clone(),
        boot_id,
        store,
        key: Arc::new(key),
        supervisor,
        router,
        users,
        proxy_group: proxy_user.map(|user| user.gid),
        claiming: Arc::default(),
    };
    sessions::end_of_other_boots(&node).map_err(Failure::from)?;
    let apps = node.journal().apps().map_err(Failure::from)?;
    expect(&node, &apps, &discovered, proxies.expected()).await?;
    let agent = Agent::new(node, cgroup_base, not_enforced);
    open_edge(&agent, &mut proxies).await;
    take_over(&agent, apps, &discovered).await.map_err(Failure::from)?;
    tokio::spawn(keep_edge(agent.clone(), proxies));
    Ok(agent)
}

/// Starts the proxy and opens the public sockets. What fails is a problem that is shown: apps run
/// and can be looked at meanwhile.
async fn open_edge(agent: &Agent, proxies: &mut proxy::Proxies) {
    let node = agent.node();
    let opened = async {
        // Read each time: a deploy may have moved an app meanwhile.
        let apps = node.journal().apps()?;
        let serving = apps.into_iter().filter(|app| app.serving.is_some());
        let listeners: Vec<String> = serving.filter_map(|app| app.listener).collect();
        let sockets = proxies.start(&listeners).await?;
        let is_open = |name: &String| sockets.iter().any(|(open, _)| open == name);
        let closed: Vec<String> = listeners.into_iter().filter(|name| !is_open(name)).collect();
        Ok::<_, Failure>((sockets, closed))
    };
    let trouble = match opened.await {
        Ok((sockets, closed)) => {
            for (name, socket) in sockets {
                node.router.listen(&name, socket).await;
            }
            let text = || format!("{} cannot be listened on", closed.join(", "));
            (!closed.is_empty()).then(text)
        }
        Err(failure) => Some(format!("the proxy could not be started: {failure}")),
    };
    agent.problem(Concern::Proxy, trouble);
}

/// Keeps the edge as it should be: opens what is not open yet, and what a stop of everything that
/// failed half-way has closed; then replaces the proxy where one of this build, or one that can be
/// reached, has to follow it. It looks again and again: nobody tells when a file is removed.
async fn keep_edge(agent: Agent, mut proxies: proxy::Proxies) {
    let mut retry = proxy::Retry::default();
    loop {
        if agent.inner.registry.is_closed() {
            // All of it is being stopped.
        } else if agent.has_problem(&Concern::Proxy) {
            open_edge(&agent, &mut proxies).await;
        } else if !proxies.is_settled() && retry.is_due() {
            // Given up anywhere, it is gone on with like that of an agent that was killed.
            tokio::select! {
                done = proxies.upgrade(&agent) => retry.after(done),
                () = agent.inner.registry.closed() => {}
            }
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Removes what slots of another boot left below `run/`, and makes the directories again where
/// somebody removed them. Sockets of shims and of the interface are theirs to replace.
fn empty_run(home: &Home, boot_id: &str) -> Result<(), disk::DiskError> {
    /// A boot id has 36 bytes.
    const MAX_BYTES: u64 = 64;
    for directory in [home.slots(), home.slot_runtimes()] {
        disk::create_directory(&directory, home::RUN_MODE)?;
    }
    let mark = home.run().join("boot");
    match disk::read_limited(&mark, MAX_BYTES) {
        Ok(known) if known == boot_id.as_bytes() => return Ok(()),
        Ok(_) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    for directory in [home.slots(), home.slot_runtimes()] {
        let entries = std::fs::read_dir(&directory)
            .map_err(|error| disk::DiskError::new("list", &directory, error))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                disk::remove_tree(&path)?;
            } else {
                disk::remove_file(&path)?;
            }
        }
    }
    disk::write_atomically(&mark, boot_id.as_bytes(), 0o600)
}

async fn watch_own_shim(
    home: &Home,
    supervisor: &Supervisor,
    program: &std::path::Path,
) -> Result<(), Failure> {
    let recipe = supervise::bootstrap::agent_recipe(
        home,
        program,
        &["skep".to_owned(), "agent:run".to_owned()],
    );
    match supervise::watch_parent(supervisor, recipe).await {
        Ok(Some(_)) => {}
        Ok(None) => tracing::warn!("started by hand: nobody restarts this agent"),
        Err(error) => return Err(Failure::from_error(Kind::Locked, &error)),
    }
    Ok(())
}

fn proxy_user(
    store: &Store,
    users: Users,
    program: &std::path::Path,
    not_enforced: &mut Vec<String>,
) -> Result<Option<deploy::users::User>, Failure> {
    if let Users::Own = users
        && !proxy::is_executable_by_all(program)
    {
        not_enforced.push(format!(
            "the proxy runs as root: other users may not execute `{}`",
            program.display()
        ));
        return Ok(None);
    }
    users.of(store, PROXY_USER).map_err(Failure::from)
}

/// Tells the supervisor which slots belong to us, before anything is adopted or ended.
async fn expect(
    node: &Node,
    apps: &[AppRecord],
    discovered: &[supervise::Discovered],
    proxies: Vec<control::shim::SlotSpec>,
) -> Result<(), Failure> {
    let failed = |error: supervise::SuperviseError| Failure::from_error(Kind::Failed, &error);
    let mut expected = std::collections::BTreeMap::new();
    for found in discovered {
        expected.insert(found.service.clone(), Vec::new());
    }
    for app in apps {
        match executor::expected_slots(node, app) {
            Ok(slots) => expected.extend(slots),
            // One app's damaged record must not keep the others down.
            Err(error) => {
                tracing::error!(app = app.name, %error, "failed to read an app's slots");
                // Not knowing what belongs to it is no reason to end it.
                expected.retain(|service, _| service.app() != app.name);
            }
        }
    }
    expected.insert(proxy_service(), proxies);
    expected.remove(&supervise::bootstrap::agent_service());
    for (service, slots) in expected {
        node.supervisor.service(&service).expect(slots).await.map_err(failed)?;
    }
    Ok(())
}
