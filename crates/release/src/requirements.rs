//! What a requirements file refers to: other requirements files, and code that lies beside it.
//!
//! Only what decides an environment's key is read here; uv reads the rest. The format is pip's
//! (pip.pypa.io, "Requirements File Format"): one requirement or option a line, `\` joins lines,
//! `#` at a line's start or after a space begins a comment.

/// What a requirements file refers to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// Targets of `-r` and `-c`, as written.
    pub(crate) files: Vec<String>,
    /// The first line that installs something from a directory or file of the source.
    pub(crate) local: Option<String>,
}

/// Reads a requirements file.
pub(crate) fn read(text: &str) -> References {
    let mut references = References::default();
    for line in logical_lines(text) {
        match option(&line) {
            Some((Value::File, value)) => references.files.push(value.to_owned()),
            Some((Value::Code, value)) if is_local(value) => {
                references.local.get_or_insert(line);
            }
            None if is_local(&line) => {
                references.local.get_or_insert(line);
            }
            _ => {}
        }
    }
    references
}

/// What an option's value is.
#[derive(Debug, Clone, Copy)]
enum Value {
    File,
    Code,
    Other,
}

fn option(line: &str) -> Option<(Value, &str)> {
    if !line.starts_with('-') {
        return None;
    }
    let known = [
        ("--requirement", Value::File),
        ("--constraint", Value::File),
        ("-r", Value::File),
        ("-c", Value::File),
        ("--editable", Value::Code),
        ("--find-links", Value::Code),
        ("-e", Value::Code),
        ("-f", Value::Code),
    ];
    for (name, kind) in known {
        if let Some(rest) = line.strip_prefix(name) {
            let long = name.starts_with("--");
            if !long || rest.starts_with([' ', '\t', '=']) {
                return Some((kind, rest.trim_start_matches([' ', '\t', '=']).trim()));
            }
        }
    }
    Some((Value::Other, ""))
}

/// Returns whether a requirement is found in the source rather than in an index.
fn is_local(requirement: &str) -> bool {
    let first = requirement.split([' ', '\t', ';']).next().unwrap_or_default();
    let location = match requirement.split_once('@') {
        // `name @ location`; a location has an `@` of its own only behind a scheme.
        Some((name, location)) if !name.contains("://") && !name.contains('/') => location.trim(),
        _ => first,
    };
    if let Some((scheme, _)) = location.split_once("://") {
        return scheme == "file" || scheme.ends_with("+file");
    }
    let without_extras = location.split('[').next().unwrap_or_default();
    location.starts_with(['.', '/'])
        || location.starts_with("file:")
        || without_extras.contains('/')
        || [".whl", ".zip", ".tar.gz"].iter().any(|end| without_extras.ends_with(end))
}

fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = String::new();
    for line in text.lines() {
        if let Some(begun) = line.strip_suffix('\\') {
            pending.push_str(begun);
            continue;
        }
        pending.push_str(line);
        let whole = std::mem::take(&mut pending);
        let whole = match whole.find(" #").or_else(|| whole.find("\t#")) {
            Some(comment) => &whole[..comment],
            None => whole.as_str(),
        };
        let whole = whole.trim();
        if !whole.is_empty() && !whole.starts_with('#') {
            lines.push(whole.to_owned());
        }
    }
    let rest = pending.trim();
    if !rest.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

/// Fuzz target: no bytes make the reader panic.
#[doc(hidden)]
pub fn fuzz_requirements(bytes: &[u8]) {
    let _ = read(&String::from_utf8_lossy(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_files_are_found_in_every_spelling() {
        let text = "-r base.txt\n--requirement=more.txt\n-c limits.txt # why\n-rshort.txt\nflask\n";
        let found = read(text);
        assert_eq!(found.files, ["base.txt", "more.txt", "limits.txt", "short.txt"]);
        assert_eq!(found.local, None);
    }

    #[test]
    fn code_beside_the_file_is_told_from_an_index() {
        for local in [
            ".",
            "-e .",
            "--editable=./lib",
            ".[dev]",
            "./wheels/a.whl",
            "libs/shop",
            "a-1.0-py3-none-any.whl",
            "shop @ file:.",
            "shop @ ./lib ; python_version > '3'",
            "file:///srv/a",
            "/srv/a",
            "--find-links wheels/",
        ] {
            assert!(read(local).local.is_some(), "{local}");
        }
        for remote in [
            "flask==3.0 --hash=sha256:abc",
            "flask[async]>=2 ; python_version < '4'",
            "git+https://example.org/a/b.git@main#egg=b",
            "-e git+https://example.org/a/b.git@main#egg=b",
            "b @ git+ssh://git@example.org/a/b.git",
            "b @ https://example.org/b-1.0.whl",
            "https://example.org/b-1.0.whl",
            "--index-url https://example.org/simple",
            "--extra-index-url=https://example.org/simple",
            "# ./comment",
            "",
        ] {
            assert_eq!(read(remote).local, None, "{remote}");
        }
    }

    #[test]
    fn continued_lines_are_one() {
        let found =
            read("flask==3.0 \\\n  --hash=sha256:abc \\\n  --hash=sha256:def\n-r \\\nx.txt");
        assert_eq!(found.files, ["x.txt"]);
        assert_eq!(found.local, None);
    }

    proptest::proptest! {
        #[test]
        fn hostile_text_does_no_harm(bytes: Vec<u8>) {
            fuzz_requirements(&bytes);
        }
    }
}
