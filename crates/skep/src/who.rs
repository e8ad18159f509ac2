//! Who asks, for the record of a release.

/// Longest name that is sent on.
const MAX_CHARS: usize = 64;

/// Returns the user's name: whoever called `sudo`, else `USER`, else the number. A remark for
/// people, not a proof: what somebody may do is decided by the socket's credentials.
pub(crate) fn who() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty() && !name.chars().any(char::is_control));
    match named {
        Some(name) => name.chars().take(MAX_CHARS).collect(),
        None if rustix::process::getuid().is_root() => "root".to_owned(),
        None => format!("uid {}", rustix::process::getuid().as_raw()),
    }
}
