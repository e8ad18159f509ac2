//! Agent ↔ shim.
//!
//! After the two hellos the shim sends, unasked and before anything else: one
//! [`Message::Holding`] for every listener and log pipe it holds (with the descriptors, so that
//! the agent is its fd store), one [`Message::Slot`] for every slot it keeps, one
//! [`Message::Adoptable`] for every process of an earlier shim that is still alive and that it
//! keeps only after [`Request::Adopt`] (also where only the rest of a start's tree is alive), and
//! then [`Message::Ready`]. From then on each change of a
//! slot is sent again as a whole [`SlotState`]: messages carry levels, not edges, so that a client
//! that connects late has missed nothing.
//!
//! Every request is answered by exactly one [`Message::Reply`] with its number. A reply says that
//! the shim has *taken on* the request (and journalled it). What that changed at once was told
//! before the reply, what becomes of it later is told by [`Message::Slot`]. Several clients may be connected; all of them see all changes.

use serde::{Deserialize, Serialize};

use crate::ids::SlotId;

/// What a shim answers on a slot's socket for a process that is down and not restarted at once.
///
/// A connection in the accept queue of a dead slot is silent and would be executed by the next
/// process, maybe long after its sender gave up. The shim takes such connections out of the queue
/// and answers this: nobody has executed the request and nobody will, so it may be sent elsewhere,
/// whatever its method. Recognised by the header [`REFUSED_HEADER`].
pub const REFUSED_RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nSkep-Refused: 1\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";

/// The header of [`REFUSED_RESPONSE`] that no app's answer has.
pub const REFUSED_HEADER: &str = "Skep-Refused";

/// The name of a slot's own socket in `LISTEN_FDNAMES`.
pub const SLOT_SOCKET_NAME: &str = "slot";

/// Returns a listener's name as it stands in `LISTEN_FDNAMES`, where a colon separates names:
/// `%` and `:` become `%25` and `%3A`.
pub fn encode_listener_name(name: &str) -> String {
    name.replace('%', "%25").replace(':', "%3A")
}

/// Returns the names in a `LISTEN_FDNAMES` value, undoing [`encode_listener_name`].
pub fn decode_listener_names(value: &str) -> Vec<String> {
    value.split(':').map(|name| name.replace("%3A", ":").replace("%25", "%")).collect()
}

/// A numbered request to a shim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// Chosen by the client, echoed in the reply.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// What a shim can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Make the slot's socket and start its process. A slot that has a process, or waits for its
    /// next start, is left as it is and reported: it is never started twice. One that is stopped,
    /// finished or failed is started again with this recipe, on the socket it has.
    Start {
        /// The whole recipe; held in memory for restarts, never written to disk.
        slot: Box<SlotSpec>,
    },
    /// Stop the slot: signal, grace, kill of its whole tree. Also ends a backoff. The socket stays.
    Stop {
        /// Which.
        slot: SlotId,
    },
    /// Forget a slot without processes: close its socket and pipes, unlink its path.
    Remove {
        /// Which.
        slot: SlotId,
    },
    /// Bind a listener that every slot of this service inherits; answered with its descriptor.
    Open {
        /// What to bind.
        listener: SharedListener,
    },
    /// Close a shared listener.
    Close {
        /// Its name.
        name: String,
    },
    /// Hand over what an earlier shim held. Descriptors: in the order of `held`, over all slots.
    /// The shim looks for the slot's process in its journal: alive, it is kept; gone, its exit is
    /// unknown and the restart policy decides.
    Adopt {
        /// One recipe a slot.
        slots: Vec<AdoptSlot>,
        /// Shared listeners, one descriptor each, after those of the slots.
        listeners: Vec<SharedListener>,
    },
    /// End an adoptable process that nobody wants, its whole tree.
    Discard {
        /// Which.
        slot: SlotId,
    },
    /// Write out every log byte that is in a pipe now, then answer.
    FlushLogs {},
    /// End the shim. Refused while a process lives.
    Exit {},
    /// A request of a later version; answered [`Outcome::Unsupported`].
    #[serde(other)]
    Unknown,
}

/// How one slot is started, restarted and stopped.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotSpec {
    /// Which slot.
    pub id: SlotId,
    /// Written into the log segments' header, for example `v14`.
    pub release: String,
    /// The program's absolute path; never looked up in a `PATH`, never run through a shell.
    pub program: String,
    /// Its arguments, the zeroth included.
    pub arguments: Vec<String>,
    /// Absolute; entered before the user changes, so a directory that only root may enter fails.
    pub directory: String,
    /// The whole environment. The shim adds `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` when
    /// it passes sockets, `NOTIFY_SOCKET` when `notify` is set, and where containment is
    /// [`Containment::Session`] the mark
    /// `SKEP_START=<installation>/<app>/<service>/<slot>.<start number>`, by which it finds processes that left their session; nothing else. Its own of these replace
    /// whatever is given here.
    pub environment: Vec<(String, String)>,
    /// Whom to become; absent: stay who the shim is.
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// The slot's own socket.
    #[serde(default)]
    pub socket: SlotSocket,
    /// Whether the process says `READY=1` itself.
    #[serde(default)]
    pub notify: bool,
    /// What to do when the process ends by itself.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// The signal that asks for an orderly end, for example 15.
    pub stop_signal: i32,
    /// Whether that signal goes to every process of the slot instead of the main one: a shell that
    /// waits for its command does not pass it on.
    #[serde(default)]
    pub signal_all: bool,
    /// How long an orderly end may take, in milliseconds.
    pub stop_grace_ms: u64,
    /// A file that the shim opens, locks shared and lets the process inherit: while any of them
    /// lives, the artifact is in use.
    #[serde(default)]
    pub lease: Option<String>,
    /// File mode creation mask.
    pub umask: u32,
    /// `RLIMIT_NOFILE`, soft and hard; absent: inherited.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// Absolute path of a socket that the process binds by itself ([`SlotSocket::None`]): what the
    /// last process left there is unlinked before each start, and when the slot is removed. Only a
    /// socket is, and neither a link at the path nor its directory as a link is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_socket: Option<String>,
}

impl std::fmt::Debug for SlotSpec {
    /// Leaves out the environment's values: they may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlotSpec")
            .field("id", &self.id)
            .field("release", &self.release)
            .field("arguments", &self.arguments)
            .field("environment", &self.environment.iter().map(|(k, _)| k).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Whom a process becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids; the process gets these and no others.
    pub groups: Vec<u32>,
}

/// The socket of one slot, made by the shim and kept across restarts of the slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SlotSocket {
    /// None; the process does not listen, or listens by itself.
    #[default]
    None,
    /// A unix stream listener, passed as descriptor 3.
    Unix {
        /// Absolute path; bound through its directory's descriptor, so its length does not matter.
        path: String,
        /// Permission bits of the socket file.
        mode: u32,
        /// Group of the socket file; absent: the shim's.
        #[serde(default)]
        group: Option<u32>,
    },
    /// A socket kind of a later version.
    #[serde(other)]
    Unknown,
}

/// A listener that belongs to the service, not to a slot: the proxy's public addresses.
///
/// Slots get them after their own socket, named in `LISTEN_FDNAMES`: the slot's own is
/// [`SLOT_SOCKET_NAME`], the others are encoded by [`encode_listener_name`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedListener {
    /// How the process finds it; the address itself, for example `0.0.0.0:8000`.
    pub name: String,
    /// What to bind.
    pub address: std::net::SocketAddr,
}

/// What to do when a process ends that nobody stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Start it again, whatever it said.
    #[default]
    Always,
    /// Start it again unless it ended with status 0.
    OnFailure,
    /// Let it be; its exit is kept.
    Never,
}

/// What the agent hands back to a new shim for one slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdoptSlot {
    /// The recipe, for restarts.
    pub spec: SlotSpec,
    /// Which descriptors of the slot follow, in this order.
    pub held: Vec<Held>,
}

/// A descriptor the agent keeps for a shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The slot's listener.
    Socket,
    /// Read end of the standard output pipe.
    Stdout,
    /// Read end of the standard error pipe.
    Stderr,
    /// The datagram socket behind `NOTIFY_SOCKET`.
    Notify,
    /// Something of a later version.
    #[serde(other)]
    Unknown,
}

/// What a shim says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// The answer to one request.
    Reply {
        /// The request's number.
        re: u64,
        /// What came of it.
        outcome: Outcome,
    },
    /// Duplicates of what the shim holds for a slot; descriptors in the order of `held`.
    Holding {
        /// Which slot.
        slot: SlotId,
        /// Which descriptors follow.
        held: Vec<Held>,
    },
    /// A duplicate of a shared listener; one descriptor.
    HoldingListener {
        /// Which.
        listener: SharedListener,
    },
    /// The state of a slot, after each change.
    Slot {
        /// All of it.
        state: SlotState,
    },
    /// A slot was removed.
    Removed {
        /// Which.
        slot: SlotId,
    },
    /// A process of an earlier shim, alive and waiting for [`Request::Adopt`].
    Adoptable {
        /// Which slot.
        slot: SlotId,
        /// Its main process; where that is gone, another one of its tree.
        pid: u32,
    },
    /// The greeting is complete.
    Ready {
        /// The shim's own process.
        pid: u32,
        /// Whether each start has a cgroup leaf.
        containment: Containment,
    },
    /// Log lines were dropped because they could not be written.
    LogsDropped {
        /// Bytes since the shim started.
        bytes: u64,
        /// The last error's text.
        reason: String,
    },
    /// The shim has too many clients and hangs up on this one; nothing follows.
    TurnedAway {
        /// For people.
        reason: String,
    },
    /// A message of a later version.
    #[serde(other)]
    Unknown,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// Taken on, or already so.
    Accepted,
    /// Refused; nothing changed.
    Refused {
        /// For people: what was tried on what and why it failed.
        reason: String,
    },
    /// This shim is older than the request.
    Unsupported,
}

/// Everything known of one slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotState {
    /// Which slot.
    pub id: SlotId,
    /// The release its recipe named.
    pub release: String,
    /// Where it stands.
    pub phase: Phase,
    /// The process, while there is one.
    #[serde(default)]
    pub process: Option<Process>,
    /// Whether the process said `READY=1` since it started.
    #[serde(default)]
    pub notified: bool,
    /// The last `STATUS=` text it sent.
    #[serde(default)]
    pub status_text: Option<String>,
    /// How often the slot was started, from 1.
    pub starts: u64,
    /// How the last process ended.
    #[serde(default)]
    pub last_exit: Option<Exit>,
    /// Descriptors are missing after both shim and agent were lost; replace it when calm.
    #[serde(default)]
    pub incomplete: bool,
}

/// Where a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Phase {
    /// Its main process lives.
    Running,
    /// Its main process has ended, the rest of its tree is ending; the next start waits for that.
    Clearing,
    /// Waiting before the next start.
    Backoff {
        /// How long in all, in milliseconds.
        delay_ms: u64,
    },
    /// Restarted too often in too short a time; tried again at the longest backoff.
    CrashLoop {
        /// How long until the next try, in milliseconds.
        delay_ms: u64,
    },
    /// Asked to stop, not yet empty.
    Stopping,
    /// Stopped as asked; its tree is empty.
    Stopped,
    /// Ended by itself and not to be restarted; its tree is empty.
    Finished,
    /// Could not be started at all (no such program, no such directory …); see `status_text`.
    Failed,
}

impl Phase {
    /// Returns whether no process of the slot can be alive.
    pub fn is_empty(self) -> bool {
        !matches!(self, Self::Running | Self::Clearing | Self::Stopping)
    }
}

/// A live main process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: with the pid and the boot id, its identity.
    pub start_ticks: u64,
    /// Wall clock at its start, milliseconds since the epoch.
    pub started_at_ms: u64,
    /// Whether it was started by an earlier shim, so that its exit status may stay unknown.
    #[serde(default)]
    pub adopted: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its main process.
    pub pid: u32,
    /// What it said.
    pub status: ExitStatus,
    /// Wall clock, milliseconds since the epoch.
    pub at_ms: u64,
    /// How long it had lived, in milliseconds.
    pub lived_ms: u64,
    /// Whether it ended because it was asked to.
    pub requested: bool,
}

/// What a process said when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", content = "value", rename_all = "snake_case")]
pub enum ExitStatus {
    /// It returned this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// Nobody could reap it. Never taken for success.
    Unknown,
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("exit unknown"),
        }
    }
}

/// What holds a start's processes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// A cgroup leaf: "the tree is empty" is a fact.
    Cgroup,
    /// A session and the shim's children: a process that forks twice and leaves its session is
    /// found by its environment only.
    Session,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_names_survive_the_colons_of_addresses() {
        let names = ["slot", "0.0.0.0:8000", "[::]:80", "100%3A:"];
        let value = names.map(encode_listener_name).join(":");
        assert_eq!(decode_listener_names(&value), names);
    }
}
