//! What a user writes about an app, as one typed value.
//!
//! [`model`] is the value; the rest of the crate makes it from a `skep.toml`, a `Procfile` or a
//! bare directory, and looks up the server [`profile`] of each command. It is *not* concerned with
//! what the machine has: nothing here reads anything but the app's own files.

pub mod model;
