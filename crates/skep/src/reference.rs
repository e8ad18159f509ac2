//! The reference of all commands, from the same definitions that parse them.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command};
use disk::PathContext;
use report::{Failure, Kind};

use crate::arguments;
use crate::error::Result;

/// A file's name and its text.
pub(crate) type Page = (String, String);

/// Writes pages into a directory, which is made if it is missing.
pub(crate) fn write(directory: &Path, pages: &[Page]) -> Result<()> {
    let write = || {
        std::fs::create_dir_all(directory).context("make", directory)?;
        for (name, text) in pages {
            let path = directory.join(name);
            std::fs::write(&path, text).context("write", &path)?;
        }
        Ok(())
    };
    write().map_err(|error: disk::DiskError| Failure::from_error(Kind::Failed, &error).into())
}

/// Returns an index and one Markdown page for each command.
pub(crate) fn markdown() -> Vec<Page> {
    let mut root = arguments::definition();
    root.build();
    let mut index = String::from(
        "# Commands\n\n\
         Generated from the program (`SKEP_REGENERATE=1 cargo test -p skep`); not edited by hand.\n\n\
         | command | |\n|---|---|\n",
    );
    let mut pages = Vec::new();
    for command in visible(&root) {
        let file = format!("{}.md", command.get_name().replace(':', "-"));
        // Writing to a String cannot fail, here and below.
        let _ =
            writeln!(index, "| [`skep {}`]({file}) | {} |", short_name(command), about(command));
        pages.push((file, page(command)));
    }
    index.push_str(EXIT_CODES);
    pages.push(("README.md".to_owned(), index));
    pages
}

/// Returns a manual page for the program and one for each command.
pub(crate) fn manual_pages() -> Vec<Page> {
    let mut root = arguments::definition();
    root.build();
    let mut pages = vec![("skep.1".to_owned(), manual_page(root.clone()))];
    for command in visible(&root) {
        let name = format!("skep-{}", command.get_name().replace(':', "-"));
        let command = command.clone().display_name(name.clone());
        pages.push((format!("{name}.1"), manual_page(command)));
    }
    pages
}

const EXIT_CODES: &str = "
## Exit codes

| code | meaning |
|---|---|
| 0 | done, or nothing to do |
| 1 | failed; the state before is intact |
| 2 | with `plan` and `--plan` only: there are changes |
| 3 | partly done; the rest is listed |
| 4 | failed and not fully undone; leftovers are listed |
| 5 | exists already |
| 6 | locked, or superseded by a newer request |
| 64 | the command line, or a file of yours, is invalid; no such app, service or release |
| 69 | the agent cannot be reached |
| 75 | temporary, try again |
| 77 | not permitted |
| 130 | interrupted; the state is said |

`skep run` has the exit code of the command it runs.
";

fn manual_page(command: Command) -> String {
    let mut text = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = clap_mangen::Man::new(command).render(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn visible(root: &Command) -> impl Iterator<Item = &Command> {
    root.get_subcommands().filter(|command| !command.is_hide_set())
}

fn short_name(command: &Command) -> &str {
    command.get_visible_aliases().next().unwrap_or(command.get_name())
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn page(command: &Command) -> String {
    let long = command.get_long_about().map_or_else(|| about(command), ToString::to_string);
    let mut text = format!("# skep {}\n\n", short_name(command));
    if short_name(command) != command.get_name() {
        let _ = writeln!(text, "Also `skep {}`.\n", command.get_name());
    }
    let usage = command.clone().render_usage().to_string();
    let usage =
        usage.trim_start_matches("Usage: ").replace(command.get_name(), short_name(command));
    let _ = writeln!(text, "{}\n\n```\n{usage}\n```", long.trim_end());
    if let Some(examples) = command.get_after_long_help() {
        let _ = writeln!(text, "\n```\n{}\n```", examples.to_string().trim_end());
    }
    let shown = |argument: &&Arg| {
        !argument.is_hide_set() && !argument.is_global_set() && argument.get_id() != "help"
    };
    let arguments: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    if !arguments.is_empty() {
        text.push_str("\n| argument | |\n|---|---|\n");
    }
    for argument in arguments {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| `{}` | {} |", signature(argument), in_table(&help));
    }
    text
}

/// Returns how an argument is written: `-n, --lines N`, `[APP]`.
fn signature(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        .unwrap_or_default();
    if argument.is_positional() {
        let value = if argument.is_required_set() { value } else { format!("[{value}]") };
        return in_table(&value);
    }
    let mut parts = Vec::new();
    parts.extend(argument.get_short().map(|short| format!("-{short}")));
    parts.extend(argument.get_long().map(|long| format!("--{long}")));
    let mut text = parts.join(", ");
    if argument.get_action().takes_values() {
        text.push(' ');
        text.push_str(&value);
    }
    in_table(&text)
}

fn in_table(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
