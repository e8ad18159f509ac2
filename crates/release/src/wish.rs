//! Which Python is wanted: `3.12`, `>=3.11,<3.14`, `==3.12.*`, `~=3.11`.
//!
//! The version specifiers of PEP 440 as far as interpreter versions need them: release numbers
//! only. A bare number is a prefix, as uv reads it: `3.12` is any 3.12. A word before it
//! (`cpython-3.12`, `python3.12`) is taken off; other implementations are refused.

use std::fmt;
use std::str::FromStr;

/// Longest wish that is read.
const MAX_BYTES: usize = 256;

/// A wish; no clause is "any".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    text: String,
    clauses: Vec<Clause>,
}

/// Text that is not a wish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a Python version such as `3.12` or `>=3.11`")]
pub struct NotAWish(pub(crate) String);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    operator: Operator,
    numbers: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Prefix,
    NotPrefix,
    Exact,
    NotExact,
    AtLeast,
    AtMost,
    Above,
    Below,
    Compatible,
}

impl Wish {
    /// Returns whether an interpreter of this version will do.
    pub fn accepts(&self, version: [u32; 3]) -> bool {
        self.clauses.iter().all(|clause| clause.accepts(version))
    }

    /// Returns whether any version will do.
    pub fn is_any(&self) -> bool {
        self.clauses.is_empty()
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() { f.write_str("Python") } else { write!(f, "Python {}", self.text) }
    }
}

impl FromStr for Wish {
    type Err = NotAWish;

    fn from_str(text: &str) -> Result<Self, NotAWish> {
        let refused = || NotAWish(text.chars().take(MAX_BYTES).collect());
        if text.len() > MAX_BYTES {
            return Err(refused());
        }
        let clauses = text
            .split(',')
            .map(str::trim)
            .filter(|clause| !clause.is_empty())
            .map(|clause| Clause::parse(clause).ok_or_else(refused))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { text: text.trim().to_owned(), clauses })
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let operators = [
            ("===", Operator::Exact),
            ("~=", Operator::Compatible),
            ("==", Operator::Exact),
            ("!=", Operator::NotExact),
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            (">", Operator::Above),
            ("<", Operator::Below),
        ];
        let (operator, rest) = operators
            .iter()
            .find_map(|(sign, operator)| Some((*operator, text.strip_prefix(sign)?)))
            .unwrap_or((Operator::Prefix, text));
        let mut rest = rest.trim();
        if operator == Operator::Prefix {
            rest = rest
                .strip_prefix("cpython")
                .or_else(|| rest.strip_prefix("python"))
                .unwrap_or(rest)
                .trim_start_matches(['-', '@']);
        }
        let (operator, numbers) = match (operator, rest.strip_suffix(".*")) {
            (Operator::Exact | Operator::Prefix, Some(prefix)) => (Operator::Prefix, prefix),
            (Operator::NotExact, Some(prefix)) => (Operator::NotPrefix, prefix),
            (_, Some(_)) => return None,
            (operator, None) => (operator, rest),
        };
        let numbers: Vec<u32> =
            numbers.split('.').map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let enough = if operator == Operator::Compatible { 2 } else { 1 };
        (enough..=3).contains(&numbers.len()).then_some(Self { operator, numbers })
    }

    fn accepts(&self, version: [u32; 3]) -> bool {
        let mut whole = [0; 3];
        whole[..self.numbers.len()].copy_from_slice(&self.numbers);
        let prefix = |length: usize| version[..length] == self.numbers[..length];
        match self.operator {
            Operator::Prefix => prefix(self.numbers.len()),
            Operator::NotPrefix => !prefix(self.numbers.len()),
            Operator::Exact => version == whole,
            Operator::NotExact => version != whole,
            Operator::AtLeast => version >= whole,
            Operator::AtMost => version <= whole,
            Operator::Above => version > whole,
            Operator::Below => version < whole,
            Operator::Compatible => version >= whole && prefix(self.numbers.len() - 1),
        }
    }
}

/// Fuzz target: no bytes make the reader panic.
#[doc(hidden)]
pub fn fuzz_wish(bytes: &[u8]) {
    if let Ok(wish) = String::from_utf8_lossy(bytes).parse::<Wish>() {
        let _ = wish.accepts([3, 12, 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_as_pep_440_says() {
        for (wish, yes, no) in [
            ("3.12", vec![[3, 12, 0], [3, 12, 9]], vec![[3, 1, 2], [3, 11, 9]]),
            ("python3.11", vec![[3, 11, 2]], vec![[3, 12, 0]]),
            ("cpython-3.11.2", vec![[3, 11, 2]], vec![[3, 11, 3]]),
            (">=3.11, <3.14", vec![[3, 11, 0], [3, 13, 9]], vec![[3, 14, 0], [3, 10, 9]]),
            ("==3.12.*", vec![[3, 12, 3]], vec![[3, 13, 0]]),
            ("!=3.12.*", vec![[3, 11, 3]], vec![[3, 12, 0]]),
            ("~=3.11", vec![[3, 11, 0], [3, 14, 0]], vec![[4, 0, 0], [3, 10, 0]]),
            ("~=3.11.2", vec![[3, 11, 9]], vec![[3, 12, 0], [3, 11, 1]]),
            (">3.11", vec![[3, 11, 1]], vec![[3, 11, 0]]),
            ("", vec![[2, 7, 18], [3, 99, 0]], vec![]),
        ] {
            let parsed: Wish = wish.parse().unwrap();
            for v in yes {
                assert!(parsed.accepts(v), "{wish} should take {v:?}");
            }
            for v in no {
                assert!(!parsed.accepts(v), "{wish} should refuse {v:?}");
            }
        }
        for wrong in ["pypy3.10", "3.x", ">=", "3.12.1.2", ">=3.*", "~=3", "/usr/bin/python3"] {
            assert!(wrong.parse::<Wish>().is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(bytes: Vec<u8>) {
            fuzz_wish(&bytes);
        }
    }
}
