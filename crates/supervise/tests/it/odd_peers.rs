//! Peers that no shim of this build is: played by the test, on the shim's socket.

use std::os::unix::net::UnixListener;

use control::shim::{Containment, Message, Numbered, Outcome, Request};
use control::{Hello, PROTOCOL, Role, SlotId};
use control_tokio::Channel;
use supervise::{ShimState, SuperviseError};

use crate::fixture::{Installation, PATIENCE, service, wait};

/// A listener where the shim of [`service`] would be.
struct Peer {
    listener: tokio::net::UnixListener,
    hello: Hello,
}

impl Peer {
    fn of(installation: &Installation) -> Self {
        let path = installation.home.shim_socket(&service().file_name());
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let listener = UnixListener::from(disk::socket::bind_stream(&path, 0o600).unwrap());
        listener.set_nonblocking(true).unwrap();
        let hello = Hello {
            protocol: PROTOCOL,
            role: Role::Shim,
            build: "odd".to_owned(),
            boot_id: disk::boot_id().unwrap(),
            installation: installation.id.clone(),
        };
        Self { listener: tokio::net::UnixListener::from_std(listener).unwrap(), hello }
    }

    async fn accept(&self) -> Channel {
        let (stream, _) = self.listener.accept().await.unwrap();
        Channel::from_socket(stream.into_std().unwrap().into()).unwrap()
    }

    async fn greet(&self) -> Channel {
        let mut channel = self.accept().await;
        channel.handshake(&self.hello, Role::Agent, PATIENCE).await.unwrap();
        let pid = std::process::id();
        let ready = Message::Ready { pid, containment: Containment::Session };
        channel.send(&ready, vec![]).await.unwrap();
        channel
    }
}

async fn next_request(channel: &mut Channel) -> Numbered {
    channel.receive::<Numbered>().await.unwrap().expect("the supervisor hung up").0
}

#[tokio::test]
async fn another_installations_shim_is_left_alone() {
    let installation = Installation::new();
    let peer = Peer::of(&installation);
    let peer = Peer { hello: Hello { installation: "other".into(), ..peer.hello }, ..peer };
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    let play = async {
        loop {
            let mut channel = peer.accept().await;
            let _ = channel.handshake(&peer.hello, Role::Agent, PATIENCE).await;
        }
    };
    let error = tokio::select! {
        outcome = handle.ensure_shim() => outcome.unwrap_err(),
        () = play => unreachable!("the peer plays for ever"),
    };
    assert!(matches!(error, SuperviseError::Unavailable { .. }), "{error:?}");
    assert!(matches!(handle.view().shim, ShimState::Unresponsive(_)));
    assert_eq!(installation.count("shim"), 0);
}

#[tokio::test]
async fn a_shim_that_turns_us_away_is_quoted() {
    let installation = Installation::new();
    let peer = Peer::of(&installation);
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    let play = async {
        loop {
            let mut channel = peer.accept().await;
            let _ = channel.handshake(&peer.hello, Role::Agent, PATIENCE).await;
            let message = Message::TurnedAway { reason: "sixteen are enough".to_owned() };
            let _ = channel.send(&message, vec![]).await;
        }
    };
    let error = tokio::select! {
        outcome = handle.ensure_shim() => outcome.unwrap_err(),
        () = play => unreachable!("the peer plays for ever"),
    };
    assert!(error.to_string().contains("turned us away: sixteen are enough"), "{error}");
    assert_eq!(installation.count("shim"), 0);
}

/// A request that a dying shim did not answer is sent to the next one, and only once more.
#[tokio::test]
async fn an_unanswered_request_is_sent_again_once() {
    let installation = Installation::new();
    let peer = Peer::of(&installation);
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    let (ensured, mut channel) = tokio::join!(handle.ensure_shim(), peer.greet());
    ensured.unwrap();

    let slot = SlotId::new(1, 0);
    let play = async {
        assert_eq!(next_request(&mut channel).await.request, Request::Stop { slot });
        drop(channel);
        let mut channel = peer.greet().await;
        let request = next_request(&mut channel).await;
        assert_eq!(request.request, Request::Stop { slot });
        let reply = Message::Reply { re: request.id, outcome: Outcome::Accepted };
        channel.send(&reply, vec![]).await.unwrap();
        channel
    };
    let (stopped, mut channel) = tokio::join!(handle.stop(slot), play);
    stopped.unwrap();

    let play = async {
        next_request(&mut channel).await;
        drop(channel);
        let mut channel = peer.greet().await;
        next_request(&mut channel).await;
        drop(channel);
        peer.greet().await
    };
    let (stopped, mut channel) = tokio::join!(handle.stop(slot), play);
    assert!(matches!(stopped, Err(SuperviseError::Lost { .. })), "{stopped:?}");

    let play = async {
        let request = next_request(&mut channel).await;
        let reply = Message::Reply { re: request.id, outcome: Outcome::Unsupported };
        channel.send(&reply, vec![]).await.unwrap();
        channel
    };
    let (flushed, _channel) = tokio::join!(handle.flush_logs(), play);
    assert!(matches!(flushed, Err(SuperviseError::Unsupported { .. })), "{flushed:?}");
}

/// Messages and replies that nobody asked for do no harm; a peer that breaks the format is left
/// and met again.
#[tokio::test]
async fn nonsense_is_survived() {
    let installation = Installation::new();
    let peer = Peer::of(&installation);
    let supervisor = installation.supervisor();
    let handle = supervisor.service(&service());
    let (ensured, mut channel) = tokio::join!(handle.ensure_shim(), peer.greet());
    ensured.unwrap();
    for text in [
        r#"{"type":"of_the_future","x":1}"#,
        r#"{"type":"reply","re":77,"outcome":{"result":"accepted"}}"#,
        r#"{"type":"holding","slot":{"generation":1,"number":0},"held":["socket","elephant"]}"#,
        r#"{"type":"removed","slot":{"generation":9,"number":9}}"#,
        r#"{"type":"logs_dropped","bytes":5,"reason":"disk full","later":true}"#,
    ] {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        channel.send(&value, vec![]).await.unwrap();
    }
    let dropped = wait(&handle, |view| view.logs_dropped.clone()).await;
    assert_eq!((dropped.bytes, dropped.reason.as_str()), (5, "disk full"));
    channel.send(&"not an object", vec![]).await.unwrap();
    peer.greet().await;
}
