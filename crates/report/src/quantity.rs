//! Durations, sizes and signals as a user writes them.
//!
//! `"30s"`, `"1m30s"`, `"500ms"`; `"100MB"` (powers of ten) and `"64MiB"` (powers of two);
//! `"TERM"` or `"SIGTERM"`. A bare number is refused as a duration, because half of its readers
//! would take it for the other unit.

/// Longest duration: nothing that Skep waits for should outlive a day.
pub const MAX_DURATION_MS: u64 = 24 * 60 * 60 * 1000;

/// Largest size: more than any disk, and far from where arithmetic on it could overflow.
pub const MAX_SIZE_BYTES: u64 = 1 << 50;

/// Why a quantity was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Digits without a unit.
    #[error("`{0}` has no unit; write `\"{0}s\"`")]
    NoUnit(String),
    /// Not a duration.
    #[error("not a duration; write for example `\"30s\"`, `\"1m30s\"` or `\"500ms\"`")]
    NotADuration,
    /// Over [`MAX_DURATION_MS`].
    #[error("longer than a day")]
    TooLong,
    /// Not a size.
    #[error("not a size; write for example `\"100MB\"` or `\"64MiB\"`")]
    NotASize,
    /// Over [`MAX_SIZE_BYTES`].
    #[error("larger than 1 PiB")]
    TooLarge,
    /// Not a signal that may ask for an orderly end.
    #[error("not a signal that can ask for an orderly end; one of {}", signal_names())]
    NotASignal,
}

const DURATION_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Signals that a process can handle and that mean "end", with their numbers on Linux. `KILL`
/// and `STOP` are not among them: neither leaves time for anything orderly.
const SIGNALS: &[(&str, i32)] =
    &[("TERM", 15), ("INT", 2), ("QUIT", 3), ("HUP", 1), ("USR1", 10), ("USR2", 12), ("WINCH", 28)];

/// Returns a duration in milliseconds.
pub fn parse_duration(text: &str) -> Result<u64, QuantityError> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(QuantityError::NoUnit(text.chars().take(20).collect()));
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, behind) = split(rest, u8::is_ascii_digit);
        let (unit, behind) = split(behind, u8::is_ascii_alphabetic);
        let scale = DURATION_UNITS.iter().find(|(name, _)| *name == unit);
        let (Some((_, scale)), false) = (scale, number.is_empty()) else {
            return Err(QuantityError::NotADuration);
        };
        total = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*scale))
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= MAX_DURATION_MS)
            .ok_or(QuantityError::TooLong)?;
        rest = behind;
    }
    if text.is_empty() { Err(QuantityError::NotADuration) } else { Ok(total) }
}

/// Returns a size in bytes.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = split(text.trim(), u8::is_ascii_digit);
    let unit = unit.trim_start();
    let Some((_, scale)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(QuantityError::NotASize);
    };
    if number.is_empty() {
        return Err(QuantityError::NotASize);
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*scale))
        .filter(|bytes| *bytes <= MAX_SIZE_BYTES)
        .ok_or(QuantityError::TooLarge)
}

/// Returns a signal's number.
pub fn parse_signal(text: &str) -> Result<i32, QuantityError> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let found = SIGNALS.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number).ok_or(QuantityError::NotASignal)
}

/// Returns a duration as the app file writes it: `90000` is `1m30s`.
pub fn duration_text(mut ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, scale) in DURATION_UNITS.iter().rev() {
        let count = ms / scale;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
            ms %= scale;
        }
    }
    text
}

fn signal_names() -> String {
    SIGNALS.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn split(text: &str, wanted: impl Fn(&u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|b| !wanted(&b)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("30s", Ok(30_000)),
            ("1m30s", Ok(90_000)),
            ("500ms", Ok(500)),
            ("0s", Ok(0)),
            ("1d", Ok(MAX_DURATION_MS)),
            (" 2h ", Ok(7_200_000)),
            ("30", Err(QuantityError::NoUnit("30".into()))),
            ("25h", Err(QuantityError::TooLong)),
            ("99999999999999999999s", Err(QuantityError::TooLong)),
            ("", Err(QuantityError::NotADuration)),
            ("s", Err(QuantityError::NotADuration)),
            ("1.5s", Err(QuantityError::NotADuration)),
            ("-1s", Err(QuantityError::NotADuration)),
            ("10 s", Err(QuantityError::NotADuration)),
            ("1S", Err(QuantityError::NotADuration)),
            ("1é", Err(QuantityError::NotADuration)),
        ] {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("100MB", Ok(100_000_000)),
            ("64MiB", Ok(64 << 20)),
            ("1 GiB", Ok(1 << 30)),
            ("0", Ok(0)),
            ("2048TiB", Err(QuantityError::TooLarge)),
            ("10mb", Err(QuantityError::NotASize)),
            ("MB", Err(QuantityError::NotASize)),
            ("", Err(QuantityError::NotASize)),
        ] {
            assert_eq!(parse_size(text), expected, "{text:?}");
        }
    }

    #[test]
    fn signals() {
        assert_eq!(parse_signal("TERM"), Ok(15));
        assert_eq!(parse_signal("SIGINT"), Ok(2));
        for refused in ["KILL", "STOP", "term", "", "15", "SIG"] {
            assert_eq!(parse_signal(refused), Err(QuantityError::NotASignal), "{refused:?}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for ms in [0, 1, 999, 1000, 61_001, 3_600_000, MAX_DURATION_MS] {
            assert_eq!(parse_duration(&duration_text(ms)), Ok(ms), "{}", duration_text(ms));
        }
    }
}
