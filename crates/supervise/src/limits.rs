//! Every bound of this crate, with its reason.

use std::time::Duration;

/// How long a shim may take to accept, to say hello and to tell what it keeps; each. A shim does
/// nothing that takes longer, so beyond this it is stopped, hung or starved.
pub const HELLO_PATIENCE: Duration = Duration::from_secs(2);

/// How long a started shim may take until it listens: it reads its journal and binds one socket.
pub const LAUNCH_PATIENCE: Duration = Duration::from_secs(5);

/// How often contact is tried before it is called a failure: once for a shim that is just ending,
/// once for what it leaves behind, and once more.
pub const MAX_ATTEMPTS: u32 = 3;

/// How long a service's lock may be held by somebody who does not listen: a shim that is starting,
/// or a process that a killed shim was about to execute.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How often that lock is looked at.
pub const LOCK_LOOK: Duration = Duration::from_millis(5);

/// How long a process may take to vanish after its connection ended, before it is taken to live
/// on and to have hung up on us.
pub const EXIT_PATIENCE: Duration = Duration::from_secs(1);

/// How long a new shim may take to report the slots that it was asked to adopt, before the view is
/// declared current without them.
pub const ADOPTION_PATIENCE: Duration = Duration::from_secs(2);

/// How long a request may stay unanswered. Replies are sent before the work is done, so only a
/// stopped shim or a hung disk takes longer.
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(10);

/// How long a caller waits in all: for the task to become free, for a new shim, for the reply.
pub const CALL_PATIENCE: Duration = Duration::from_secs(30);

/// Times a shim is replaced at once before pauses begin: three deaths in a row may be an
/// operator's doing, more are a defect.
pub const FREE_RESTARTS: u32 = 3;

/// The first pause of a shim that keeps failing; doubled each time.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A shim that was connected for this long is healthy again: its failures are forgotten.
pub const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Callers' requests waiting for the task of one service; more wait in the callers.
pub const MAX_QUEUED_CALLS: usize = 64;

/// Requests without a reply; more are refused. Four a slot of a large service.
pub const MAX_UNANSWERED: usize = 4096;

/// How often one request is sent: once, and once again after the shim was replaced.
pub const MAX_SENDS: u8 = 2;

/// Descriptors kept for one slot: its socket, two pipes, its notify socket.
pub const MAX_HELD_PER_SLOT: usize = 4;

/// Slots whose descriptors are kept, per service: as many as a shim keeps.
pub const MAX_SLOTS_HELD: usize = 1024;

/// Shared listeners kept per service: the proxy's public addresses.
pub const MAX_LISTENERS_HELD: usize = 256;

/// Messages before `ready`: two a slot and one a listener, with room.
pub const MAX_GREETING: usize = 4 * MAX_SLOTS_HELD;

/// Bytes of recipes in one `adopt`, a quarter of the largest frame: escaped JSON of the largest
/// single recipe still fits beside it.
pub const MAX_ADOPT_BYTES: usize = control::MAX_FRAME_BYTES / 4;

/// What is kept of a dead shim's standard error.
pub const LAST_WORDS_BYTES: u64 = 16 << 10;
