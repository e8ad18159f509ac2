//! One declaration from what was given, whatever language it was given in.

use report::quantity::{QuantityError, parse_duration};
use resource::{
    Condition, Declaration, Guard, Notification, Place, ResourceId, Schema, Timing, Value,
};

use crate::complaint::Complaint;
use crate::evaluated::Reads;
use crate::files;
use crate::run::Run;

/// What was given for a name.
pub(crate) enum Given {
    Value(Value),
    Resources(Vec<ResourceId>),
    Signals(Vec<Signal>),
    Conditions(Vec<Condition>),
}

/// An action and a resource: in `notifies` the one that acts, in `subscribes` the one that causes
/// it.
pub(crate) struct Signal {
    pub(crate) action: String,
    pub(crate) resource: ResourceId,
    pub(crate) timing: Timing,
}

/// Declares a resource; `cookbook` is whose files it names.
pub(crate) fn declare(
    run: &Run<'_>,
    schema: &'static Schema,
    name: Option<Value>,
    given: Vec<(String, Given)>,
    places: Vec<Place>,
    cookbook: &str,
) -> Result<ResourceId, Complaint> {
    let kind = schema.kind;
    let nowhere = Place { file: String::new(), line: 1, column: 1 };
    let first = places.first().cloned().unwrap_or(nowhere);
    let recipe = run.recipe_now()?;
    let id = ResourceId::new(kind, name_of(schema, name.as_ref(), &given)?);
    let mut declaration = Declaration::new(id, schema.default_action(), recipe, first);
    declaration.places = places;
    // A list of names is the property that is the name.
    if let Some(names @ Value::List(_)) = name {
        declaration.properties.insert(schema.named.to_owned(), names);
    }
    let mut signals = Vec::new();
    let mut files = files::Files::default();
    for (name, value) in given {
        let common = schema.property(&name).is_none();
        let taken = match (name.as_str(), value) {
            ("source", Given::Value(source)) if files::renders(kind) => files.source(&source),
            ("vars", Given::Value(vars)) if files::has_vars(kind) => files.vars(vars),
            (_, Given::Value(value)) if common => set_common(&mut declaration, &name, value),
            (_, Given::Value(value)) => {
                set_property(&mut declaration, &name, value);
                Ok(())
            }
            (_, Given::Resources(ids)) => {
                declaration.after.extend(ids);
                Ok(())
            }
            (_, Given::Conditions(conditions)) => {
                let wanted = name == "only_if";
                let guards = conditions.into_iter().map(|condition| Guard { wanted, condition });
                declaration.guards.extend(guards);
                Ok(())
            }
            ("notifies", Given::Signals(given)) => notifies(run, &mut declaration, given),
            (_, Given::Signals(given)) => {
                signals = given;
                Ok(())
            }
        };
        taken.map_err(|complaint| complaint.at_name(&name))?;
    }
    let template: Option<Reads> = files.fill(run, schema, cookbook, &mut declaration)?;
    schema.check(&declaration).map_err(Complaint::from).map_err(|complaint| {
        // The name was not given by name.
        match &complaint.argument {
            Some(crate::complaint::Argument::Name(property))
                if property == schema.named && !declaration.properties.contains_key(property) =>
            {
                Complaint { argument: None, ..complaint }.at_position(0)
            }
            _ => complaint,
        }
    })?;
    let id = declaration.id.clone();
    for signal in signals {
        check_action(schema, &signal.action)
            .map_err(|complaint| complaint.at_name("subscribes"))?;
        let Signal { action, resource, timing } = signal;
        run.subscribe(resource, Notification { action, target: id.clone(), timing });
    }
    run.declare(declaration, template)?;
    Ok(id)
}

/// Returns the name: what was given without a name, else the property that is the name.
fn name_of(
    schema: &Schema,
    name: Option<&Value>,
    given: &[(String, Given)],
) -> Result<String, Complaint> {
    let kind = schema.kind;
    let named = given.iter().find_map(|(name, given)| match given {
        Given::Value(value) if name == schema.named => Some(value),
        _ => None,
    });
    let refused = |found: &str| {
        Complaint::new(format!("the name of a `{kind}` is text, not {found}")).at_position(0)
    };
    let name = match name.or(named) {
        Some(Value::Text(text)) => text.to_string(),
        Some(Value::List(names)) if !names.is_empty() => {
            let names = names.iter().map(|name| match name {
                Value::Text(text) => Ok(&**text),
                other => Err(refused(other.what())),
            });
            names.collect::<Result<Vec<_>, _>>()?.join(" ")
        }
        Some(Value::List(_)) => return Err(refused("an empty list")),
        Some(Value::Secret(_)) => return Err(refused("a secret: plans show it")),
        Some(other) => return Err(refused(other.what())),
        None => {
            let label = format!("`{kind}` needs a name");
            let hint = format!("write `{kind}(\"…\")`: its {}", schema.named);
            return Err(Complaint::new(label).hint(hint));
        }
    };
    let fit = !name.is_empty() && !name.chars().any(char::is_control);
    match fit {
        true => Ok(name),
        false => Err(refused("empty, and without line ends")),
    }
}

fn set_property(declaration: &mut Declaration, name: &str, value: Value) {
    if value != Value::Null {
        declaration.properties.insert(name.to_owned(), value);
    }
}

/// Sets what every resource has; any other name is left for the schema to refuse.
fn set_common(declaration: &mut Declaration, name: &str, value: Value) -> Result<(), Complaint> {
    let found = match &value {
        Value::Text(text) => format!("`{text}`"),
        Value::Integer(integer) => format!("`{integer}`"),
        other => other.what().to_owned(),
    };
    let expected = |what: &str| Complaint::new(format!("`{name}` must be {what}, not {found}"));
    match (name, value) {
        ("action", Value::Text(action)) => declaration.action = action.to_string(),
        ("action", _) => return Err(expected("text")),
        ("user", Value::Text(user)) if !user.is_empty() && !user.contains('\0') => {
            declaration.user = Some(user.to_string());
        }
        ("user", _) => return Err(expected("the name of a user")),
        ("retries", Value::Integer(count)) => {
            declaration.retries =
                u32::try_from(count).map_err(|_| expected("a whole number from 0"))?;
        }
        ("retries", _) => return Err(expected("a whole number from 0")),
        ("retry_delay", value) => declaration.retry_delay_ms = duration(name, &value)?,
        ("timeout", value) => declaration.timeout_ms = Some(duration(name, &value)?),
        ("ignore_failure", Value::Bool(bool)) => declaration.ignore_failure = bool,
        ("sensitive", Value::Bool(bool)) => declaration.sensitive = bool,
        ("ignore_failure" | "sensitive", _) => return Err(expected("`True` or `False`")),
        (_, value) => set_property(declaration, name, value),
    }
    Ok(())
}

/// Returns a duration in milliseconds.
pub(crate) fn duration(name: &str, value: &Value) -> Result<u64, Complaint> {
    let parsed = match value {
        Value::Text(text) => parse_duration(text),
        Value::Integer(number) => Err(QuantityError::NoUnit(number.to_string())),
        _ => Err(QuantityError::NotADuration),
    };
    parsed.map_err(|error| Complaint::new(format!("`{name}`: {error}")))
}

fn notifies(
    run: &Run<'_>,
    declaration: &mut Declaration,
    signals: Vec<Signal>,
) -> Result<(), Complaint> {
    for Signal { action, resource, timing } in signals {
        if let Some(schema) = run.schema(&resource.kind) {
            check_action(schema, &action)?;
        }
        declaration.notifies.push(Notification { action, target: resource, timing });
    }
    Ok(())
}

fn check_action(schema: &Schema, action: &str) -> Result<(), Complaint> {
    if schema.actions.iter().any(|known| known.name == action) {
        return Ok(());
    }
    let known: Vec<String> =
        schema.actions.iter().map(|known| format!("`{}`", known.name)).collect();
    Err(Complaint::new(format!("{} cannot `{action}`; it can {}", schema.kind, known.join(", "))))
}
