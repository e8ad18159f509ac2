//! Real builds with the real uv, as root (then as another user) and as an ordinary user.

// Outside of test functions too: a fixture that cannot be made is a failed test.
#![allow(clippy::unwrap_used)]

mod bad_days;
mod build;
mod fixture;
mod keep;
mod source;
