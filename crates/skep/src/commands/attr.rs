//! `attr:` – attributes of recipes. None of them needs an agent.

pub(crate) mod why;
