//! What differs from one run of a session to the next.
//!
//! [`shown`] makes of what was printed what the README shows: its own names for the address and the
//! directories, without the lines that speak of the machine (` ! …`, `! …`).
//!
//! [`stable`] is what is compared. White space counts once, because columns follow their contents.
//! Taken out are: durations and sizes, times of day and dates, process ids, digests, the answers
//! to probes, the exit code in a cause, and the log excerpt in a failure's report, whose lines several
//! processes write at once; and of `ps` what only cgroups tell.

/// What is really there, and what the README calls it.
pub(super) struct Names<'a> {
    pub(super) address: (&'a str, &'a str),
    pub(super) directory: (&'a str, &'a str),
    pub(super) home: (&'a str, &'a str),
}

/// Returns what the README shows.
pub(super) fn shown(text: &str, names: &Names<'_>) -> String {
    let text = text
        .replace(names.address.0, names.address.1)
        .replace(names.directory.0, names.directory.1)
        .replace(names.home.0, names.home.1);
    text.lines()
        .filter(|line| !line.starts_with(" ! ") && !line.starts_with("! "))
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// Returns what two runs have in common.
pub(super) fn stable(text: &str) -> String {
    /// A report's labels are indented by two columns, what they head by this.
    const EXCERPT: &str = "           ";
    let mut stable = String::new();
    for line in text.lines().filter(|line| !line.starts_with(EXCERPT)) {
        let line = match line.trim_start() {
            excerpt if excerpt.starts_with("log ") => "log",
            // How often what was answered is a matter of time.
            probes if probes.starts_with("probes ") => probes.split(':').next().unwrap_or(""),
            // gunicorn's master, told by its workers that they failed, ends in one of two ways.
            cause if cause.starts_with("cause ") => cause.split(", exit ").next().unwrap_or(""),
            line => line,
        };
        stable.push_str(&without_numbers(line));
        stable.push('\n');
    }
    stable
}

const MASK: &str = "#";

fn without_numbers(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let before = words.last().map_or("", String::as_str);
        if is_unit(word) && is_number(before) {
            words.pop();
            words.push(MASK.to_owned());
            continue;
        }
        let plain = word.trim_matches(|c: char| "[]():,;".contains(c));
        let only_cgroups_tell = plain == "RSS"
            || plain.starts_with('+') && is_number(&plain[1..])
            || plain.ends_with(['K', 'M', 'G']) && is_quantity(plain);
        if only_cgroups_tell {
            continue;
        }
        let volatile = is_moment(plain)
            || is_quantity(plain)
            || is_digest(plain)
            || is_number(plain) && before == "process";
        words.push(if volatile { word.replace(plain, MASK) } else { word.to_owned() });
    }
    words.join(" ")
}

fn is_unit(word: &str) -> bool {
    let word = word.trim_end_matches([',', ')']);
    ["ms", "s", "min", "h", "B", "kB", "MB", "GB"].contains(&word)
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// `11s`, `131M`.
fn is_quantity(word: &str) -> bool {
    let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    number.len() < word.len() && word.len() - number.len() <= 2 && is_number(number)
}

/// `05:36:01.463`, `05:36`, `2026-11-21`.
fn is_moment(word: &str) -> bool {
    // Milliseconds are the only fraction in one; an address has dots in front of its colon.
    let whole = word.rsplit_once('.').map_or(word, |(whole, _)| whole);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts = whole.split([':', '-']);
    (2..=3).contains(&parts.clone().count()) && { parts }.all(digits)
}

/// Seven or more hexadecimal digits, a decimal one among them.
fn is_digest(word: &str) -> bool {
    /// As short as a commit is written.
    const SHORT: usize = 7;
    word.len() >= SHORT
        && word.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        && word.chars().any(|c| c.is_ascii_digit())
}

#[test]
fn what_differs_is_taken_out_and_nothing_else() {
    for (line, expected) in [
        (" ✓ build    environment and code, 3.6 s      3.6 s", "✓ build environment and code, # #"),
        (
            "live after 1.3 s · 0 failed · undo: skep rollback",
            "live after # · 0 failed · undo: skep rollback",
        ),
        ("guestbook/web  v1  ready  1 (+2)  131M  0  1s", "guestbook/web v1 ready 1 0 #"),
        ("v2  failed  2026-11-21 05:36  anna  files 19ddf09", "v2 failed # # anna files #"),
        (
            "05:36:17.698 web.0 -- process 13938 ended: exit 0, after 16295 ms",
            "# web.0 -- process # ended: exit 0, after #",
        ),
        ("GET /health 200 in 48 ms, exit 3, 4 starts", "GET /health 200 in # exit 3, 4 starts"),
        ("<h1>Second edition</h1> at 127.0.0.1:8000", "<h1>Second edition</h1> at 127.0.0.1:8000"),
    ] {
        assert_eq!(without_numbers(line), expected);
    }
    let report =
        "  cause    it fell\n  log      last 2 of 9 lines\n             one\n  next     up\n";
    assert_eq!(stable(report), "cause it fell\nlog\nnext up\n");
}
