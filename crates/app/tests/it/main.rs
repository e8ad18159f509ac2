//! The crate from outside: files of users, good and bad.

#![allow(clippy::unwrap_used)]

mod app_files;
mod directories;
mod documents;
mod hostile;
mod mistakes;
mod procfiles;
