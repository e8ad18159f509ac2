//! What recipes say of a machine, as a value: the typed resource list.
//!
//! A recipe is evaluated once, without access to the machine, into [`Declaration`]s; a
//! [`ResourceList`] checks them and puts them in order; `converge` reads the machine, plans and
//! applies. Nothing here touches a disk, a network or a clock, and nothing knows the language that
//! a recipe was written in.
//!
//! - A kind of resource is described by its [`Schema`]: the properties with their shapes, the
//!   actions, and what it needs and provides. The recipe language makes its functions from
//!   schemas, the reference pages are printed from them, and [`Schema::check`] is the one place
//!   where properties are checked: whoever binds a declaration to a kind may rely on it.
//! - A [`Value`] knows whether it is secret. Text made from a secret is a secret; its `Debug` and
//!   `Display` are redacted and it never serializes.
//! - Every declaration knows which recipe made it and where in the user's files it is.
//! - Order is that of the declarations, as far as `after` and what resources need of each other
//!   (a file its directory, a file's owner its user) allow; a circle is an error that names two
//!   lines.
//!
//! Not here: reading and changing a machine (`converge`), evaluating recipes (`recipe`).

mod declaration;
mod list;
mod schema;
mod value;

pub use declaration::{
    Condition, Declaration, Guard, Notification, Place, RecipeName, ResourceId, Timing,
};
pub use list::{Entry, ListProblem, MAX_RESOURCES, ResourceList};
pub use schema::{Action, Properties, Property, PropertyProblem, Relations, Schema, Shape, Thing};
pub use value::{MAX_DEPTH, Value, ValueError};
