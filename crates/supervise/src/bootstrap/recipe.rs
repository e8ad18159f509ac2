//! How the agent itself is started.

use std::path::Path;
use std::time::Duration;

use control::shim::{RestartPolicy, SlotSocket, SlotSpec};
use control::{ServiceName, SlotId};
use home::Home;
use rustix::process::{Resource, geteuid, getrlimit};

/// The agent's one slot. Its generation never changes: the agent has no releases.
pub const AGENT_SLOT: SlotId =
    SlotId { generation: control::Generation(1), number: control::SlotNumber(0) };

/// How long the agent may take to end: it finishes or parks what it is doing.
pub(crate) const AGENT_GRACE: Duration = Duration::from_secs(30);

/// Open files the agent asks for: four a slot it keeps descriptors of, and connections.
const AGENT_OPEN_FILES: u64 = 65_536;

/// Where programs are looked for. Constructed, not inherited: the agent must not depend on who
/// started it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Members of this group may use the API of root's installation.
const API_GROUP: &str = "skep";

/// `/etc/passwd` and `/etc/group` are read up to here.
const MAX_ACCOUNTS_BYTES: u64 = 4 << 20;

/// Returns the service that the agent is: `skep/agent`.
pub fn agent_service() -> ServiceName {
    ServiceName::new("skep", "agent").expect("both names are lowercase letters")
}

/// Returns how the agent of `home` is started: `program` with `arguments`, in a constructed
/// environment, with the API's socket at descriptor 3.
///
/// As root the socket is open to group `skep`, where there is one; else to its owner only.
pub fn agent_recipe(home: &Home, program: &Path, arguments: &[String]) -> SlotSpec {
    let uid = geteuid();
    let user_home = account_field("/etc/passwd", 2, &uid.as_raw().to_string(), 5)
        .filter(|path| path.starts_with('/'))
        .unwrap_or_else(|| home.root().to_string_lossy().into_owned());
    let group = if uid.is_root() {
        account_field("/etc/group", 0, API_GROUP, 2).and_then(|gid| gid.parse().ok())
    } else {
        None
    };
    let environment = [
        ("HOME", user_home),
        ("PATH", PATH.to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("SKEP_HOME", home.root().to_string_lossy().into_owned()),
    ];
    SlotSpec {
        id: AGENT_SLOT,
        release: "agent".to_owned(),
        program: program.to_string_lossy().into_owned(),
        arguments: arguments.to_vec(),
        directory: "/".to_owned(),
        environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
        credentials: None,
        socket: SlotSocket::Unix {
            path: home.api_socket().to_string_lossy().into_owned(),
            mode: if group.is_some() { 0o660 } else { 0o600 },
            group,
        },
        notify: false,
        restart: RestartPolicy::Always,
        stop_signal: 15,
        signal_all: false,
        stop_grace_ms: AGENT_GRACE.as_millis() as u64,
        lease: None,
        umask: 0o022,
        // More than the hard limit would have to be refused.
        open_files: Some(
            getrlimit(Resource::Nofile)
                .maximum
                .map_or(AGENT_OPEN_FILES, |hard| hard.min(AGENT_OPEN_FILES)),
        ),
        process_socket: None,
    }
}

/// Returns field `wanted` of the first line whose field `key` is `value`.
fn account_field(file: &str, key: usize, value: &str, wanted: usize) -> Option<String> {
    let bytes = disk::read_limited(Path::new(file), MAX_ACCOUNTS_BYTES).ok()?;
    find_field(&String::from_utf8_lossy(&bytes), key, value, wanted)
}

fn find_field(text: &str, key: usize, value: &str, wanted: usize) -> Option<String> {
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(key) == Some(&value)).then(|| fields.get(wanted).map(|&f| f.to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_field() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(find_field(passwd, 2, "1000", 5).as_deref(), Some("/home/ann"));
        assert_eq!(find_field(passwd, 2, "10", 5), None);
        assert_eq!(find_field("skep:x:77:ann\n", 0, "skep", 2).as_deref(), Some("77"));
        assert_eq!(find_field("skep\n", 0, "skep", 2), None);
    }

    #[test]
    fn the_environment_is_constructed() {
        let home = Home::at("/srv/skep");
        let recipe = agent_recipe(&home, Path::new("/bin/skep"), &["skep".to_owned()]);
        let names: Vec<&str> = recipe.environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HOME", "PATH", "LANG", "SKEP_HOME"]);
        assert!(matches!(recipe.socket, SlotSocket::Unix { mode: 0o600 | 0o660, .. }));
    }
}
