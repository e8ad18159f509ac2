//! A strict sans-IO HTTP/1.1 codec for both sides of a proxy
