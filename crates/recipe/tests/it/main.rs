//! Recipes that are right and recipes that are wrong.

#![allow(clippy::unwrap_used, reason = "a scene that is wrong ends its test")]

mod bounds;
mod data_recipes;
mod guide;
mod measure;
mod recipes;
mod scene;
mod secrets;
mod values;
mod wrong;
