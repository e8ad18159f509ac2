//! Any text: no panic, no hang, and errors that can be shown.

use proptest::prelude::*;

/// Pieces of app files, right and wrong, in any order and nesting.
const PIECES: &[&str] = &[
    "app",
    "data",
    "build",
    "release",
    "env",
    "services",
    "deploy",
    "web",
    "queue",
    "command",
    "listen",
    "health",
    "hosts",
    "path",
    "ready",
    "after",
    "processes",
    "stop_signal",
    "value",
    "required",
    "secret",
    "generate",
    "steps",
    "include",
    "overlap",
    "body_limit",
    "x",
    " = ",
    ".",
    "\n",
    "\n",
    "[",
    "]",
    "[[",
    "]]",
    "{ ",
    " }",
    ", ",
    "\"",
    "\"gunicorn a\"",
    "\"fd\"",
    "\"none\"",
    "\"tcp:80\"",
    "\"web\"",
    "\"queue\"",
    "\"/\"",
    "\"30s\"",
    "\"é\\u0000\"",
    "'''",
    "\"\"\"",
    "1",
    "-1",
    "1.5",
    "true",
    "1979-05-27",
    "# c",
    "\t",
    "\r\n",
    "é",
    "\u{feff}",
    "99999999999999999999",
];

proptest! {
    #[test]
    fn app_files_of_pieces(indexes in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = indexes.into_iter().map(|index| PIECES[index]).collect();
        app::fuzz_app_file(text.as_bytes());
    }

    /// Syntactically good files with any value at any key, so that the reading is reached.
    #[test]
    fn app_files_of_keys(entries in prop::collection::vec((0..26_usize, 27..PIECES.len()), 0..20)) {
        let mut text = String::from("app = \"shop\"\n");
        for (number, (key, value)) in entries.into_iter().enumerate() {
            let (key, value) = (PIECES[key], PIECES[value]);
            let line = match number % 4 {
                0 => format!("services.s{number}.{key} = {value}\n"),
                1 => format!("services.s{number} = {{ command = \"gunicorn a\", {key} = {value} }}\n"),
                2 => format!("env.V{number} = {{ {key} = {value} }}\n"),
                _ => format!("build.{key} = [{value}]\n"),
            };
            text.push_str(&line);
        }
        app::fuzz_app_file(text.as_bytes());
    }

    #[test]
    fn texts_of_any_characters(text in any::<String>()) {
        app::fuzz_app_file(text.as_bytes());
        app::fuzz_procfile(text.as_bytes());
    }

    #[test]
    fn procfiles_of_lines(text in "([a-zA-Z_-]{0,4}:? ?[ -~é]{0,30}\r?\n){0,12}") {
        app::fuzz_procfile(text.as_bytes());
    }
}
