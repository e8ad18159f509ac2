//! A proxy and its successor: both are asked, and neither leaves before the other serves.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;
use tokio::time::timeout;

use crate::node::{Node, PATIENCE, status};

/// Returns whether a future is over; polled by nobody but the test.
fn is_over<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it hangs")
}

#[tokio::test]
async fn a_successor_serves_before_the_other_leaves() {
    let node = Node::new().await;
    let app = node.app();
    let old = node.start(1, 1, false).await;
    node.report(&[&old]);
    let mut early = pin!(node.router.serves(old.slot()));
    assert!(!is_over(early.as_mut()), "nobody has routes yet");
    let section = Node::section(Some(&app));
    within(node.router.begin(vec![("shop".into(), section)])).await.unwrap();
    within(early).await.unwrap();
    let in_flight = node.request().await;
    app.has_got(1).await;

    // It inherits nothing: it serves only when it has been given the routes and the listener.
    let new = node.start(2, 1, true).await;
    let mut serves = pin!(node.router.serves(new.slot()));
    assert!(!is_over(serves.as_mut()), "the router was not told of it");
    node.report(&[&old, &new]);
    within(serves).await.unwrap();
    node.router.leave(old.slot()).await;
    // What the old one has it answers; what comes now is the other's.
    let mut left = pin!(old.proxy.left());
    app.gate.add_permits(1);
    assert_eq!(status(in_flight).await, "HTTP/1.1 200 OK");
    within(left.as_mut()).await;
    app.gate.add_permits(1);
    assert_eq!(status(node.request().await).await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn both_are_asked_while_one_leaves() {
    let node = Node::new().await;
    let app = node.app();
    let old = node.start(1, 1, false).await;
    node.report(&[&old]);
    let section = Node::section(Some(&app));
    within(node.router.begin(vec![("shop".into(), section)])).await.unwrap();
    let in_flight = node.request().await;
    app.has_got(1).await;
    let new = node.start(2, 1, false).await;
    node.report(&[&old, &new]);
    within(node.router.serves(new.slot())).await.unwrap();
    node.router.leave(old.slot()).await;

    // The leaving one has the request, and so nothing is drained before it is answered.
    within(node.router.set_app("shop", Node::section(None))).await.unwrap();
    let (progress, mut seen) = watch::channel(Vec::new());
    let mut drain = pin!(node.router.drain(vec![app.endpoint.clone()], PATIENCE, progress));
    tokio::select! {
        _ = &mut drain => panic!("drained with a request in flight"),
        listed = within(seen.wait_for(|listed| listed.len() == 1)) => drop(listed.unwrap()),
    }
    app.gate.add_permits(1);
    assert_eq!(within(drain).await.unwrap().total, 0);
    assert_eq!(status(in_flight).await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn one_that_is_restarted_is_told_again_to_leave() {
    let node = Node::new().await;
    within(node.router.begin(vec![])).await.unwrap();
    let first = node.start(1, 1, false).await;
    node.report(&[&first]);
    node.router.leave(first.slot()).await;
    within(first.proxy.left()).await;
    drop(first.proxy);
    let again = node.start(1, 2, false).await;
    node.report(&[&again]);
    within(again.proxy.left()).await;
    // Another one is not meant.
    let other = node.start(2, 1, false).await;
    node.report(&[&other]);
    within(node.router.serves(other.slot())).await.unwrap();
    assert!(!is_over(pin!(other.proxy.left()).as_mut()));
}
