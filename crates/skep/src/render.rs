//! Values in, text out. Nothing here reads a clock, an environment or a terminal: the time, the
//! colours and the width are arguments, so that every line a user sees is tested as text.

pub(crate) mod deploy;
pub(crate) mod failure;
pub(crate) mod log;
pub(crate) mod paint;
pub(crate) mod processes;
pub(crate) mod quantity;
pub(crate) mod table;
pub(crate) mod untrusted;
