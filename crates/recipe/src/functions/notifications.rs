//! `restart(svc)` and its kind: an action and a resource.
//!
//! In `notifies` it is what another resource does when this one changes; in `subscribes` what this
//! one does when the other changes.

use std::fmt;

use allocative::Allocative;
use resource::{ResourceId, Timing};
use starlark::environment::GlobalsBuilder;
use starlark::values::{
    NoSerialize, ProvidesStaticType, StarlarkPagable, StarlarkValue, Value, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value, values::ValueLike};

use crate::complaint::Complaint;
use crate::convert::name_of;
use crate::functions::handle::Handle;

/// An action, a resource and when.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, Allocative, StarlarkPagable)]
pub(crate) struct NotificationWord {
    action: String,
    resource: Handle,
    immediate: bool,
}

starlark_simple_value!(NotificationWord);

impl NotificationWord {
    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    pub(crate) fn resource(&self) -> ResourceId {
        self.resource.id()
    }

    pub(crate) fn timing(&self) -> Timing {
        if self.immediate { Timing::Immediate } else { Timing::Delayed }
    }
}

impl fmt::Display for NotificationWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.action, self.resource)
    }
}

#[starlark_value(type = "notification")]
impl<'v> StarlarkValue<'v> for NotificationWord {}

/// The timings that `when` takes.
pub(crate) const TIMINGS: [(&str, Timing); 2] =
    [("delayed", Timing::Delayed), ("immediately", Timing::Immediate)];

fn notice(
    function: &str,
    action: &str,
    resource: Value<'_>,
    when: &str,
) -> Result<NotificationWord, Complaint> {
    let handle = resource.downcast_ref::<Handle>().ok_or_else(|| {
        let label = format!("`{function}` takes a resource, not {}", name_of(resource));
        Complaint::new(label)
            .at_position(0)
            .hint("a resource is what its function returns: `nginx = package(\"nginx\")`")
    })?;
    let Some((_, timing)) = TIMINGS.iter().find(|(name, _)| *name == when) else {
        let label = format!("`when` is `\"delayed\"` or `\"immediately\"`, not `\"{when}\"`");
        return Err(Complaint::new(label).at_name("when"));
    };
    let immediate = *timing == Timing::Immediate;
    Ok(NotificationWord { action: action.to_owned(), resource: handle.clone(), immediate })
}

pub(crate) fn add(builder: &mut GlobalsBuilder) {
    functions(builder);
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Restarts a service.
    fn restart<'v>(
        #[starlark(require = pos)] resource: Value<'v>,
        #[starlark(require = named, default = "delayed")] when: &str,
    ) -> starlark::Result<NotificationWord> {
        Ok(notice("restart", "restart", resource, when)?)
    }

    /// Reloads a service.
    fn reload<'v>(
        #[starlark(require = pos)] resource: Value<'v>,
        #[starlark(require = named, default = "delayed")] when: &str,
    ) -> starlark::Result<NotificationWord> {
        Ok(notice("reload", "reload", resource, when)?)
    }

    /// Starts a service.
    fn start<'v>(
        #[starlark(require = pos)] resource: Value<'v>,
        #[starlark(require = named, default = "delayed")] when: &str,
    ) -> starlark::Result<NotificationWord> {
        Ok(notice("start", "start", resource, when)?)
    }

    /// Stops a service.
    fn stop<'v>(
        #[starlark(require = pos)] resource: Value<'v>,
        #[starlark(require = named, default = "delayed")] when: &str,
    ) -> starlark::Result<NotificationWord> {
        Ok(notice("stop", "stop", resource, when)?)
    }

    /// Runs a command.
    fn run<'v>(
        #[starlark(require = pos)] resource: Value<'v>,
        #[starlark(require = named, default = "delayed")] when: &str,
    ) -> starlark::Result<NotificationWord> {
        Ok(notice("run", "run", resource, when)?)
    }

    /// Any action of any resource.
    fn notify<'v>(
        #[starlark(require = pos)] resource: Value<'v>,
        #[starlark(require = pos)] action: &str,
        #[starlark(require = named, default = "delayed")] when: &str,
    ) -> starlark::Result<NotificationWord> {
        Ok(notice("notify", action, resource, when)?)
    }
}
