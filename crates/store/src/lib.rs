//! A revisioned key-value store: get, range, transactions; SQLite and memory
