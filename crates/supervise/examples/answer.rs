//! A process for the tests: answers every connection on its socket with its process id.
//!
//! The socket is descriptor 3, as for any service. `answer PORT-LISTENER` (any argument) answers on
//! descriptor 4 as well: the service's first shared listener.
//!
//! Unsafe code: the descriptors that a shim passes are taken over by number, once, before anything
//! else is opened; nobody else in this process knows of them.

#![allow(unsafe_code)]

use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

fn main() {
    // SAFETY: see the module documentation.
    let own = unsafe { OwnedFd::from_raw_fd(3) };
    if std::env::args().len() > 1 {
        // SAFETY: see the module documentation.
        let shared = TcpListener::from(unsafe { OwnedFd::from_raw_fd(4) });
        std::thread::spawn(move || {
            while let Ok((client, _)) = shared.accept() {
                answer(client);
            }
        });
    }
    let own = UnixListener::from(own);
    while let Ok((client, _)) = own.accept() {
        answer(client);
    }
}

fn answer(mut client: impl Write) {
    let _ = write!(client, "{}", std::process::id());
}
