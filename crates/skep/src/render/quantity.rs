//! Durations, ages, sizes and times as people read them.

use jiff::Timestamp;

/// Returns a duration in its two leading figures: `4 ms`, `1.9 s`, `2 min 05 s`, `1 h 02 min`.
pub(crate) fn elapsed(ms: u64) -> String {
    match ms {
        0..100 => format!("{ms} ms"),
        100..59_950 => format!("{}.{} s", (ms + 50) / 1000, (ms + 50) % 1000 / 100),
        _ => {
            let seconds = (ms + 500) / 1000;
            match seconds {
                0..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
                _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
            }
        }
    }
}

/// Returns how long ago an RFC 3339 time was, in one figure: `41s`, `5m`, `2h`, `9d`. A time that
/// cannot be read is returned as it is, one in the future is `0s` (clocks are set back).
pub(crate) fn age(at: &str, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else { return at.to_owned() };
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns an RFC 3339 time to the minute, in UTC.
pub(crate) fn minute(at: &str) -> String {
    at.parse::<Timestamp>()
        .map_or_else(|_| at.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// Returns the time of day of an RFC 3339 time, in UTC, to the millisecond.
pub(crate) fn time_of_day(at: &str) -> String {
    at.parse::<Timestamp>()
        .map_or_else(|_| at.to_owned(), |at| at.strftime("%H:%M:%S.%3f").to_string())
}

/// Returns a size as `ps` and `ls -h` do: `98M`, `1.4G`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["", "K", "M", "G", "T"];
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 10.0);
    format!("{value:.digits$}{}", UNITS[unit])
}

/// Returns `1 request` or `3 requests`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_two_figures() {
        let cases = [
            (0, "0 ms"),
            (99, "99 ms"),
            (100, "0.1 s"),
            (4_149, "4.1 s"),
            (59_949, "59.9 s"),
            (59_951, "1 min 00 s"),
            (125_400, "2 min 05 s"),
            (3_725_000, "1 h 02 min"),
        ];
        for (ms, text) in cases {
            assert_eq!(elapsed(ms), text, "{ms}");
        }
    }

    #[test]
    fn ages_and_sizes_have_one_figure() {
        let now: Timestamp = "2026-03-05T12:00:00Z".parse().unwrap();
        for (at, text) in [
            ("2026-03-05T11:59:19Z", "41s"),
            ("2026-03-05T10:00:00+00:00", "2h"),
            ("2026-02-24T12:00:00Z", "9d"),
            ("2026-03-05T12:00:09Z", "0s"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(age(at, now), text);
        }
        for (bytes, text) in [(0, "0"), (1023, "1023"), (1536, "1.5K"), (432_013_312, "412M")] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(minute("2026-03-05T11:59:19.5Z"), "2026-03-05 11:59");
        assert_eq!(time_of_day("2026-03-05T11:59:19.123456Z"), "11:59:19.123");
    }
}
