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
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(Arguments {}: Arguments, context: &Context) -> Result<Outcome> {
    let output = &context.output;
    let home = home()?;
    let unit = Unit::of(&home)?;
    if unit.is_active().await {
        // Else the service manager would start it again at once.
        unit.stop().await?;
        output.say(&format!("stopped {}; services go on", unit.name()));
        output.hint(&format!("{} start {}", unit.systemctl(), unit.name()));
        return Ok(Outcome::Done);
    }
    let stopped = parts::stop_agent(&home)?;
    match (stopped, output.format) {
        (Stopped::Now, Format::Text) => {
            output.say("the agent is stopped; services go on");
            output.hint("skep agent:start, or any command that needs it, starts it again");
        }
        (Stopped::NotRunning, Format::Text) => output.say("the agent does not run"),
        (stopped, Format::Json) => {
            output.json(&serde_json::json!({ "stopped": stopped == Stopped::Now }))?;
        }
    }
    Ok(Outcome::Done)
}
