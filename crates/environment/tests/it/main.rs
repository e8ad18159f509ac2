//! The crate as its callers use it: layers, explanations, and what the store gets to see.

// Test helpers outside of test functions.
#![allow(clippy::unwrap_used)]

mod examples;
mod layers;
mod sealed;
mod shop;
