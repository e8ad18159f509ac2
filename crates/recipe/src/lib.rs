//! Recipes and templates, evaluated into declarations of resources.
//!
//! ```text
//! run list ─ recipes (Starlark, or lists in TOML) ─┬─ declarations, in order
//!            libraries, templates (Jinja), files  ─┘  what was read, what was printed
//! ```
//!
//! [`evaluate()`] takes a [`Request`]: an effective run list, the schemas of the kinds of
//! resources, the files of cookbooks ([`Sources`]) and what is known of the node ([`Node`]). What
//! it gives ([`Evaluated`]) knows nothing of the language.
//!
//! Guarantees:
//! - *Hermetic.* Recipes see what the request gives them and nothing else: no disk, no clock, no
//!   chance, no environment. Equal requests give equal results.
//! - *Once.* A recipe is evaluated once, at its first place, whether a run list or another recipe
//!   names it; resources belong to the recipe that declares them, also through functions of
//!   libraries.
//! - *Recorded.* Each attribute, fact, data bag item, variable and service that is read is in
//!   [`Evaluated::reads`], and what a template reads in [`Evaluated::template_reads`].
//! - *Typed.* A declaration fits its schema, a notification names an action that its target has,
//!   and handles stand for resources. Mistakes are told at the user's line, with the calls that led
//!   there.
//! - *Tainted.* Text made of a secret is a secret, in the language (module `secret`) and in
//!   templates (module `template`); errors and notices tell none.
//! - *Bounded.* Every bound is in [`limits`]. They catch mistakes; an expression that is bound to
//!   take all memory (`",".join` of what is large already) ends at the memory limit of the process,
//!   so whoever evaluates sets one, before anything on the machine has changed.
//!
//! An evaluation has a thread of its own, and leaves nothing behind when it is cancelled or fails.
//!
//! Only this crate knows `starlark` and `minijinja`.

mod argument;
mod attribute;
mod complaint;
mod convert;
mod data_recipe;
mod declare;
mod evaluated;
mod files;
mod functions;
mod fuzz;
mod item;
mod library;
pub mod limits;
mod nesting;
mod problem;
mod request;
mod run;
mod script;
mod secret;
mod template;
mod trace;

pub use evaluated::{Evaluated, Notice, Reads};
#[doc(hidden)]
pub use fuzz::{fuzz_recipe, fuzz_template};
pub use problem::{Cause, Problem};
pub use request::{LookupError, Node, Request, Source, Sources};

use limits::EVALUATION_STACK_BYTES;
use run::Run;

/// Evaluates a run list.
///
/// # Errors
///
/// The first mistake. Nothing is evaluated behind it: what recipes declare depends on what came
/// before.
pub fn evaluate(request: &Request<'_>) -> Result<Evaluated, Problem> {
    let failed = |reason: String| Problem {
        what: "recipes".to_owned(),
        cause: Cause::Internal,
        reasons: vec![reason],
        excerpts: Vec::new(),
        hints: Vec::new(),
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("recipes".to_owned())
            .stack_size(EVALUATION_STACK_BYTES)
            .spawn_scoped(scope, || Run::new(*request).evaluate());
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(failed("the evaluation ended unexpectedly".to_owned())),
            Err(error) => Err(failed(format!("failed to start a thread: {error}"))),
        }
    })
}
