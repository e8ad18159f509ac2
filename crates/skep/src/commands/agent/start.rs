use report::{Failure, Kind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use supervise::bootstrap::Started;

use crate::context::{Context, home};
use crate::error::{Outcome, Result};
use crate::interrupt::Interrupts;
use crate::parts;

/// Start the agent, if it does not run
///
/// Every command that needs it does the same. With --foreground this command stays: it ends when
/// the agent does, and stops the agent when it is told to end. That is what a service manager
/// wants (`skep agent:install`); services go on in either case.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Stay, and stop the agent on SIGTERM and SIGINT
    #[arg(long)]
    foreground: bool,
}

pub(crate) async fn run(Arguments { foreground }: Arguments, context: &Context) -> Result<Outcome> {
    let home = home()?;
    // Before the agent is started: a signal in between must stop it again.
    let interrupts = if foreground { Some(Interrupts::listen()?) } else { None };
    let (text, pid) = match parts::start_agent(&home)? {
        Started::Now { pid } => ("the agent is started", pid),
        Started::Already { pid } => ("the agent runs already", pid),
    };
    context.output.say(&format!("{text}, process {pid}"));
    let Some(mut interrupts) = interrupts else { return Ok(Outcome::Done) };
    tokio::select! {
        () = interrupts.next() => {
            parts::stop_agent(&home)?;
            context.output.say("the agent is stopped; services go on");
            Ok(Outcome::Done)
        }
        ended = ended(pid) => {
            ended?;
            // Its shim starts it again; whoever keeps us starts us again, and we find that one.
            Err(Failure::new(Kind::Temporary, format!("the agent, process {pid}, ended")).into())
        }
    }
}

/// Waits for the end of a process that need not be our child.
async fn ended(pid: u32) -> Result<()> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Internal, "failed to watch the agent's process").because(&error)
    };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Ok(()),
        Err(errno) => return Err(failed(errno.into()).into()),
    };
    // On a thread of its own, which a command that ends otherwise leaves behind.
    let wait = move || loop {
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    let waited = tokio::task::spawn_blocking(wait).await.map_err(|error| failed(error.into()))?;
    waited.map_err(|errno| failed(errno.into()))?;
    Ok(())
}
