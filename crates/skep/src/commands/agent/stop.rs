use supervise::bootstrap::Stopped;

use crate::context::{Context, home};
use crate::error::{Outcome, Result};
use crate::output::Format;
use crate::parts;
use crate::unit::Unit;

/// Stop the agent; services go on
///
/// Processes, sockets, logs and routes are kept by others and stay as they are. Nothing is deployed,
/// and a service whose shim dies is not adopted, until a command or the next boot starts the agent.
///
/// With --all everything of this installation is drained and stopped first, as before a shutdown of
/// the machine; the next start of the agent brings it back.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Drain and stop the apps and the proxy too
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(Arguments { all }: Arguments, context: &Context) -> Result<Outcome> {
    let output = &context.output;
    let home = home()?;
    if all && home.open().is_ok() {
        let client = context.client().await?;
        let nothing = serde_json::json!({});
        let halted: api::Halted = client.post_patiently(api::path::HALT, &nothing).await?;
        if output.format == Format::Text {
            output.say(&format!("stopped {} and the proxy", plural(halted.apps.len())));
        }
    }
    let unit = Unit::of(&home)?;
    if unit.is_active().await {
        // Else the service manager would start it again at once.
        unit.stop().await?;
        if output.format == Format::Json {
            output.json(&serde_json::json!({ "stopped": true }))?;
            return Ok(Outcome::Done);
        }
        let left = if all { NOTHING_RUNS } else { "services go on" };
        output.say(&format!("stopped {}; {left}", unit.name()));
        output.hint(&format!("{} start {}", unit.systemctl(), unit.name()));
        return Ok(Outcome::Done);
    }
    let stopped = parts::stop_agent(&home)?;
    match (stopped, output.format) {
        (Stopped::Now, Format::Text) => {
            let left = if all { NOTHING_RUNS } else { "services go on" };
            output.say(&format!("the agent is stopped; {left}"));
            output.hint("skep agent:start, or any command that needs it, starts it again");
        }
        (Stopped::NotRunning, Format::Text) => output.say("the agent does not run"),
        (stopped, Format::Json) => {
            output.json(&serde_json::json!({ "stopped": stopped == Stopped::Now }))?;
        }
    }
    Ok(Outcome::Done)
}

/// What is left after `--all`.
const NOTHING_RUNS: &str = "nothing of this installation runs any more";

fn plural(apps: usize) -> String {
    match apps {
        1 => "1 app".to_owned(),
        apps => format!("{apps} apps"),
    }
}
