//! What the end-to-end tests of a whole installation share.

pub(crate) mod port;
pub(crate) mod site;
