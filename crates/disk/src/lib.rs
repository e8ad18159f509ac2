//! Files that survive a crash: atomic writes, locks, short socket addresses, paths in every error
