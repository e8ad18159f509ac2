//! An agent for the tests: watches its own shim, keeps one of a service (`shop/web`), and answers on
//! its API socket with its process id once it does both.
//!
//! Its installation is `SKEP_HOME`, as for the real one; its argument is the shim's program.
//!
//! Unsafe code: the API socket is descriptor 3, taken over once, before anything else is opened.

#![allow(unsafe_code)]

use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use supervise::bootstrap::agent_recipe;
use supervise::{Config, ShimProgram, Supervisor, watch_parent};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: see the module documentation.
    let api = UnixListener::from(unsafe { OwnedFd::from_raw_fd(3) });
    let arguments: Vec<String> = std::env::args().collect();
    let home = home::Home::from_environment().ok_or("no SKEP_HOME")?;
    let installation = home.open()?.id;
    let base = cgroup::Base::establish(&installation).ok();
    let recipe = agent_recipe(&home, &std::env::current_exe()?, &arguments);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _entered = runtime.enter();
    let supervisor = Supervisor::new(Config {
        home,
        installation,
        build: "test".to_owned(),
        boot_id: disk::boot_id()?,
        shim_program: ShimProgram { path: arguments[1].clone().into(), arguments: Vec::new() },
        cgroup_base: base.map(|base| base.path().to_owned()),
    });
    let handle = runtime.block_on(watch_parent(&supervisor, recipe))?;
    handle.ok_or("nobody started me")?;
    runtime.block_on(supervisor.service(&"shop/web".parse()?).ensure_shim())?;
    while let Ok((mut client, _)) = api.accept() {
        let _ = write!(client, "{}", std::process::id());
    }
    Ok(())
}
