//! Attributes by their paths.

use resource::Value;

use crate::complaint::Complaint;

/// Finds a path in the attributes; what is not there is told with the names beside it.
pub(crate) fn find<'a>(root: &'a Value, path: &str) -> Result<&'a Value, Complaint> {
    let mut at = root;
    let mut above = String::new();
    for name in path.split('.') {
        let Value::Map(members) = at else {
            let label = format!("no attribute `{path}`: `{above}` is {}", at.what());
            return Err(Complaint::new(label));
        };
        let whole = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        at = members.get(name).ok_or_else(|| {
            let prefix = if above.is_empty() { String::new() } else { format!("{above}.") };
            let known: Vec<String> = members.keys().map(|key| format!("{prefix}{key}")).collect();
            Complaint::missing("attribute", &whole, "", &known)
        })?;
        above = whole;
    }
    Ok(at)
}
