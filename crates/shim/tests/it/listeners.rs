//! Public addresses.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use control::shim::{Outcome, Request, SharedListener};

use crate::fixture::session;

fn address_of(fd: OwnedFd) -> SocketAddr {
    TcpListener::from(fd).local_addr().unwrap()
}

#[test]
fn they_are_bound_once_and_shared_with_every_client() {
    let shim = session();
    let mut client = shim.client();
    let listener =
        SharedListener { name: "public".into(), address: "127.0.0.1:0".parse().unwrap() };
    let open = || Request::Open { listener: listener.clone() };
    let (outcome, mut fds) = client.ask(open(), Vec::new());
    assert_eq!(outcome, Outcome::Accepted);
    let address = address_of(fds.pop().unwrap());
    let (_, mut again) = client.ask(open(), Vec::new());
    assert_eq!(address_of(again.pop().unwrap()), address);
    let mut other = shim.client();
    let (known, fd) = other.listeners.pop().unwrap();
    assert_eq!((&known, address_of(fd)), (&listener, address));
    let moved = SharedListener { address: "127.0.0.1:1".parse().unwrap(), ..listener.clone() };
    assert!(other.refused(Request::Open { listener: moved }).contains("is on 127.0.0.1:0"));

    client.accepted(Request::Close { name: "public".into() });
    client.listeners.clear();
    drop(other);
    let mut fresh = shim.client();
    assert!(fresh.listeners.is_empty());

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listener = SharedListener { name: "taken".into(), address };
    let reason = fresh.refused(Request::Open { listener });
    let expected = format!("{address} is in use by process {}", std::process::id());
    assert!(reason.starts_with(&expected), "{reason}");
}
