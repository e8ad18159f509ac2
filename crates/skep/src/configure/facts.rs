//! Facts: what is known of this machine without starting anything. Each is read when a recipe asks.

use std::fs;
use std::num::NonZero;

use resource::Value;

/// A fact's name and how it is found; `None`: this machine does not say.
type Fact = (&'static str, fn() -> Option<Value>);

static FACTS: &[Fact] = &[
    ("architecture", || Some(Value::text(rustix::system::uname().machine().to_str().ok()?))),
    ("cpu.count", || {
        let count = std::thread::available_parallelism().map(NonZero::get).ok()?;
        Some(Value::Integer(i64::try_from(count).ok()?))
    }),
    ("hostname", || Some(Value::text(rustix::system::uname().nodename().to_str().ok()?))),
    ("init", || Some(Value::text(fs::read_to_string("/proc/1/comm").ok()?.trim()))),
    ("kernel.release", || Some(Value::text(rustix::system::uname().release().to_str().ok()?))),
    ("memory.total_bytes", || Some(Value::Integer(memory_bytes()?))),
    ("os.codename", || os_release("VERSION_CODENAME")),
    ("os.id", || os_release("ID")),
    ("os.name", || os_release("PRETTY_NAME")),
    ("os.version", || os_release("VERSION_ID")),
    ("user", || Some(Value::Integer(i64::from(rustix::process::geteuid().as_raw())))),
];

/// Returns a fact, `None` if there is none of this name.
pub(super) fn fact(name: &str) -> Option<Value> {
    FACTS.iter().find(|(known, _)| *known == name).and_then(|(_, find)| find())
}

/// Returns the names of all facts.
pub(super) fn names() -> Vec<String> {
    FACTS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Returns a value of os-release(5).
fn os_release(key: &str) -> Option<Value> {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .into_iter()
        .find_map(|path| fs::read_to_string(path).ok())?;
    text.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.strip_prefix('=')?;
        Some(Value::text(value.trim_matches(['"', '\''])))
    })
}

fn memory_bytes() -> Option<i64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_them() {
        for name in
            ["architecture", "cpu.count", "hostname", "kernel.release", "memory.total_bytes"]
        {
            assert!(fact(name).is_some(), "{name}");
        }
        assert_eq!(fact("os"), None);
        assert!(names().is_sorted());
    }
}
