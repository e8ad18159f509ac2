//! The second layer: what the server of a service needs, with the slot's places filled in.
//!
//! Which variables those are is data in [`app::profile`]; here `{port}` and `{runtime}` become the
//! slot's. A variable whose placeholder the slot has nothing for is left out.

use app::model::Service;

use crate::construct::Slot;

/// A variable of the layer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProfileVariable {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: String,
}

/// Returns the layer's variables.
pub(crate) fn variables(service: &Service, slot: &Slot<'_>) -> Vec<ProfileVariable> {
    let profile = service.profile.as_deref().unwrap_or("none");
    app::profile::variables(service)
        .into_iter()
        .filter_map(|variable| {
            let value = fill(variable.value, slot)?;
            let source = format!("{profile}: {}", variable.why);
            Some(ProfileVariable { name: variable.name, value, source })
        })
        .collect()
}

fn fill(template: &str, slot: &Slot<'_>) -> Option<String> {
    let runtime = slot.runtime.map(|path| path.to_string_lossy().into_owned());
    let mut value = template.to_owned();
    for (placeholder, filling) in [("{port}", slot.port), ("{runtime}", runtime.as_deref())] {
        if value.contains(placeholder) {
            value = value.replace(placeholder, filling?);
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn placeholders_are_the_slots_and_what_it_lacks_is_left_out() {
        let slot = Slot { number: 0, port: None, runtime: Some(Path::new("/run/slot")) };
        assert_eq!(fill("{runtime}/x", &slot).as_deref(), Some("/run/slot/x"));
        assert_eq!(fill("127.0.0.1:{port}", &slot), None);
        assert_eq!(fill("1", &slot).as_deref(), Some("1"));
        let slot = Slot { port: Some("8123"), ..slot };
        assert_eq!(fill("127.0.0.1:{port}", &slot).as_deref(), Some("127.0.0.1:8123"));
    }
}
