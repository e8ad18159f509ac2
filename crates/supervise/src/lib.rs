//! The agent's side of shims: start, connect, adopt, keep their descriptors
