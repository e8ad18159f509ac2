//! The proxy as its own process, started by its shim.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use report::{Failure, Kind};
use tokio::signal::unix::{SignalKind, signal};

use crate::inherit;
use crate::limits::{Limits, MAX_WORKERS, RESERVED_DESCRIPTORS};
use crate::run::{Config, Proxy};

const USAGE: &str = "usage: skep proxy --home DIR --installation ID [--access-log] [--workers N]";

/// The status after `SIGTERM` or `SIGINT`, as a shell says it: 128 and 15.
const TERMINATED: u8 = 143;

/// Why a proxy ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The agent told it to leave.
    Left,
    /// A signal did.
    Terminated,
}

/// The command line.
#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    home: PathBuf,
    installation: String,
    access_log: bool,
    workers: Option<usize>,
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<Arguments> {
    let (mut home, mut installation, mut workers) = (None, None, None);
    let mut access_log = false;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str()? {
            "--home" => home = Some(PathBuf::from(arguments.next()?)),
            "--installation" => installation = Some(arguments.next()?.into_string().ok()?),
            "--workers" => workers = Some(arguments.next()?.to_str()?.parse().ok()?),
            "--access-log" => access_log = true,
            _ => return None,
        }
    }
    Some(Arguments { home: home?, installation: installation?, access_log, workers })
}

/// Runs the proxy with the arguments behind `skep proxy` and the descriptors that the shim passed:
/// `slot`, the control socket, and public listeners named by their address. Ends with 0 when it
/// was told to leave and nothing is left: its work is done. After a signal, which does the same
/// sooner, it ends with [`TERMINATED`]: where the shim did not send it, it starts another.
///
/// Must be called before the process opens anything: see [`crate::InheritError`].
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Some(arguments) = parse(arguments) else {
        return fail(&Failure::new(Kind::Usage, USAGE));
    };
    match start(arguments) {
        Ok(End::Left) => ExitCode::SUCCESS,
        Ok(End::Terminated) => ExitCode::from(TERMINATED),
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    use std::io::Write;
    // Nobody is left to be told that standard error is gone.
    let _ = writeln!(io::stderr(), "{failure}");
    ExitCode::from(failure.kind.exit_code())
}

fn start(arguments: Arguments) -> Result<End, Box<Failure>> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Box::new(Failure::from_error(Kind::Failed, error))
    };
    let mut descriptors = inherit::take().map_err(|error| failed(&error))?;
    let position = descriptors.iter().position(|(name, _)| name == "slot");
    let Some(position) = position else {
        let text = "no control socket named `slot` was passed";
        return Err(Failure::new(Kind::Failed, text).into());
    };
    let (_, control) = descriptors.swap_remove(position);
    let boot_id = disk::boot_id().map_err(|error| failed(&error))?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let config = Config {
        routes_file: home::Home::at(arguments.home).routes(),
        installation: arguments.installation,
        boot_id,
        control: control.into(),
        listeners: descriptors,
        workers: arguments.workers.unwrap_or(processors.min(MAX_WORKERS)).max(1),
        max_connections: raise_descriptor_limit(),
        access_log: arguments.access_log,
        limits: Limits::default(),
        log: Box::new(io::stdout()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    runtime.block_on(serve(config)).map_err(|error| failed(error.as_ref()))
}

async fn serve(config: Config) -> Result<End, Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let proxy = Proxy::start(config).await?;
    let mut end = End::Left;
    loop {
        tokio::select! {
            () = proxy.left() => return Ok(end),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        end = End::Terminated;
        proxy.close();
    }
}

/// Raises the limit of open descriptors as far as allowed; returns how many clients fit. Each may
/// have a connection to a slot too.
fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// Where there is no limit, memory is one.
    const MOST: u64 = 1 << 20;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let descriptors = current.unwrap_or(MOST).min(MOST);
    (descriptors.saturating_sub(RESERVED_DESCRIPTORS) / 2).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_all_or_nothing() {
        let parse = |text: &str| parse(text.split_whitespace().map(OsString::from));
        let good = parse("--home /h --installation abc --access-log --workers 3").unwrap();
        assert_eq!(good.workers, Some(3));
        assert!(good.access_log);
        for bad in ["", "--home /h", "--home /h --installation a --x", "--installation a --home"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
