//! The node daemon: composition and the HTTP interface
