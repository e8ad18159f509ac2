//! A secret as a value of the language.

use std::fmt;

use allocative::Allocative;
use starlark::starlark_simple_value;
use starlark::values::{
    Heap, NoSerialize, ProvidesStaticType, StarlarkPagable, StarlarkValue, Value, starlark_value,
};

use crate::complaint::Complaint;

/// Text with marks; see [`crate::secret`].
#[derive(ProvidesStaticType, NoSerialize, Allocative, StarlarkPagable)]
pub(crate) struct SecretWord(String);

starlark_simple_value!(SecretWord);

impl SecretWord {
    pub(crate) fn new(marked: String) -> Self {
        Self(marked)
    }

    /// Returns the text with its marks.
    pub(crate) fn marked(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretWord {
    /// Writes the marks: the language makes text of values in this way.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Returns the text of what can stand beside a secret in a `+`.
fn text(value: Value<'_>) -> Option<&str> {
    let secret = SecretWord::from_value(value).map(SecretWord::marked);
    secret.or_else(|| value.unpack_str())
}

#[starlark_value(type = "secret")]
impl<'v> StarlarkValue<'v> for SecretWord {
    fn add(&self, right: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let right = text(right)?;
        Some(Ok(heap.alloc(Self(format!("{}{right}", self.0)))))
    }

    fn radd(&self, left: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let left = text(left)?;
        Some(Ok(heap.alloc(Self(format!("{left}{}", self.0)))))
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        match other.is_none() {
            true => Ok(false),
            false => Err(Complaint::new("a secret cannot be compared").into()),
        }
    }
}
