//! Every bound of an evaluation, with its reason.
//!
//! They catch mistakes: a loop that never ends, a text that doubles. A cookbook's author decides
//! what root does on a machine, so nothing here is a wall against one; what a single expression may
//! take is bounded by the memory limit of the process that evaluates.

/// Longest recipe, library or template: a person wrote it.
pub const MAX_SOURCE_BYTES: usize = 256 << 10;

/// Largest file of a cookbook that becomes a file's content. Larger ones belong into an archive
/// that is fetched: content is held in memory, compared and kept for undoing.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Most function calls and loop rounds in one file. A thousand resources take some ten thousand.
pub const MAX_TICKS: u64 = 1_000_000;

/// Most statements of a whole evaluation; the same order as [`MAX_TICKS`].
pub const MAX_STATEMENTS: u64 = 2_000_000;

/// Most memory that the values of one recipe take. A thousand resources take about two megabytes.
pub const MAX_HEAP_BYTES: usize = 128 << 20;

/// Deepest nesting of calls: custom resources that use custom resources.
pub const MAX_CALL_DEPTH: usize = 100;

/// Deepest nesting of `include_recipe` and `load`: each level takes native stack.
pub const MAX_INCLUDE_DEPTH: usize = 32;

/// Deepest nesting of brackets in a recipe: the parser takes native stack for each.
pub const MAX_BRACKETS: usize = 200;

/// Most operators, keywords of expressions and members in one statement that may nest into each
/// other without brackets, as in `1 + 1 + …`: compiling takes native stack for each.
pub const MAX_CHAIN: usize = 2_000;

/// Longest text or list that `*` makes, in bytes or items.
pub const MAX_PRODUCT: usize = 16 << 20;

/// Most numbers of a `range`.
pub const MAX_RANGE: i64 = 1_000_000;

/// Most lines that `print` leaves; later ones are counted.
pub const MAX_NOTICES: usize = 1_000;

/// Longest line that `print` leaves.
pub const MAX_NOTICE_CHARS: usize = 4_096;

/// Instructions of one rendering: those of some hundred thousand lines.
pub const TEMPLATE_FUEL: u64 = 1_000_000;

/// Deepest nesting of includes and macros.
pub const MAX_TEMPLATE_DEPTH: usize = 50;

/// Longest text that a template gives.
pub const MAX_RENDERED_BYTES: usize = 16 << 20;

/// Most places that an error shows: where it happened, and who called.
pub const MAX_PLACES_SHOWN: usize = 10;

/// Stack of the thread that evaluates. Only what is touched takes memory.
pub(crate) const EVALUATION_STACK_BYTES: usize = 256 << 20;

/// How long the command of a guard may take if nothing is said: guards ask, they do not work.
pub const GUARD_TIMEOUT_MS: u64 = 30_000;
