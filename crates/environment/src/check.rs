//! Which names and values a user may set.
//!
//! A name is what POSIX shells can assign: a letter or `_`, then letters, digits and `_`. A value
//! is any text without NUL bytes. Some names are how Skep, or systemd's protocols, talk to a
//! process; a user's value there would be a lie, so it is refused with what to do instead.

use report::{Failure, Kind};

/// Most bytes of one `NAME=value` and its closing NUL: what Linux passes through `execve` as one
/// string (`MAX_ARG_STRLEN`, 32 pages).
pub const VARIABLE_LIMIT_BYTES: usize = 128 * 1024;

/// Most bytes of a whole environment, as JSON: it travels in a control frame of at most 1 MiB,
/// with room left for arguments and for the other slots of the same message.
pub const ENVIRONMENT_LIMIT_BYTES: usize = 256 * 1024;

/// Names that belong to Skep or to the socket and notification protocols, and what a user who
/// sets one probably wants. `LISTEN_ADDRESS` and its like are not among them: apps use those.
const RESERVED: &[(&str, &str)] = &[
    ("PORT", "a port of your own choice is `listen = \"tcp:5200\"` of the service"),
    ("LISTEN_FDS", "the service's `listen` decides how it gets its socket"),
    ("LISTEN_PID", "the service's `listen` decides how it gets its socket"),
    ("LISTEN_FDNAMES", "the service's `listen` decides how it gets its socket"),
    ("LISTEN_PIDFDID", "the service's `listen` decides how it gets its socket"),
    ("NOTIFY_SOCKET", "`ready = \"notify\"` of the service makes Skep set it"),
];

/// The prefix of the names that Skep speaks through.
const OWN_PREFIX: &str = "SKEP_";

/// A variable that cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to set `{}`: {reason}", name.escape_debug())]
pub struct Refusal {
    /// Its name.
    pub name: String,
    /// Why not.
    pub reason: RefusalReason,
}

/// Why a variable cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// No shell could assign it.
    #[error("a name is a letter or `_`, then letters, digits and `_`")]
    Name,
    /// It is how Skep or a protocol talks to the process.
    #[error("Skep itself sets it")]
    Reserved {
        /// What to do instead.
        instead: &'static str,
    },
    /// Its value contains a NUL byte, which ends a string for the kernel.
    #[error("the value contains a NUL byte")]
    Nul,
    /// It is larger than the kernel takes.
    #[error("name and value have {bytes} bytes, the kernel takes {}", VARIABLE_LIMIT_BYTES - 2)]
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
    },
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        let failure = Self::from_error(Kind::Usage, refusal);
        match &refusal.reason {
            RefusalReason::Reserved { instead } => failure.hint(*instead),
            RefusalReason::TooLarge { .. } => {
                failure.hint("keep large values in a file below the app's data and set its path")
            }
            RefusalReason::Name | RefusalReason::Nul => failure,
        }
    }
}

/// Returns whether a user may set this name to this value.
pub fn check(name: &str, value: &str) -> Result<(), Refusal> {
    let refuse = |reason| Err(Refusal { name: name.to_owned(), reason });
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !starts_well || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return refuse(RefusalReason::Name);
    }
    if name.starts_with(OWN_PREFIX) {
        let instead = "names that begin with `SKEP_` describe the process; choose another one";
        return refuse(RefusalReason::Reserved { instead });
    }
    if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        return refuse(RefusalReason::Reserved { instead });
    }
    if value.contains('\0') {
        return refuse(RefusalReason::Nul);
    }
    let bytes = name.len() + value.len();
    // `=` between them and NUL behind them.
    if bytes + 2 > VARIABLE_LIMIT_BYTES {
        return refuse(RefusalReason::TooLarge { bytes });
    }
    Ok(())
}

/// Returns how many bytes variables take as JSON pairs.
pub(crate) fn json_bytes<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    /// Brackets, four quotes and two commas.
    const PAIR_OVERHEAD_BYTES: usize = 8;
    let length = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if c.is_control() => 6,
        c => c.len_utf8(),
    };
    let json = |text: &str| text.chars().map(length).sum::<usize>();
    variables.map(|(name, value)| json(name) + json(value) + PAIR_OVERHEAD_BYTES).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_shells_can_assign() {
        for good in ["A", "_", "a_1", "LISTEN_ADDRESS", "SKEPTIC", "PORTS"] {
            assert_eq!(check(good, ""), Ok(()), "{good}");
        }
        for bad in ["", "1A", "A-B", "A B", "A=B", "É", "A\n"] {
            assert_eq!(check(bad, "").unwrap_err().reason, RefusalReason::Name, "{bad:?}");
        }
        for reserved in ["PORT", "LISTEN_FDS", "NOTIFY_SOCKET", "SKEP_APP", "SKEP_"] {
            let refusal = check(reserved, "").unwrap_err();
            assert!(matches!(refusal.reason, RefusalReason::Reserved { .. }), "{reserved}");
            assert_eq!(Failure::from(&refusal).hints.len(), 1);
        }
    }

    #[test]
    fn values_are_what_the_kernel_takes() {
        let largest = VARIABLE_LIMIT_BYTES - "A".len() - 2;
        assert_eq!(check("A", &"x".repeat(largest)), Ok(()));
        let refusal = check("A", &"x".repeat(largest + 1)).unwrap_err();
        assert!(matches!(refusal.reason, RefusalReason::TooLarge { .. }));
        assert_eq!(check("A", "x\0").unwrap_err().reason, RefusalReason::Nul);

        // The limit is the kernel's own: one byte less passes through execve, one more does not.
        let run = |value: usize| {
            std::process::Command::new("/bin/true").env_clear().env("A", "x".repeat(value)).status()
        };
        assert!(run(largest).is_ok_and(|status| status.success()));
        assert!(run(largest + 1).is_err());
    }
}
