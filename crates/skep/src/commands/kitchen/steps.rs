//! What is done to an instance, step by step.

use std::time::Instant;

use ::kitchen::base;
use ::kitchen::instance::{Action, Locked, way};
use ::kitchen::kitchen_file::{Network, Planned, Runs};
use ::kitchen::machine::{Machine, Setup};
use report::{Failure, Kind};

use super::inside::{self, machine_of};
use super::open::{Chosen, Kitchen, disk_failure, need_root};
use super::{Row, table};
use crate::context::Context;
use crate::error::{Error, Outcome, Result};
use crate::output::{Format, Output};
use crate::parts;
use crate::render::quantity::elapsed;

/// Brings instances where an action leads, one after the other; the first that fails ends it.
pub(super) fn bring(context: &Context, word: Option<&str>, wanted: Action) -> Result<Outcome> {
    need_root(&format!("kitchen:{}", wanted.name()))?;
    let kitchen = Kitchen::open(context)?;
    let mut rows = Vec::new();
    for chosen in kitchen.chosen(word)? {
        let locked = lock(&chosen)?;
        let state = chosen.instance.record().map_err(|error| disk_failure(&error))?.state;
        for action in way(state, wanted) {
            step(&kitchen, &chosen, &locked, action, &context.output)?;
        }
        let record = chosen.instance.record().map_err(|error| disk_failure(&error))?;
        rows.push(Row::new(&chosen, record));
    }
    if context.output.format == Format::Json {
        context.output.list(&rows, || table(&rows))?;
    }
    Ok(Outcome::Done)
}

/// Takes an instance for this command alone.
pub(super) fn lock<'c>(chosen: &'c Chosen<'_>) -> Result<Locked<'c>> {
    let locked = chosen.instance.lock().map_err(|error| disk_failure(&error))?;
    locked.ok_or_else(|| {
        Failure::new(Kind::Locked, format!("another command is at {}", chosen.name))
            .hint("wait for it to end, then run this again")
            .into()
    })
}

/// Does one thing to an instance and remembers how it ended.
pub(super) fn step(
    kitchen: &Kitchen,
    chosen: &Chosen<'_>,
    locked: &Locked<'_>,
    action: Action,
    output: &Output,
) -> Result<()> {
    let name = &chosen.name;
    let Some(planned) = chosen.planned else {
        let failure = Failure::new(Kind::Usage, format!("the kitchen file does not name {name}"));
        return Err(failure.hint(format!("skep kitchen:destroy {name}")).into());
    };
    output.say(&format!("{} {name}", action.name()));
    let begun = Instant::now();
    let done = locked.act(action, || {
        let done = match action {
            Action::Create => create(kitchen, planned, locked, output),
            Action::Converge => converge(chosen, planned, output),
            Action::Verify => super::verify::verify(kitchen, chosen, planned, output),
            Action::Destroy => Ok(()),
        };
        done.map_err(|error| match error {
            Error::Failure(failure) => *failure,
            Error::ReaderGone => Failure::new(Kind::Interrupted, "nobody reads the output"),
        })
    });
    done.map_err(|error| disk_failure(&error))??;
    output.say(&format!(
        "{} {name}: done in {}",
        action.name(),
        elapsed(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX))
    ));
    Ok(())
}

/// Makes the machine, unless it lives.
fn create(
    kitchen: &Kitchen,
    planned: &Planned,
    locked: &Locked<'_>,
    output: &Output,
) -> Result<()> {
    let instance = locked.instance();
    let failed = |error: disk::DiskError| {
        let failure = disk_failure(&error);
        match failure.kind {
            Kind::Permission => failure.hint("mounts and namespaces must be allowed here"),
            _ => failure,
        }
    };
    // A machine that lives and was not finished in the record is not known to be one.
    let record = instance.record().map_err(failed)?;
    if record.state > ::kitchen::instance::State::Absent {
        return Ok(());
    }
    kitchen.home.create()?;
    let say = |text: &str| output.say(text);
    let lower = base::lower(&kitchen.home, &kitchen.directory, &planned.base, &say);
    let lower = lower.map_err(Failure::from)?;
    let directory = locked.clear().map_err(failed)?;
    disk::create_directories(&instance.given(), 0o700).map_err(failed)?;
    let mut shared = vec![
        ("repository".to_owned(), kitchen.repository.clone()),
        ("given".to_owned(), instance.given()),
        ("bin/skep".to_owned(), parts::executable()?),
    ];
    if kitchen.home.key().is_file() {
        shared.push(("key".to_owned(), kitchen.home.key()));
    }
    let setup = Setup {
        hostname: planned.name.clone(),
        lower,
        shared,
        metadata: metadata(planned),
        outside: planned.suite.network == Network::Outside,
    };
    Machine::create(&directory, &setup, &parts::executable()?).map_err(failed)?;
    Ok(())
}

/// What every instance can be asked, and what the suite says.
fn metadata(planned: &Planned) -> std::collections::BTreeMap<String, String> {
    let mut metadata: std::collections::BTreeMap<String, String> = [
        ("meta-data/instance-id", "i-0123456789abcdef0"),
        ("meta-data/instance-type", "kitchen"),
        ("meta-data/local-hostname", planned.name.as_str()),
        ("meta-data/local-ipv4", "127.0.0.1"),
        ("meta-data/placement/region", "kitchen-1"),
        ("meta-data/placement/availability-zone", "kitchen-1a"),
    ]
    .map(|(path, value)| (path.to_owned(), value.to_owned()))
    .into();
    metadata.extend(planned.suite.metadata.clone());
    metadata
}

/// Runs the suite's recipes in the machine: `skep converge`, as on any machine.
pub(super) fn converge(chosen: &Chosen<'_>, planned: &Planned, output: &Output) -> Result<()> {
    let machine = machine_of(chosen)?;
    give(chosen, planned)?;
    let mut words: Vec<_> = vec!["converge".into()];
    words.extend(inside::target_in(&machine, planned)?);
    match inside::run(inside::skep(&machine, &words)?, output)? {
        0 => Ok(()),
        code => Err(ended("converge", &chosen.name, code).into()),
    }
}

/// Fails if converging once more would change anything, or may.
pub(super) fn converge_again(
    chosen: &Chosen<'_>,
    planned: &Planned,
    output: &Output,
) -> Result<()> {
    let machine = machine_of(chosen)?;
    let mut words: Vec<_> = vec!["plan".into()];
    words.extend(inside::target_in(&machine, planned)?);
    match inside::run(inside::skep(&machine, &words)?, output)? {
        0 => converge(chosen, planned, output),
        2 => {
            let message = format!("{} is not done after one converge", chosen.name);
            Err(Failure::new(Kind::Failed, message)
                .cause("a second one would change, or may change, what the plan above says")
                .hint("a command needs a guard that holds once it ran: not_if, only_if")
                .into())
        }
        code => Err(ended("plan", &chosen.name, code).into()),
    }
}

/// Writes what the machine is given with a converge.
fn give(chosen: &Chosen<'_>, planned: &Planned) -> Result<()> {
    let attributes = &planned.suite.attributes;
    let mut files = vec![("attributes.json", attributes.clone())];
    if let Runs::RunList(items) = &planned.suite.runs {
        let mut dna = attributes.clone();
        dna.insert("run_list".to_owned(), items.clone().into());
        files.push(("dna.json", dna));
    }
    let given = chosen.instance.given();
    for (name, value) in files {
        let text = serde_json::Value::Object(value).to_string();
        disk::write_atomically(&given.join(name), text.as_bytes(), 0o600)
            .map_err(|error| disk_failure(&error))?;
    }
    Ok(())
}

/// Returns the failure of a `skep` in the machine; what went wrong, that one said itself.
pub(super) fn ended(command: &str, instance: &str, code: i32) -> Failure {
    let kinds = [
        Kind::Partial,
        Kind::Leftovers,
        Kind::Locked,
        Kind::Usage,
        Kind::Unavailable,
        Kind::Temporary,
        Kind::Interrupted,
    ];
    let kind = kinds.into_iter().find(|kind| i32::from(kind.exit_code()) == code);
    Failure::new(kind.unwrap_or(Kind::Failed), format!("failed to {command} in {instance}"))
        .cause(format!("`skep {command}` in the machine ended with {code}"))
        .hint(format!("skep kitchen:login {instance}    to look around"))
}
