//! `app:` – what runs.

pub(crate) mod deploy;
pub(crate) mod down;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod ps;
pub(crate) mod releases;
pub(crate) mod remove;
pub(crate) mod restart;
pub(crate) mod restore;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod scale;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod up;
pub(crate) mod watch;
