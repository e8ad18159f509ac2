//! The codec against what is known to be read differently by different servers.

mod body;
mod request;
mod response;
mod split;
