//! One golden file per message of protocol version 1, replayed for ever: what this build writes is
//! what the file says, and what any build ever wrote still parses to the same value.
//!
//! A new message or field gets a new file; `SKEP_BLESS=1` writes files that are missing and never
//! changes one that is there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod proxy;
mod shim;

use std::fmt::Debug;
use std::path::Path;

use control::{Hello, Role};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Compares a message with its file.
pub(crate) fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, message: &T) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/v1").join(format!("{name}.json"));
    if std::env::var_os("SKEP_BLESS").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = serde_json::to_string_pretty(message).unwrap();
        std::fs::write(&path, text + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; SKEP_BLESS=1 writes it", path.display()));
    let read: T = serde_json::from_str(&text).unwrap();
    assert_eq!(read, *message, "{name} does not parse to what it was");
    let kept: serde_json::Value = serde_json::from_str(&text).unwrap();
    let written = serde_json::to_value(message).unwrap();
    assert_contains(name, &written, &kept);
}

/// Whoever wrote the file may know fewer fields than this build, never others.
fn assert_contains(name: &str, written: &serde_json::Value, kept: &serde_json::Value) {
    match (written, kept) {
        (serde_json::Value::Object(written), serde_json::Value::Object(kept)) => {
            for (key, value) in kept {
                let here = written.get(key);
                let here =
                    here.unwrap_or_else(|| panic!("{name}: `{key}` is not written any more"));
                assert_contains(&format!("{name}.{key}"), here, value);
            }
        }
        _ => assert_eq!(written, kept, "{name} is written differently"),
    }
}

#[test]
fn hellos() {
    for (name, role) in [
        ("hello-agent", Role::Agent),
        ("hello-command", Role::Command),
        ("hello-shim", Role::Shim),
        ("hello-proxy", Role::Proxy),
    ] {
        golden(
            name,
            &Hello {
                protocol: [1, 1],
                role,
                build: "0.1.0".into(),
                boot_id: "6f1e…".into(),
                installation: "c6faa0516a32".into(),
            },
        );
    }
}

#[test]
fn what_a_later_version_says_is_not_an_error() {
    let request: control::shim::Numbered =
        serde_json::from_str(r#"{"id": 3, "type": "dance", "with": "me"}"#).unwrap();
    assert_eq!(request.request, control::shim::Request::Unknown);
    let message: control::proxy::Message =
        serde_json::from_str(r#"{"type": "dancing", "steps": 3}"#).unwrap();
    assert_eq!(message, control::proxy::Message::Unknown);
    let role: Hello = serde_json::from_str(
        r#"{"protocol": [1, 9], "role": "choreographer", "build": "9", "boot_id": "b",
            "installation": "i", "mood": "good"}"#,
    )
    .unwrap();
    assert_eq!(role.role, Role::Unknown);
}
