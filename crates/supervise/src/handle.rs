//! What the rest of the agent holds of a service.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use control::shim::{Request, SharedListener, SlotSpec};
use control::{ServiceName, SlotId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::error::{SuperviseError, WaitError};
use crate::keeper::{Call, Found};
use crate::limits::CALL_PATIENCE;
use crate::pending::describe;
use crate::view::ServiceView;

/// One service's shim, as asked and as seen. Cheap to clone.
///
/// A request returns when the shim has *taken it on*; what becomes of it shows in the view.
/// All of them return within [`CALL_PATIENCE`] and may be given up at any time: what was sent is
/// not taken back by that.
#[derive(Debug, Clone)]
pub struct ServiceHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    service: ServiceName,
    calls: mpsc::Sender<Call>,
    view: watch::Receiver<ServiceView>,
}

impl ServiceHandle {
    pub(crate) fn new(
        service: ServiceName,
        calls: mpsc::Sender<Call>,
        view: watch::Receiver<ServiceView>,
    ) -> Self {
        Self { shared: Arc::new(Shared { service, calls, view }) }
    }

    /// Returns the service's name.
    pub fn name(&self) -> &ServiceName {
        &self.shared.service
    }

    /// Returns what is known now.
    pub fn view(&self) -> ServiceView {
        self.shared.view.borrow().clone()
    }

    /// Returns a receiver of every later view.
    pub fn watch(&self) -> watch::Receiver<ServiceView> {
        self.shared.view.clone()
    }

    /// Makes sure that a shim runs and has everything its predecessor held; starts one if none
    /// does. From then on one that dies is replaced.
    ///
    /// Fails with [`SuperviseError::Unavailable`] when there is one that does not answer, or when
    /// it cannot be started; both are tried again in the background.
    pub async fn ensure_shim(&self) -> Result<(), SuperviseError> {
        self.call("start the shim", |done| Call::Ensure { done }).await?
    }

    /// Connects to the shim if one runs.
    pub(crate) async fn probe(&self) -> Result<Found, SuperviseError> {
        self.call("find the shim", |done| Call::Probe { done }).await
    }

    /// Tells how slots are started that an earlier agent *of this boot* had started.
    ///
    /// To be called once for every service after a start of the agent, with an empty list where
    /// nothing is expected, and before [`Self::ensure_shim`]: an expected process that lost its
    /// shim is adopted, any other one that did is ended. Nothing is started by being expected: an
    /// earlier agent may have died before it came to that.
    pub async fn expect(&self, slots: Vec<SlotSpec>) -> Result<(), SuperviseError> {
        self.call("expect slots", |done| Call::Expect { slots, done }).await
    }

    /// Makes the slot's socket and starts its process. A slot that exists is left as it is, and a
    /// process of it that lost its shim is adopted.
    pub async fn start(&self, slot: SlotSpec) -> Result<(), SuperviseError> {
        self.ask(Request::Start { slot: Box::new(slot) }).await
    }

    /// Stops the slot's process: signal, grace, kill of the whole tree. The socket stays.
    pub async fn stop(&self, slot: SlotId) -> Result<(), SuperviseError> {
        self.ask(Request::Stop { slot }).await
    }

    /// Forgets a slot without processes and closes its socket.
    pub async fn remove(&self, slot: SlotId) -> Result<(), SuperviseError> {
        self.ask(Request::Remove { slot }).await
    }

    /// Binds a listener for all slots of this service and returns a duplicate of it.
    pub async fn open(&self, listener: SharedListener) -> Result<OwnedFd, SuperviseError> {
        let request = Request::Open { listener };
        let what = describe(&request);
        let fds = self.call(&what, |done| Call::Ask { request, done }).await??;
        fds.into_iter().next().ok_or_else(|| SuperviseError::Refused {
            service: self.name().clone(),
            request: what,
            reason: "it sent no descriptor".to_owned(),
        })
    }

    /// Closes a shared listener.
    pub async fn close(&self, name: &str) -> Result<(), SuperviseError> {
        self.ask(Request::Close { name: name.to_owned() }).await
    }

    /// Returns once every log byte that was in a pipe is in the log.
    pub async fn flush_logs(&self) -> Result<(), SuperviseError> {
        self.ask(Request::FlushLogs {}).await
    }

    /// Ends a process that lost its shim, with its whole tree.
    pub async fn discard(&self, slot: SlotId) -> Result<(), SuperviseError> {
        self.ask(Request::Discard { slot }).await
    }

    /// Ends the shim, which is not replaced; refused while a process lives. Without a shim there
    /// is nothing to do.
    pub async fn exit(&self) -> Result<(), SuperviseError> {
        self.ask(Request::Exit {}).await
    }

    async fn ask(&self, request: Request) -> Result<(), SuperviseError> {
        let what = describe(&request);
        self.call(&what, |done| Call::Ask { request, done }).await?.map(drop)
    }

    async fn call<T>(
        &self,
        what: &str,
        call: impl FnOnce(oneshot::Sender<T>) -> Call,
    ) -> Result<T, SuperviseError> {
        let (done, answer) = oneshot::channel();
        let exchange = async {
            self.shared.calls.send(call(done)).await.ok()?;
            answer.await.ok()
        };
        let service = || self.shared.service.clone();
        match timeout(CALL_PATIENCE, exchange).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(SuperviseError::Ended { service: service(), request: what.to_owned() }),
            Err(_) => Err(SuperviseError::NoAnswer {
                service: service(),
                request: what.to_owned(),
                patience: CALL_PATIENCE,
            }),
        }
    }
}

/// Waits until `look` finds what it looks for in the service's view.
///
/// Looks at the present view first, so that nothing which already happened is missed. Cancel-safe.
pub async fn wait_for<T>(
    handle: &ServiceHandle,
    patience: Duration,
    mut look: impl FnMut(&ServiceView) -> Option<T>,
) -> Result<T, WaitError> {
    let mut views = handle.watch();
    let mut found = None;
    let wait = views.wait_for(|view| {
        found = look(view);
        found.is_some()
    });
    let ended = match timeout(patience, wait).await {
        Ok(outcome) => outcome.is_err(),
        Err(_) => false,
    };
    match found {
        Some(found) => Ok(found),
        None if ended => Err(WaitError::Ended { service: handle.name().clone() }),
        None => Err(WaitError::TooLate {
            service: handle.name().clone(),
            patience,
            last: Box::new(handle.view()),
        }),
    }
}
