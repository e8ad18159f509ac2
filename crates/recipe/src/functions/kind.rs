//! The function of a kind of resource, made from its schema.

use std::fmt;

use allocative::Allocative;
use resource::{Condition, Place, ResourceId, Schema, Value as Plain};
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_simple_value;
use starlark::values::{
    NoSerialize, ProvidesStaticType, StarlarkPagablePanic, StarlarkValue, Value, ValueLike,
    starlark_value,
};

use crate::complaint::Complaint;
use crate::convert::{from_word, items, name_of};
use crate::declare::{self, Given, Signal};
use crate::functions::conditions::ConditionWord;
use crate::functions::handle::Handle;
use crate::functions::notifications::NotificationWord;
use crate::limits::MAX_CALL_DEPTH;
use crate::run::{Run, run};
use crate::trace::place;

/// Declares resources of one kind.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative, StarlarkPagablePanic)]
pub(crate) struct KindFunction(#[allocative(skip)] &'static Schema);

starlark_simple_value!(KindFunction);

impl KindFunction {
    pub(crate) fn new(schema: &'static Schema) -> Self {
        Self(schema)
    }
}

impl fmt::Display for KindFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind)
    }
}

#[starlark_value(type = "function")]
impl<'v> StarlarkValue<'v> for KindFunction {
    fn name_for_call_stack(&self, _me: Value<'v>) -> String {
        self.0.kind.to_owned()
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        arguments: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let run = run(eval)?;
        let positions: Vec<Value<'v>> = arguments.positions(eval.heap())?.collect();
        let mut given = Vec::new();
        for (name, value) in arguments.names_map()? {
            let name = name.as_str();
            let value =
                self.given(run, name, value).map_err(|complaint| complaint.at_name(name))?;
            given.extend(value.map(|value| (name.to_owned(), value)));
        }
        let name = match positions.as_slice() {
            [] => None,
            [name] => {
                let name = from_word(&run.secrets, *name);
                Some(name.map_err(|complaint| complaint.at_position(0))?)
            }
            _ => {
                let label = format!("`{}` takes one name; everything else is named", self.0.kind);
                let hint = "write `mode = \"0644\"` for what is to be its mode";
                return Err(Complaint::new(label).at_position(1).hint(hint).into());
            }
        };
        let places = places(eval);
        let cookbook = match places.first() {
            Some(place) => run.cookbook_of(&place.file)?,
            None => return Err(Complaint::new("a resource is declared in a file").into()),
        };
        let id = declare::declare(run, self.0, name, given, places, &cookbook)?;
        Ok(eval.heap().alloc(Handle::new(id)))
    }
}

impl KindFunction {
    /// Returns an argument's value, `None` for what is not given.
    fn given(
        &self,
        run: &Run<'_>,
        name: &str,
        value: Value<'_>,
    ) -> Result<Option<Given>, Complaint> {
        if value.is_none() {
            return Ok(None);
        }
        // A property of the kind comes before what every resource has.
        let common = self.0.property(name).is_none();
        Ok(Some(match name {
            "after" if common => Given::Resources(resources(value)?),
            "notifies" | "subscribes" if common => Given::Signals(signals(name, value)?),
            "only_if" | "not_if" if common => Given::Conditions(conditions(name, value)?),
            _ => match from_word(&run.secrets, value)? {
                Plain::Null => return Ok(None),
                value => Given::Value(value),
            },
        }))
    }
}

/// Returns the calls that led here, innermost first.
fn places(eval: &Evaluator<'_, '_, '_>) -> Vec<Place> {
    let mut places = Vec::new();
    for nth in 0..eval.call_stack_count().min(MAX_CALL_DEPTH) {
        places.extend(eval.call_stack_nth_location(nth).map(|span| place(&span)));
    }
    places
}

/// Returns what one value or a list of them gives.
fn each<'v, T>(
    value: Value<'v>,
    take: impl Fn(Value<'v>) -> Result<T, Complaint>,
) -> Result<Vec<T>, Complaint> {
    match items(value) {
        Some(items) => items.iter().map(|item| take(*item)).collect(),
        None => Ok(vec![take(value)?]),
    }
}

fn resources(value: Value<'_>) -> Result<Vec<ResourceId>, Complaint> {
    let hint = "a resource is what its function returns: `nginx = package(\"nginx\")`, then \
                `after = [nginx]`";
    each(value, |value| match value.downcast_ref::<Handle>() {
        Some(handle) => Ok(handle.id()),
        None => Err(other("after", "resources", value).hint(hint)),
    })
}

fn signals(name: &str, value: Value<'_>) -> Result<Vec<Signal>, Complaint> {
    each(value, |value| match value.downcast_ref::<NotificationWord>() {
        Some(word) => Ok(Signal {
            action: word.action().to_owned(),
            resource: word.resource(),
            timing: word.timing(),
        }),
        None => Err(other(name, "notifications", value)
            .hint(format!("say what is to happen: `{name} = restart(svc)`"))),
    })
}

fn conditions(name: &str, value: Value<'_>) -> Result<Vec<Condition>, Complaint> {
    let hint = "conditions are `exists(path)`, `installed(package)`, `has_user(name)` and \
                `command([…])`; what is known before the machine is looked at is an `if`";
    each(value, |value| match value.downcast_ref::<ConditionWord>() {
        Some(word) => Ok(word.0.clone()),
        None => Err(other(name, "conditions", value).hint(hint)),
    })
}

/// Returns what to say of a value of another type.
fn other(name: &str, expected: &str, found: Value<'_>) -> Complaint {
    Complaint::new(format!("`{name}` takes {expected}, not {}", name_of(found)))
}
