//! What a declaration returns: the resource, to name it in others.

use std::fmt;

use allocative::Allocative;
use resource::ResourceId;
use starlark::starlark_simple_value;
use starlark::values::{
    NoSerialize, ProvidesStaticType, StarlarkPagable, StarlarkValue, starlark_value,
};

/// A declared resource.
#[derive(
    Debug, Clone, PartialEq, Eq, ProvidesStaticType, NoSerialize, Allocative, StarlarkPagable,
)]
pub(crate) struct Handle {
    kind: String,
    name: String,
}

starlark_simple_value!(Handle);

impl Handle {
    pub(crate) fn new(id: ResourceId) -> Self {
        Self { kind: id.kind, name: id.name }
    }

    pub(crate) fn id(&self) -> ResourceId {
        ResourceId::new(&self.kind, &self.name)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.kind, self.name)
    }
}

#[starlark_value(type = "resource")]
impl<'v> StarlarkValue<'v> for Handle {}
