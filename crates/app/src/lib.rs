//! What a user writes about an app, as one typed value.
//!
//! [`model`] is the value; the rest of the crate makes it: [`load()`] from a directory, [`parse`]
//! from a text and the [`Layout`] around it. A `skep.toml` comes first ([`app_file`]), then a
//! `Procfile` ([`procfile`]), then what the code looks like. [`command`] splits command lines,
//! [`profile`] is what is known about servers, [`schema`] the keys, from which [`mod@reference`]
//! prints the manual. It is *not* concerned with what the machine has: nothing here reads anything
//! but the app's own files, and only [`load()`] and [`Layout::read`] read at all.
//!
//! Guarantees: every mistake of a file is reported at once, each with its place, up to a bound; an
//! unknown key is never passed over; equal texts in equal layouts give equal values, and
//! [`App::config_json`](model::App::config_json) is stable. Texts, lists and files are bounded.

pub mod app_file;
mod checks;
pub mod command;
mod data;
mod detect;
mod layout;
mod load;
pub mod model;
mod name;
mod problem;
pub mod procfile;
pub mod profile;
mod reader;
pub mod reference;
pub mod schema;
mod service;

pub use command::UnsetVariable;
pub use detect::DetectError;
pub use layout::Layout;
pub use load::{LoadError, MAX_FILE_BYTES, detected, load, parse};
pub use name::RESERVED_APP;
pub use problem::{MAX_PROBLEMS, ParseErrors};
pub use service::{STAYS_UP_MS, WEB};

/// Fuzz target: an app file of any bytes neither panics nor hangs.
#[doc(hidden)]
pub fn fuzz_app_file(bytes: &[u8]) {
    fuzz(app_file::APP_FILE, bytes);
}

/// Fuzz target: a Procfile of any bytes neither panics nor hangs.
#[doc(hidden)]
pub fn fuzz_procfile(bytes: &[u8]) {
    fuzz(procfile::PROCFILE, bytes);
}

fn fuzz(file: &str, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.len() as u64 > MAX_FILE_BYTES {
        return;
    }
    let layout = Layout::new("shop");
    match parse(file, text, &layout) {
        Ok(app) => {
            for service in app.services.values() {
                let _ = service.command.expand(|name| Some(name.to_owned()));
                let _ = service.listen_reason();
            }
            let _ = app.config_json();
        }
        Err(errors) => {
            let _ = report::Failure::from(errors).to_string();
        }
    }
}
