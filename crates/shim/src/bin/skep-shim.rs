//! The keeper of one service.
fn main() {}
