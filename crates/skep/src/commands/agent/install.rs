use report::{Failure, Kind};

use crate::context::{Context, home};
use crate::error::{Outcome, Result};
use crate::parts;
use crate::unit::Unit;

/// Start the agent at every boot
///
/// Where systemd runs: writes a unit (root: a system unit, else a user unit) and starts it. The
/// unit keeps the agent, not the services: stopping it stops no service. Elsewhere prints what to
/// put into an init script or a crontab.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the unit and change nothing
    #[arg(long)]
    print: bool,
}

pub(crate) async fn run(Arguments { print }: Arguments, context: &Context) -> Result<Outcome> {
    let output = &context.output;
    let home = home()?;
    let unit = Unit::of(&home)?;
    let program = parts::executable()?;
    if print {
        output.line(unit.text(&program).trim_end())?;
        return Ok(Outcome::Done);
    }
    if !unit.manager_runs() {
        let start = unit.command(&program, "agent:start");
        return Err(Failure::new(
            Kind::Unavailable,
            "systemd does not run here; nothing is changed",
        )
        .hint(format!("in an init script: {start}"))
        .hint(format!("in a crontab:      @reboot {start}"))
        .into());
    }
    home.create()?;
    // An agent that a command started is not in the unit; stopped first, it comes back in it.
    parts::stop_agent(&home)?;
    unit.write(&program)?;
    unit.enable().await?;
    output.say(&format!("wrote `{}` and started {}", unit.path().display(), unit.name()));
    if unit.needs_linger().await {
        output.warn("user units run only while you are logged in");
        output.hint("sudo loginctl enable-linger $USER");
    }
    output.say(&format!("undo: {} disable --now {}", unit.systemctl(), unit.name()));
    Ok(Outcome::Done)
}
