//! Workers: threads with a runtime each, and the listeners they accept on.
//!
//! A connection stays on the worker that got it, with its timers, buffers and pooled upstream
//! connections, so that nothing but counters is shared between processors while a request runs.
//! Every worker accepts on every listener; one that has more connections than another hands new
//! ones over.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};

use crate::client::{Arrival, serve};
use crate::limits::ACCEPT_PAUSE;
use crate::shared::Shared;
use crate::tracker::Phase;

/// All workers; they end when this is dropped.
pub(crate) struct Workers {
    handles: Vec<Handle>,
    /// Connections of each.
    loads: Vec<AtomicUsize>,
    /// Dropped to stop the threads.
    _stops: Vec<oneshot::Sender<()>>,
}

impl Workers {
    /// Starts `count` threads.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let mut handles = Vec::new();
        let mut stops = Vec::new();
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let (stop, stopped) = oneshot::channel::<()>();
            stops.push(stop);
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                // Never sent: ends when the sender is dropped.
                let _ = runtime.block_on(stopped);
            })?;
        }
        let loads = (0..count).map(|_| AtomicUsize::new(0)).collect();
        Ok(Self { handles, loads, _stops: stops })
    }

    fn least_loaded(&self, at: usize) -> usize {
        let load = |worker: usize| self.loads[worker].load(SeqCst);
        let least = (0..self.handles.len()).min_by_key(|worker| load(*worker)).unwrap_or(at);
        if load(at) <= load(least) { at } else { least }
    }
}

/// What the proxy accepts on.
pub(crate) struct Listeners {
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    /// Each with the order to stop.
    open: Mutex<Vec<(String, watch::Sender<bool>)>>,
    /// Accept loops that run.
    accepting: Arc<AtomicUsize>,
}

impl Listeners {
    pub(crate) fn new(shared: Arc<Shared>, workers: Arc<Workers>) -> Self {
        Self { shared, workers, open: Mutex::default(), accepting: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, watch::Sender<bool>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().iter().map(|(name, _)| name.clone()).collect()
    }

    /// Returns whether no accept loop runs any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.accepting.load(SeqCst) == 0
    }

    /// Accepts on one more listener; one that is known already is left as it is.
    pub(crate) fn add(&self, name: &str, socket: &OwnedFd) -> io::Result<()> {
        let mut open = self.lock();
        if open.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        if !rustix::net::sockopt::socket_acceptconn(socket)? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening socket"));
        }
        rustix::io::ioctl_fionbio(socket, true)?;
        let copies: Vec<OwnedFd> = (0..self.workers.handles.len())
            .map(|_| socket.as_fd().try_clone_to_owned())
            .collect::<io::Result<_>>()?;
        let (stop, stopped) = watch::channel(false);
        open.push((name.to_owned(), stop));
        let name: Arc<str> = name.into();
        for (worker, copy) in copies.into_iter().enumerate() {
            let acceptor = Acceptor {
                name: Arc::clone(&name),
                worker,
                shared: Arc::clone(&self.shared),
                workers: Arc::clone(&self.workers),
                stopped: stopped.clone(),
            };
            let accepting = Accepting::new(&self.accepting, &self.shared);
            self.workers.handles[worker].spawn(async move {
                acceptor.run(copy).await;
                drop(accepting);
            });
        }
        Ok(())
    }

    /// Closes listeners; returns when our descriptors of them are closed. Connections go on.
    pub(crate) async fn remove(&self, names: &[String]) {
        let removed: Vec<_> =
            self.lock().extract_if(.., |(name, _)| names.contains(name)).collect();
        for (_, stop) in removed {
            stop.send_replace(true);
            // Each accept loop closes its descriptor before it lets go of its receiver.
            stop.closed().await;
        }
    }
}

/// A running accept loop.
struct Accepting {
    count: Arc<AtomicUsize>,
    shared: Arc<Shared>,
}

impl Accepting {
    fn new(count: &Arc<AtomicUsize>, shared: &Arc<Shared>) -> Self {
        count.fetch_add(1, SeqCst);
        Self { count: Arc::clone(count), shared: Arc::clone(shared) }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.count.fetch_sub(1, SeqCst);
        self.shared.tracker.ended.notify_waiters();
    }
}

/// One worker on one listener.
struct Acceptor {
    name: Arc<str>,
    worker: usize,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    stopped: watch::Receiver<bool>,
}

impl Acceptor {
    async fn run(&self, socket: OwnedFd) {
        let listener = match TcpListener::from_std(socket.into()) {
            Ok(listener) => listener,
            Err(error) => return self.say("failed to listen", &error),
        };
        let mut stopped = self.stopped.clone();
        let tracker = &self.shared.tracker;
        loop {
            let mut changed = std::pin::pin!(tracker.phase_changed.notified());
            changed.as_mut().enable();
            let phase = tracker.phase();
            if phase > Phase::Serving {
                return;
            }
            // Who finds no place, or no routes yet, waits in the listener's backlog and is not
            // refused.
            let places = Arc::clone(&self.shared.places);
            let accepted = tokio::select! {
                biased;
                () = changed => continue,
                _ = stopped.wait_for(|stopped| *stopped) => return,
                accepted = async {
                    if phase == Phase::Waiting {
                        return std::future::pending().await;
                    }
                    let place = places.acquire_owned().await;
                    (listener.accept().await, place)
                } => accepted,
            };
            match accepted {
                (Ok((stream, address)), Ok(place)) => {
                    let tracked = tracker.track();
                    self.hand_over(stream, Arrival { address, tracked, place });
                }
                (Err(error), _) if is_about_the_client(&error) => {}
                (Err(error), _) => {
                    self.say("failed to accept", &error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (_, Err(_)) => return,
            }
        }
    }

    fn hand_over(&self, stream: TcpStream, arrival: Arrival) {
        let worker = self.workers.least_loaded(self.worker);
        let load = Load::new(&self.workers, worker);
        let (name, shared) = (Arc::clone(&self.name), Arc::clone(&self.shared));
        if worker == self.worker {
            self.workers.handles[worker].spawn(async move {
                serve(stream, arrival, name, shared, worker).await;
                drop(load);
            });
            return;
        }
        // Off this worker's reactor, onto the other's.
        let Ok(stream) = stream.into_std() else { return };
        self.workers.handles[worker].spawn(async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                serve(stream, arrival, name, shared, worker).await;
            }
            drop(load);
        });
    }

    fn say(&self, event: &str, error: &io::Error) {
        self.shared.log.event(event, &format!("{}: {error}", self.name));
    }
}

/// One connection of a worker.
struct Load {
    workers: Arc<Workers>,
    worker: usize,
}

impl Load {
    fn new(workers: &Arc<Workers>, worker: usize) -> Self {
        workers.loads[worker].fetch_add(1, SeqCst);
        Self { workers: Arc::clone(workers), worker }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.workers.loads[self.worker].fetch_sub(1, SeqCst);
    }
}

/// Returns whether `accept` failed for this client only (accept(2), "Error handling").
fn is_about_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
    )
}
