//! `+`, `*`, `%` and `range` with bounds: without, one expression could take all memory. And `==`,
//! which must not tell a secret.

use std::fmt;
use std::num::NonZeroI32;

use allocative::Allocative;
use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::values::range::Range;
use starlark::values::{
    NoSerialize, ProvidesStaticType, StarlarkPagablePanic, StarlarkValue, UnpackValue, Value,
    starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::complaint::Complaint;
use crate::convert::items;
use crate::functions::secret_word::SecretWord;
use crate::limits::{MAX_PRODUCT, MAX_RANGE};
use crate::script::check_heap;

const ADD: &str = "+";
const MULTIPLY: &str = "*";
const PERCENT: &str = "%";
const EQUAL: &str = "==";
const UNEQUAL: &str = "!=";

/// The operators that are calls in a parsed file. The function is called as the operator is: no
/// name of the user's can be the same.
pub(crate) const REPLACED: [&str; 5] = [ADD, MULTIPLY, PERCENT, EQUAL, UNEQUAL];

pub(crate) fn add(builder: &mut GlobalsBuilder) {
    for operator in REPLACED {
        builder.set(operator, Operator(operator));
    }
    functions(builder);
}

/// Returns how long text or a list is.
fn length(value: Value<'_>) -> Option<usize> {
    value.unpack_str().map(str::len).or_else(|| items(value).map(<[_]>::len))
}

fn check_product<'v>(left: Value<'v>, right: Value<'v>) -> Result<(), Complaint> {
    let (length, times) = match (length(left), length(right)) {
        (Some(length), None) => (length, right),
        (None, Some(length)) => (length, left),
        _ => return Ok(()),
    };
    let times = i64::unpack_value(times).ok().flatten().unwrap_or(i64::MAX);
    let product = usize::try_from(times.max(0)).ok().and_then(|times| times.checked_mul(length));
    match product.is_some_and(|product| product <= MAX_PRODUCT) {
        true => Ok(()),
        false => {
            Err(Complaint::limit(format!("`*` would make more than {MAX_PRODUCT} bytes or items")))
        }
    }
}

/// One of the operators, as a function of two values.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative, StarlarkPagablePanic)]
struct Operator(#[allocative(skip)] &'static str);

starlark_simple_value!(Operator);

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[starlark_value(type = "operator")]
impl<'v> StarlarkValue<'v> for Operator {
    fn invoke(
        &self,
        _me: Value<'v>,
        arguments: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let heap = eval.heap();
        let mut operands = arguments.positions(heap)?;
        let (Some(left), Some(right)) = (operands.next(), operands.next()) else {
            return Err(Complaint::new("an operator has two operands").into());
        };
        drop(operands);
        let made = match self.0 {
            ADD => left.add(right, heap)?,
            PERCENT => left.percent(right, heap)?,
            EQUAL | UNEQUAL => {
                // Only the left side would be asked; the right one may be the secret.
                let secret = SecretWord::from_value(right).is_some();
                let equal = if secret { right.equals(left)? } else { left.equals(right)? };
                return Ok(Value::new_bool(equal == (self.0 == EQUAL)));
            }
            _ => {
                check_product(left, right)?;
                left.mul(right, heap)?
            }
        };
        check_heap(eval)?;
        Ok(made)
    }
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// The numbers from `start` (0) up to `stop`, which is not among them.
    fn range(
        #[starlark(require = pos)] first: i32,
        #[starlark(require = pos)] second: Option<i32>,
        #[starlark(require = pos, default = 1)] step: i32,
    ) -> starlark::Result<Range> {
        let (start, stop) = second.map_or((0, first), |stop| (first, stop));
        let Some(step) = NonZeroI32::new(step) else {
            return Err(Complaint::new("the step of `range` cannot be 0").at_position(2).into());
        };
        let span = (i64::from(stop) - i64::from(start)) / i64::from(step.get());
        match span > MAX_RANGE {
            true => {
                Err(Complaint::limit(format!("a `range` of more than {MAX_RANGE} numbers")).into())
            }
            false => Ok(Range::new(start, stop, step)),
        }
    }
}
