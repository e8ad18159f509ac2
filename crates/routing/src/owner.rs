//! The owner of the table: what each proxy has in force, and who waits for what.
//!
//! One task, no lock. Commands come in from handles, news from the links to the proxies, and the
//! list of those that live from the supervisor; after each of them [`Owner::settle`] answers whoever
//! has what it waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use control::proxy::{EndpointId, InFlight, Message, Request, ServiceCounters};
use control::{Hello, Revision, SlotId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::link::{self, MAX_ORDERS, News, Order, What};
use crate::router::{ACK_PATIENCE, Cut, MAX_COMMANDS, ProxyInstance, RoutingError};
use crate::section::Section;
use crate::table::Table;

/// How long the answer to a cut or to counters may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// What a handle asks of the owner.
pub(crate) enum Command {
    Begin {
        sections: Vec<(String, Section)>,
        done: oneshot::Sender<Result<Revision, RoutingError>>,
    },
    SetApp {
        app: String,
        section: Section,
        done: oneshot::Sender<Result<Revision, RoutingError>>,
    },
    SetReady {
        app: String,
        endpoint: EndpointId,
        ready: bool,
    },
    Listen {
        name: String,
        socket: Arc<OwnedFd>,
    },
    Unlisten {
        name: String,
    },
    Drain {
        endpoints: Vec<EndpointId>,
        progress: watch::Sender<Vec<InFlight>>,
        done: oneshot::Sender<()>,
    },
    Cut {
        endpoints: Vec<EndpointId>,
        done: oneshot::Sender<Cut>,
    },
    Counters {
        done: oneshot::Sender<Vec<ServiceCounters>>,
    },
    AwaitProxy {
        slot: SlotId,
        done: oneshot::Sender<()>,
    },
    Leave {
        slot: SlotId,
    },
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Command")
    }
}

struct Proxy {
    instance: ProxyInstance,
    orders: mpsc::Sender<Order>,
    /// In force there; known while connected.
    applied: Option<Revision>,
    /// What it accepts on, or has when it leaves.
    listening: BTreeSet<String>,
    connected: bool,
}

struct AckWaiter {
    revision: Revision,
    deadline: Instant,
    done: oneshot::Sender<Result<Revision, RoutingError>>,
}

struct DrainWaiter {
    endpoints: Vec<EndpointId>,
    /// Proxies that have not said `Drained`.
    waiting: BTreeSet<SlotId>,
    in_flight: BTreeMap<SlotId, Vec<InFlight>>,
    progress: watch::Sender<Vec<InFlight>>,
    done: oneshot::Sender<()>,
}

/// An answer collected from several proxies.
struct Collecting<T, D> {
    waiting: BTreeSet<SlotId>,
    deadline: Instant,
    so_far: T,
    done: oneshot::Sender<D>,
}

pub(crate) struct Owner {
    table: Table,
    /// The table is complete and may be sent.
    has_begun: bool,
    hello: Hello,
    listeners: BTreeMap<String, Arc<OwnedFd>>,
    proxies: BTreeMap<SlotId, Proxy>,
    acks: Vec<AckWaiter>,
    drains: BTreeMap<u64, DrainWaiter>,
    cuts: BTreeMap<u64, Collecting<Cut, Cut>>,
    counters: BTreeMap<u64, Collecting<Vec<ServiceCounters>, Vec<ServiceCounters>>>,
    /// Who waits for a proxy to serve.
    awaited: Vec<(SlotId, oneshot::Sender<()>)>,
    /// Proxies that were told to leave.
    leaving: BTreeSet<SlotId>,
    next_id: u64,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
}

impl Owner {
    pub(crate) fn new(
        epoch: u32,
        hello: Hello,
        instances: &watch::Receiver<Vec<ProxyInstance>>,
    ) -> Self {
        let mut owner = Self {
            table: Table::new(epoch),
            has_begun: false,
            hello,
            listeners: BTreeMap::new(),
            proxies: BTreeMap::new(),
            acks: Vec::new(),
            drains: BTreeMap::new(),
            cuts: BTreeMap::new(),
            counters: BTreeMap::new(),
            awaited: Vec::new(),
            leaving: BTreeSet::new(),
            next_id: 1,
            news: mpsc::channel(MAX_COMMANDS),
        };
        let known = instances.borrow().clone();
        owner.reconcile(&known);
        owner
    }

    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut instances: watch::Receiver<Vec<ProxyInstance>>,
    ) {
        loop {
            let deadline = self.next_deadline();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                Some(news) = self.news.1.recv() => self.hear(news),
                changed = instances.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let known = instances.borrow_and_update().clone();
                    self.reconcile(&known);
                }
                () = tokio::time::sleep_until(deadline) => {}
            }
            self.settle();
        }
    }

    fn next_deadline(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let acks = self.acks.iter().map(|waiter| waiter.deadline);
        let cuts = self.cuts.values().map(|waiter| waiter.deadline);
        let counters = self.counters.values().map(|waiter| waiter.deadline);
        acks.chain(cuts).chain(counters).min().unwrap_or(far)
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Begin { sections, done } => {
                for (app, section) in sections {
                    self.table.set(&app, section);
                }
                self.has_begun = true;
                self.broadcast_table();
                if self.table.is_empty() {
                    // Nobody waits for routes, and no proxy need live.
                    let _ = done.send(Ok(self.table.revision()));
                } else {
                    self.await_acks(done);
                }
            }
            Command::SetApp { app, section, done } => {
                if self.table.set(&app, section) {
                    self.broadcast_table();
                }
                self.await_acks(done);
            }
            Command::SetReady { app, endpoint, ready } => {
                if self.table.change(&app, |section| section.set_ready(&endpoint, ready)) {
                    self.broadcast_table();
                }
            }
            Command::Listen { name, socket } => {
                self.listeners.insert(name, socket);
                for proxy in self.proxies.values().filter(|proxy| proxy.connected) {
                    self.send_listeners(proxy);
                }
            }
            Command::Unlisten { name } => {
                self.listeners.remove(&name);
                for proxy in self.proxies.values().filter(|proxy| proxy.connected) {
                    order(proxy, Request::Unlisten { names: vec![name.clone()] });
                }
            }
            Command::Drain { endpoints, progress, done } => {
                let id = self.take_id();
                let waiting = self.proxies.keys().copied().collect();
                let drain =
                    DrainWaiter { endpoints, waiting, in_flight: BTreeMap::new(), progress, done };
                for proxy in self.proxies.values().filter(|proxy| proxy.connected) {
                    order(proxy, Request::Drain { id, endpoints: drain.endpoints.clone() });
                }
                self.drains.insert(id, drain);
            }
            Command::Cut { endpoints, done } => {
                let id = self.take_id();
                let collecting = self.collect(Cut::default(), done);
                for proxy in self.proxies.values().filter(|proxy| proxy.connected) {
                    order(proxy, Request::Cut { id, endpoints: endpoints.clone() });
                }
                self.cuts.insert(id, collecting);
            }
            Command::Counters { done } => {
                let id = self.take_id();
                let collecting = self.collect(Vec::new(), done);
                for proxy in self.proxies.values().filter(|proxy| proxy.connected) {
                    order(proxy, Request::Counters { id });
                }
                self.counters.insert(id, collecting);
            }
            Command::AwaitProxy { slot, done } => self.awaited.push((slot, done)),
            Command::Leave { slot } => {
                self.leaving.insert(slot);
                if let Some(proxy) = self.proxies.get(&slot).filter(|proxy| proxy.connected) {
                    order(proxy, Request::Leave {});
                }
            }
        }
    }

    fn await_acks(&mut self, done: oneshot::Sender<Result<Revision, RoutingError>>) {
        let deadline = Instant::now() + ACK_PATIENCE;
        self.acks.push(AckWaiter { revision: self.table.revision(), deadline, done });
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn collect<T, D>(&self, so_far: T, done: oneshot::Sender<D>) -> Collecting<T, D> {
        let connected = self.proxies.values().filter(|proxy| proxy.connected);
        Collecting {
            waiting: connected.map(|proxy| proxy.instance.slot).collect(),
            deadline: Instant::now() + ANSWER_PATIENCE,
            so_far,
            done,
        }
    }

    fn hear(&mut self, News { from: (proxy, start), what }: News) {
        // A link may outlive its instance for a moment; what it says then is void.
        let Some(found) = self.proxies.get_mut(&proxy) else { return };
        if found.instance.start != start {
            return;
        }
        match what {
            What::Up(state) => {
                found.connected = true;
                found.applied = None;
                tracing::info!(%proxy, ?state, "a proxy is connected");
                if let Message::State { listeners, .. } = state {
                    found.listening = listeners.into_iter().collect();
                }
                let found = &self.proxies[&proxy];
                self.send_listeners(found);
                self.send_table(found);
                for (id, drain) in &self.drains {
                    if drain.waiting.contains(&proxy) {
                        let endpoints = drain.endpoints.clone();
                        order(found, Request::Drain { id: *id, endpoints });
                    }
                }
                if self.leaving.contains(&proxy) {
                    order(found, Request::Leave {});
                }
            }
            What::Down => {
                found.connected = false;
                found.applied = None;
                self.forget_questions(proxy);
            }
            What::Said(message) => self.said(proxy, message),
        }
    }

    /// Stops waiting for answers that only the connection before could have brought.
    fn forget_questions(&mut self, proxy: SlotId) {
        for waiter in self.cuts.values_mut() {
            waiter.waiting.remove(&proxy);
        }
        for waiter in self.counters.values_mut() {
            waiter.waiting.remove(&proxy);
        }
    }

    fn said(&mut self, proxy: SlotId, message: Message) {
        match message {
            Message::Applied { revision } => {
                if let Some(found) = self.proxies.get_mut(&proxy) {
                    found.applied = found.applied.max(Some(revision));
                }
            }
            Message::Refused { revision, current, reason } => {
                tracing::error!(%proxy, %revision, ?current, reason, "a proxy refused routes");
                for waiter in take_where(&mut self.acks, |waiter| waiter.revision <= revision) {
                    let reason = reason.clone();
                    let _ = waiter.done.send(Err(RoutingError::Refused { revision, reason }));
                }
            }
            Message::Draining { id, in_flight, .. } => {
                if let Some(drain) = self.drains.get_mut(&id) {
                    drain.in_flight.insert(proxy, in_flight);
                    let all = drain.in_flight.values().flatten().cloned().collect();
                    drain.progress.send_replace(all);
                }
            }
            Message::Drained { id } => {
                if let Some(drain) = self.drains.get_mut(&id) {
                    drain.waiting.remove(&proxy);
                    drain.in_flight.remove(&proxy);
                }
            }
            Message::WasCut { id, requests, total } => {
                if let Some(cut) = self.cuts.get_mut(&id) {
                    cut.waiting.remove(&proxy);
                    cut.so_far.requests.extend(requests);
                    cut.so_far.total += total;
                }
            }
            Message::Counters { id, services } => {
                if let Some(counters) = self.counters.get_mut(&id) {
                    counters.waiting.remove(&proxy);
                    add_counters(&mut counters.so_far, services);
                }
            }
            Message::Listening { names } => {
                if let Some(found) = self.proxies.get_mut(&proxy) {
                    found.listening = names.into_iter().collect();
                }
            }
            Message::State { .. } | Message::Unsupported {} | Message::Unknown => {}
        }
    }

    /// Takes note of which proxies live. A restarted one is another instance behind the same
    /// socket: what it acknowledged before its restart is void, what it drained is drained.
    fn reconcile(&mut self, instances: &[ProxyInstance]) {
        let gone: Vec<SlotId> = self
            .proxies
            .iter()
            .filter(|(_, proxy)| !instances.contains(&proxy.instance))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in gone {
            self.proxies.remove(&slot);
            for drain in self.drains.values_mut() {
                drain.waiting.remove(&slot);
                drain.in_flight.remove(&slot);
            }
            self.forget_questions(slot);
        }
        for instance in instances {
            if self.proxies.contains_key(&instance.slot) {
                continue;
            }
            let (orders, receiver) = mpsc::channel(MAX_ORDERS);
            let (slot, socket) = (instance.slot, instance.socket.clone());
            let hello = self.hello.clone();
            let from = (slot, instance.start);
            tokio::spawn(link::run(from, socket, hello, receiver, self.news.0.clone()));
            let instance = instance.clone();
            let listening = BTreeSet::new();
            let proxy = Proxy { instance, orders, applied: None, listening, connected: false };
            self.proxies.insert(slot, proxy);
        }
    }

    fn broadcast_table(&self) {
        for proxy in self.proxies.values().filter(|proxy| proxy.connected) {
            self.send_table(proxy);
        }
    }

    fn send_table(&self, proxy: &Proxy) {
        if !self.has_begun {
            return;
        }
        let (revision, table) = (self.table.revision(), self.table.compose());
        order(proxy, Request::Routes { revision, table });
    }

    fn send_listeners(&self, proxy: &Proxy) {
        // One a frame, so that the number of listeners is not bounded by the frame's descriptors.
        for (name, socket) in &self.listeners {
            match rustix::io::fcntl_dupfd_cloexec(&**socket, 3) {
                Ok(duplicate) => {
                    let request = Request::Listeners { names: vec![name.clone()] };
                    let _ = proxy.orders.try_send(Order { request, fds: vec![duplicate] });
                }
                Err(error) => tracing::error!(name, %error, "failed to duplicate a listener"),
            }
        }
    }

    /// Returns whether a proxy would lose no request if it were the only one.
    fn is_serving(&self, proxy: &Proxy) -> bool {
        self.has_begun
            && proxy.connected
            && proxy.applied >= Some(self.table.revision())
            && self.listeners.keys().all(|name| proxy.listening.contains(name))
    }

    /// Answers whoever has what it waited for, or has waited long enough.
    fn settle(&mut self) {
        let now = Instant::now();
        let lowest = self.proxies.values().map(|proxy| proxy.applied).min().flatten();
        for waiter in take_where(&mut self.acks, |waiter| Some(waiter.revision) <= lowest) {
            let _ = waiter.done.send(Ok(waiter.revision));
        }
        let late = take_where(&mut self.acks, |waiter| waiter.deadline <= now);
        for AckWaiter { revision, done, .. } in late {
            let behind: Vec<String> = self
                .proxies
                .values()
                .filter(|proxy| proxy.applied < Some(revision))
                .map(|proxy| format!("proxy {}", proxy.instance.slot))
                .collect();
            let missing =
                if behind.is_empty() { "the proxy (none runs)".into() } else { behind.join(", ") };
            let _ = done.send(Err(RoutingError::NotAcknowledged { revision, missing }));
        }
        let drained: Vec<u64> = self
            .drains
            .iter()
            .filter(|(_, drain)| drain.waiting.is_empty() || drain.done.is_closed())
            .map(|(id, _)| *id)
            .collect();
        for id in drained {
            if let Some(drain) = self.drains.remove(&id) {
                let _ = drain.done.send(());
            }
        }
        for (slot, done) in std::mem::take(&mut self.awaited) {
            if self.proxies.get(&slot).is_some_and(|proxy| self.is_serving(proxy)) {
                let _ = done.send(());
            } else if !done.is_closed() {
                self.awaited.push((slot, done));
            }
        }
        finish(&mut self.cuts, now, |cut| cut);
        finish(&mut self.counters, now, |counters| counters);
    }
}

fn order(proxy: &Proxy, request: Request) {
    if proxy.orders.try_send(Order { request, fds: Vec::new() }).is_err() {
        // The link notices by itself that its proxy is gone, or the acknowledgement stays out.
        tracing::warn!(proxy = %proxy.instance.slot, "a proxy takes no more orders");
    }
}

fn take_where<T>(list: &mut Vec<T>, mut matches: impl FnMut(&T) -> bool) -> Vec<T> {
    let (taken, kept) = std::mem::take(list).into_iter().partition(|item| matches(item));
    *list = kept;
    taken
}

fn finish<T, D>(
    waiters: &mut BTreeMap<u64, Collecting<T, D>>,
    now: Instant,
    answer: impl Fn(T) -> D,
) {
    let done: Vec<u64> = waiters
        .iter()
        .filter(|(_, waiter)| waiter.waiting.is_empty() || waiter.deadline <= now)
        .map(|(id, _)| *id)
        .collect();
    for id in done {
        if let Some(waiter) = waiters.remove(&id) {
            let _ = waiter.done.send(answer(waiter.so_far));
        }
    }
}

fn add_counters(sum: &mut Vec<ServiceCounters>, more: Vec<ServiceCounters>) {
    for new in more {
        match sum.iter_mut().find(|old| old.service == new.service) {
            None => sum.push(new),
            Some(old) => {
                old.requests += new.requests;
                old.app_errors += new.app_errors;
                old.proxy_errors += new.proxy_errors;
                old.broken += new.broken;
                old.held += new.held;
                old.held_max_ms = old.held_max_ms.max(new.held_max_ms);
                old.retried += new.retried;
                old.in_flight += new.in_flight;
            }
        }
    }
}
