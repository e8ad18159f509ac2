//! The agent is started and stopped by commands, and watches its own shim.

use control::ServiceName;
use control::shim::Phase;
use rustix::process::Signal;
use supervise::ShimProgram;
use supervise::bootstrap::{
    AGENT_SLOT, Bootstrap, BootstrapError, Started, Stopped, agent_service,
};

use crate::fixture::{Installation, ask, example, kill, service, text, wait_for_end};

fn bootstrap(installation: &Installation) -> Bootstrap {
    let shim = example("shim");
    Bootstrap {
        home: installation.home.clone(),
        program: example("agent"),
        arguments: vec!["agent".to_owned(), text(&shim)],
        shim_program: ShimProgram { path: shim, arguments: Vec::new() },
        build: "test".to_owned(),
    }
}

/// Returns the process that listens on the socket of a service's shim.
fn shim_of(installation: &Installation, service: &ServiceName) -> u32 {
    let path = installation.home.shim_socket(&service.file_name());
    let socket = control_tokio::dial(&path, crate::fixture::PATIENCE).unwrap();
    let credentials = rustix::net::sockopt::socket_peercred(&socket).unwrap();
    credentials.pid.as_raw_nonzero().get() as u32
}

#[test]
fn it_is_started_once_and_stopped_once() {
    let installation = Installation::new();
    let bootstrap = bootstrap(&installation);
    assert_eq!(bootstrap.stop().unwrap(), Stopped::NotRunning);
    assert_eq!(bootstrap.state().unwrap(), None);
    let Started::Now { pid } = bootstrap.start().unwrap() else { panic!("who started it?") };
    assert_eq!(ask(&installation.home.api_socket()), pid);
    assert_eq!(bootstrap.start().unwrap(), Started::Already { pid });
    assert_eq!(bootstrap.state().unwrap().unwrap().phase, Phase::Running);
    assert_eq!(bootstrap.stop().unwrap(), Stopped::Now);
    assert_eq!(bootstrap.stop().unwrap(), Stopped::NotRunning);
    // The agent's service goes on; nothing of the agent does.
    let left = installation.processes();
    assert_eq!(left, [shim_of(&installation, &service())]);
    assert!(matches!(bootstrap.start().unwrap(), Started::Now { .. }));
    ask(&installation.home.api_socket());
    assert_eq!(left, [shim_of(&installation, &service())]);
}

#[test]
fn commands_at_once_start_one_agent() {
    let installation = Installation::new();
    let bootstrap = bootstrap(&installation);
    let outcomes: Vec<Started> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| bootstrap.start().unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let now = outcomes.iter().filter(|outcome| matches!(outcome, Started::Now { .. })).count();
    assert_eq!(now, 1, "{outcomes:?}");
    // Once it answers it is not about to execute its program, and looks like itself.
    ask(&installation.home.api_socket());
    assert_eq!((installation.count("agent"), installation.count("shim")), (1, 2));
}

#[test]
fn a_stopped_shim_is_named_and_not_doubled() {
    let installation = Installation::new();
    let bootstrap = bootstrap(&installation);
    bootstrap.start().unwrap();
    ask(&installation.home.api_socket());
    let shim = shim_of(&installation, &agent_service());
    kill(shim, Signal::STOP);
    let error = bootstrap.start().unwrap_err();
    let BootstrapError::Unresponsive { reason } = &error else { panic!("{error:?}") };
    assert!(reason.contains(&format!("kill -CONT {shim}")), "{reason}");
    assert_eq!((installation.count("agent"), installation.count("shim")), (1, 2));
    kill(shim, Signal::CONT);
    assert!(matches!(bootstrap.start().unwrap(), Started::Already { .. }));
}

#[test]
fn an_agent_that_cannot_run_is_explained() {
    let installation = Installation::new();
    let mut bootstrap = bootstrap(&installation);
    bootstrap.program = "/nonexistent/skep".into();
    let error = bootstrap.start().unwrap_err();
    assert!(matches!(error, BootstrapError::Program { .. }), "{error:?}");
    // Ends at once, again and again: a start finds it waiting, or just ended, and is not hindered.
    bootstrap.program = "/bin/false".into();
    match bootstrap.start() {
        Ok(Started::Now { .. }) | Err(BootstrapError::AgentEnded { .. }) => {}
        other => panic!("{other:?}"),
    }
    bootstrap.program = example("agent");
    loop {
        match bootstrap.start() {
            // The shim was between two lives of the bad program: its recipe is another.
            Ok(Started::Already { .. }) | Err(BootstrapError::AgentEnded { .. }) => {}
            Ok(Started::Now { pid }) => {
                assert_eq!(ask(&installation.home.api_socket()), pid);
                break;
            }
            other => panic!("{other:?}"),
        }
    }

    bootstrap.shim_program.path = "/nonexistent/shim".into();
    bootstrap.stop().unwrap();
    let error = bootstrap.start().unwrap_err();
    assert!(matches!(error, BootstrapError::Launch { .. }), "{error:?}");
}

#[test]
fn the_agent_replaces_its_own_shim_and_the_new_one_restarts_it() {
    let installation = Installation::new();
    let bootstrap = bootstrap(&installation);
    let Started::Now { pid } = bootstrap.start().unwrap() else { panic!("who started it?") };
    // Answered only once the agent watches its shim.
    assert_eq!(ask(&installation.home.api_socket()), pid);
    let shim = shim_of(&installation, &agent_service());
    kill(shim, Signal::KILL);
    wait_for_end(shim);
    // Whether the agent was faster or this command, it is the same agent.
    assert_eq!(bootstrap.start().unwrap(), Started::Already { pid });
    assert_ne!(shim_of(&installation, &agent_service()), shim);
    let state = bootstrap.state().unwrap().unwrap();
    assert_eq!(state.id, AGENT_SLOT);
    assert!(state.process.unwrap().adopted);
    assert!(!state.incomplete, "the agent gave its shim nothing");

    let of_the_service = shim_of(&installation, &service());
    kill(pid, Signal::KILL);
    wait_for_end(pid);
    // Waits on the held socket for the next agent.
    let next = ask(&installation.home.api_socket());
    assert_ne!(next, pid);
    assert_eq!(shim_of(&installation, &service()), of_the_service);
    assert_eq!((installation.count("agent"), installation.count("shim")), (1, 2));
    assert_eq!(bootstrap.stop().unwrap(), Stopped::Now);
}
