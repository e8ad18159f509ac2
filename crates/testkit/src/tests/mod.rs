//! The kit itself: that it sees what is there, and above all that it can fail.

mod apps;
mod home;
mod load;
mod server;
mod skep;
