//! `cookbook:` – the cookbooks of the infrastructure repository. None of them needs an agent.

pub(crate) mod check;
pub(crate) mod docs;
pub(crate) mod new;
