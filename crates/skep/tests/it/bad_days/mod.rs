//! Bad input and bad days: each ends with an error that says what to do, with its documented exit
//! code, with the old release serving, and with nothing left behind ([`crate::scene::Rest`]).

mod build;
mod interrupt;
mod machine;
mod others;
mod start;
