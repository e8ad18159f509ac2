//! A bound on what evaluating recipes may take, on top of those of the language.
//!
//! One expression can ask for all memory there is. The limit makes that the end of this process, at a
//! time when nothing on the machine has changed, and not the end of others.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Address space beyond which an evaluation ends: the bounds of the language add up to less than a
/// quarter of it, its stack and this program's libraries included.
const MAX_BYTES: u64 = 8 << 30;

/// Does something with bounded memory, and lifts the bound again: programs that converge starts do not
/// inherit it.
pub(super) fn bounded<T>(within: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::As);
    let tighter = before.current.is_none_or(|current| current > MAX_BYTES);
    // A limit that cannot be set is none; the language's own hold.
    let set =
        tighter && setrlimit(Resource::As, Rlimit { current: Some(MAX_BYTES), ..before }).is_ok();
    let done = within();
    if set {
        let _ = setrlimit(Resource::As, before);
    }
    done
}
