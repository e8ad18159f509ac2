//! What Skep knows about servers, as one table.
//!
//! A profile says how a server is recognised in a command, how it can be given its socket, which
//! variables and arguments that takes, which signal ends it in order, how long it keeps idle
//! connections and whether it serves several requests at once. The comment of each row
//! says what was tried on the real server, and on which version; what was only read says so.
//!
//! # Placeholders
//!
//! Values of variables may hold two placeholders, filled in when a slot is started:
//!
//! - `{port}`: the slot's port. For a slot that listens on a held descriptor it is a port that
//!   nothing binds: gunicorn refuses to start with `-b 0.0.0.0:$PORT` and an empty `PORT`, even
//!   when it will take the descriptor. For a slot that binds a unix socket it is the path.
//! - `{runtime}`: a directory that belongs to the slot alone, mode 0700, gone with it. Its path
//!   should be short: gunicorn binds `{runtime}/gunicorn.ctl` as it is, and a socket's path ends at
//!   107 bytes; a longer one costs gunicorn its control socket and an error line, nothing else.

mod options;
mod recognise;
mod table;

use crate::model::{Listen, Service};

pub(crate) use self::options::{Connections, connections, names_configuration, with_arguments};
pub use self::recognise::{Recognised, recognise};
use self::table::COMMON;
pub use self::table::{IN_FLIGHT_CONCURRENT, IN_FLIGHT_ONE_BY_ONE, PROFILES};

/// A server or worker that Skep knows.
#[derive(Debug)]
pub struct Profile {
    /// Its name, kept in [`Service::profile`].
    pub name: &'static str,
    /// How it is called.
    pub called: Called,
    /// How it listens.
    pub listens: Listens,
    /// Variables of this server alone; [`variables`] adds those that every service gets.
    pub variables: &'static [Variable],
    /// Words that it needs where it knows no variable for its port.
    pub arguments: Option<Arguments>,
    /// The signal that makes it finish what it has begun.
    pub stop_signal: i32,
    /// How long it keeps an idle connection.
    pub keep_alive: KeepAlive,
    /// How many requests a slot is given at once.
    pub in_flight: u32,
    /// Said to whoever uses it.
    pub note: Option<&'static str>,
}

/// How a server appears in a command.
#[derive(Debug)]
pub struct Called {
    /// Names of its program.
    pub programs: &'static [&'static str],
    /// `python -m` names.
    pub modules: &'static [&'static str],
    /// One of these words must follow; empty: none needs to.
    pub verbs: &'static [&'static str],
}

/// How a server can be made to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    /// It takes a listener at descriptor 3.
    Fd,
    /// It binds a port that it is told.
    Port,
    /// It is a worker.
    Never,
    /// The program alone does not tell: a port if the service is called `web`.
    IfWeb,
}

/// A variable that a profile sets.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value, with placeholders.
    pub value: &'static str,
    /// Why it is set.
    pub why: &'static str,
    /// For which services.
    pub when: When,
}

/// Which services a variable is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Every service.
    Always,
    /// Those that listen.
    Listening,
    /// Those that are reached through a unix socket.
    UnixSocket,
    /// Those that are given descriptor 3.
    Fd,
    /// Those that bind a unix socket themselves.
    Path,
    /// Those that bind a port.
    Port,
}

impl When {
    /// Returns whether a service that listens so gets the variable.
    pub(crate) fn applies(self, listen: Listen) -> bool {
        match self {
            Self::Always => true,
            Self::Listening => listen != Listen::None,
            Self::UnixSocket => matches!(listen, Listen::Fd | Listen::Path),
            Self::Fd => listen == Listen::Fd,
            Self::Path => listen == Listen::Path,
            Self::Port => listen == Listen::Port,
        }
    }
}

/// Words put into the command of a server that binds `$PORT` but knows no variable for it.
#[derive(Debug)]
pub struct Arguments {
    /// Inserted behind the server's word (and its verb), where every option parser takes them.
    pub words: &'static [&'static str],
    /// Options that show that the user already says where to listen.
    pub unless: &'static [&'static str],
    /// Whether a word that is not an option says so too.
    pub unless_positional: bool,
}

/// How long a server keeps a connection without requests open.
#[derive(Debug)]
pub struct KeepAlive {
    /// Seconds by default; 0: it closes after each answer, or it is not known.
    pub seconds: u64,
    /// The option that changes it, in seconds.
    pub option: &'static str,
}

/// Returns the profile of that name.
pub fn by_name(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// Returns the variables that the profile of `service` sets, those for all services first.
pub fn variables(service: &Service) -> Vec<Variable> {
    let own = service.profile.as_deref().and_then(by_name).map_or(&[][..], |p| p.variables);
    COMMON.iter().chain(own).filter(|v| v.when.applies(service.listen)).copied().collect()
}

/// Returns the variables that are set whatever the server.
pub fn common_variables() -> &'static [Variable] {
    COMMON
}
