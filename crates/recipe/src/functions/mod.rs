//! What recipes can call: the functions beside those that every Starlark has.
//!
//! The only unsafe code is what starlark's derive writes: that a type is known by its `'static`
//! form.
#![allow(unsafe_code, reason = "the derive of ProvidesStaticType implements an unsafe trait")]
#![allow(clippy::elidable_lifetime_names, reason = "starlark's attribute wants it named")]

mod conditions;
pub(crate) mod handle;
pub(crate) mod kind;
mod lookups;
mod notifications;
mod operators;
pub(crate) mod secret_word;
mod texts;

use resource::Schema;
use starlark::environment::{Globals, GlobalsBuilder, LibraryExtension};

use kind::KindFunction;
pub(crate) use operators::REPLACED;

/// Returns everything that files may use without `load`.
pub(crate) fn globals(schemas: &[&'static Schema]) -> Globals {
    let mut builder =
        GlobalsBuilder::extended_by(&[LibraryExtension::Print, LibraryExtension::StructType]);
    operators::add(&mut builder);
    conditions::add(&mut builder);
    notifications::add(&mut builder);
    lookups::add(&mut builder);
    texts::add(&mut builder);
    // Kinds last: a kind that is called like one of the functions above is meant.
    for schema in schemas {
        builder.set(schema.kind, KindFunction::new(schema));
    }
    builder.build()
}
