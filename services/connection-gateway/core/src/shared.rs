//! What Python's threads and the reactor share: commands one way, a batch of results the other, and few tables.
//!
//! Locks are held for moments and never while the other side runs anything. The reactor is woken once however many
//! commands wait; the event file is signalled once however many results do.
//!
//! A ConnectRequest is answered exactly once: whoever takes its number out of `pending` first, `accept` (then a handle
//! exists and its end is told by Closed and flushed) or the reactor (then it is told by dropped).

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;
use rustls::ServerConfig;

use crate::conn::Mode;
use crate::counters::Counters;
use crate::figures::Inspected;
use crate::record::Sealed;
use crate::roster::Roster;
use crate::session::{Change, Policy};
use crate::slots::Key;
use crate::topics::Table;

pub struct Downlink {
    pub token: i64,
    pub handle: u64,
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub must_subscribe: bool,
    pub dup: bool,
}

/// A CONNECT accepted, as Python says it.
pub struct Admission {
    pub connection: u64,
    pub product_key: String,
    pub device_name: String,
    pub epoch: i64,
    pub ext: u32,
    pub session_present: bool,
    /// What a session that outlives its connection has from before; `None` for one that does not.
    pub kept: Option<Kept>,
}

pub struct Kept {
    pub subscriptions: Vec<String>,
    /// Automatic topics that the device unsubscribed.
    pub stopped: Vec<String>,
}

pub struct Accept {
    pub connection: Key,
    pub session: Key,
    pub policy: Arc<Policy>,
    pub device_name: String,
    pub epoch: i64,
    pub ext: u32,
    pub session_present: bool,
    pub kept: Option<Kept>,
}

/// A sub-session to begin on the connection of the session `gateway`.
pub struct Attach {
    pub gateway: Key,
    pub session: Key,
    pub policy: Arc<Policy>,
    pub device_name: String,
    pub epoch: i64,
    pub ext: u32,
}

pub enum Command {
    Listen(TcpListener, Mode),
    StopListening,
    SetTls(Arc<ServerConfig>),
    SetStreams(Vec<u32>),
    SetTable(Arc<Table>),
    SetPolicy(Arc<Policy>),
    Accept(Vec<Accept>),
    Attach(Vec<Attach>),
    Reject(Vec<(u64, u8, String)>),
    Close(Vec<(u64, String)>),
    Deliver(Vec<Downlink>),
    ConfirmSubscriptions(Vec<u64>),
    FailSubscriptions(Vec<u64>),
    Commit(Vec<u64>),
    Fail(Vec<u64>),
    Inspect(Vec<u64>),
    Stop,
}

/// A CONNECT to be judged. No `Debug`: it holds a password, and is dropped once Python has it.
pub struct ConnectRequest {
    pub connection: u64,
    pub client_id: String,
    pub username: String,
    pub password: String,
    pub keep_alive_s: u16,
    pub clean: bool,
    pub address: String,
    pub tls: bool,
}

impl ConnectRequest {
    /// Bytes it holds while it waits for Python.
    pub fn size(&self) -> usize {
        size_of::<ConnectRequest>() + self.client_id.len() + self.username.len() + self.password.len()
    }
}

pub struct Closed {
    pub handle: u64,
    pub product_key: Arc<str>,
    pub device_name: Box<str>,
    pub epoch: i64,
    pub reason: String,
}

pub struct LocalMessage {
    pub handle: u64,
    pub product_key: Arc<str>,
    pub device_name: Box<str>,
    pub epoch: i64,
    pub category: String,
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub received_ms: i64,
}

impl LocalMessage {
    /// Bytes it holds while it waits for Python.
    pub fn size(&self) -> usize {
        size_of::<LocalMessage>() + self.topic.len() + self.payload.len()
    }
}

/// Subscriptions of a session that outlives its connection changed.
pub struct Subscription {
    pub token: u64,
    pub handle: u64,
    pub change: Change,
}

/// Results since the last poll.
#[derive(Default)]
pub struct Outbox {
    pub connects: Vec<ConnectRequest>,
    pub dropped: Vec<u64>,
    pub closed: Vec<Closed>,
    pub flushed: Vec<u64>,
    pub records: Vec<Sealed>,
    pub local: Vec<LocalMessage>,
    pub delivered: Vec<(i64, &'static str)>,
    pub inspected: Vec<Inspected>,
    pub subscriptions: Vec<Subscription>,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.connects.is_empty()
            && self.dropped.is_empty()
            && self.closed.is_empty()
            && self.flushed.is_empty()
            && self.records.is_empty()
            && self.local.is_empty()
            && self.delivered.is_empty()
            && self.inspected.is_empty()
            && self.subscriptions.is_empty()
    }

    fn append(&mut self, other: &mut Outbox) {
        self.connects.append(&mut other.connects);
        self.dropped.append(&mut other.dropped);
        self.closed.append(&mut other.closed);
        self.flushed.append(&mut other.flushed);
        self.records.append(&mut other.records);
        self.local.append(&mut other.local);
        self.delivered.append(&mut other.delivered);
        self.inspected.append(&mut other.inspected);
        self.subscriptions.append(&mut other.subscriptions);
    }
}

pub struct Shared {
    commands: Mutex<Vec<Command>>,
    waker: Waker,
    woken: AtomicBool,
    outbox: Mutex<Outbox>,
    event: File,
    pub pending: Mutex<HashSet<u64>>,
    pub policies: Mutex<HashMap<String, Arc<Policy>>>,
    /// A number for each product that ever had a policy here.
    products: Mutex<HashMap<String, u32>>,
    pub roster: Mutex<Roster>,
    pub counters: Counters,
    /// 1 while the reactor's thread runs.
    pub running: AtomicUsize,
    pub connections: AtomicUsize,
    pub sessions: AtomicUsize,
    pub sub_sessions: AtomicUsize,
    pub records_outstanding: AtomicUsize,
    pub inflight_bytes: AtomicUsize,
    /// Bytes that connections hold, and those of results that wait for Python.
    pub held_bytes: AtomicUsize,
    pub waiting_bytes: AtomicUsize,
    /// Messages and requests that wait for Python, to bound what a Python that stands still costs.
    pub local_waiting: AtomicUsize,
    pub connects_waiting: AtomicUsize,
    /// How often Python has polled.
    pub polls: AtomicUsize,
}

/// A panic elsewhere leaves no half-made state under these locks: each holder does one insertion or swap.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn new(waker: Waker, max_sub_sessions: usize) -> io::Result<Shared> {
        // SAFETY: eventfd takes no pointers; a non-negative result is a descriptor that nobody else owns.
        let event = unsafe {
            match libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) {
                -1 => return Err(io::Error::last_os_error()),
                fd => File::from_raw_fd(fd),
            }
        };
        Ok(Shared {
            commands: Mutex::default(),
            waker,
            woken: AtomicBool::new(false),
            outbox: Mutex::default(),
            event,
            pending: Mutex::default(),
            policies: Mutex::default(),
            products: Mutex::default(),
            roster: Mutex::new(Roster::new(max_sub_sessions)),
            counters: Counters::default(),
            running: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            sub_sessions: AtomicUsize::new(0),
            records_outstanding: AtomicUsize::new(0),
            inflight_bytes: AtomicUsize::new(0),
            held_bytes: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            local_waiting: AtomicUsize::new(0),
            connects_waiting: AtomicUsize::new(0),
            polls: AtomicUsize::new(0),
        })
    }

    /// The number of a product, for tables.
    pub fn product(&self, product_key: &str) -> u32 {
        let mut products = lock(&self.products);
        let next = products.len() as u32;
        *products.entry(product_key.to_owned()).or_insert(next)
    }

    /// Traffic in memory: of connections, of records not committed, of results that wait for Python.
    pub fn buffered_bytes(&self) -> usize {
        let parts = [&self.held_bytes, &self.inflight_bytes, &self.waiting_bytes];
        parts.iter().map(|part| part.load(Ordering::Relaxed)).sum()
    }

    pub fn event_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Answers ConnectRequests: a session's number each, or 0.
    pub fn accept(&self, sessions: Vec<Admission>) -> Vec<u64> {
        let policies = lock(&self.policies);
        let mut accepts = Vec::with_capacity(sessions.len());
        let mut handles = Vec::with_capacity(sessions.len());
        for Admission { connection, product_key, device_name, epoch, ext, session_present, kept } in sessions {
            let policy = policies.get(&product_key).filter(|_| lock(&self.pending).remove(&connection));
            let Some(policy) = policy.cloned() else {
                handles.push(0);
                continue;
            };
            let session = lock(&self.roster).accept(&product_key, &device_name);
            handles.push(session.number());
            let connection = Key::from_number(connection);
            accepts.push(Accept { connection, session, policy, device_name, epoch, ext, session_present, kept });
        }
        if !accepts.is_empty() {
            self.command(Command::Accept(accepts));
        }
        handles
    }

    /// Begins sub-sessions: (gateway's session, product key, device name, epoch, ext), a number each, or 0.
    pub fn attach(&self, sessions: Vec<(u64, String, String, i64, u32)>) -> Vec<u64> {
        let policies = lock(&self.policies);
        let mut attaches = Vec::with_capacity(sessions.len());
        let mut handles = Vec::with_capacity(sessions.len());
        for (gateway, product_key, device_name, epoch, ext) in sessions {
            let gateway = Key::from_number(gateway);
            let policy = policies.get(&product_key);
            let session = policy.and_then(|_| lock(&self.roster).attach(gateway, &product_key, &device_name));
            handles.push(session.map_or(0, Key::number));
            if let (Some(policy), Some(session)) = (policy.cloned(), session) {
                attaches.push(Attach { gateway, session, policy, device_name, epoch, ext });
            }
        }
        if !attaches.is_empty() {
            self.command(Command::Attach(attaches));
        }
        handles
    }

    pub fn command(&self, command: Command) {
        lock(&self.commands).push(command);
        if !self.woken.swap(true, Ordering::AcqRel) {
            // Fails only if the reactor's poll is gone, and then nobody waits for commands.
            let _ = self.waker.wake();
        }
    }

    /// For the reactor: everything commanded since.
    pub fn commands(&self) -> Vec<Command> {
        if !self.woken.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *lock(&self.commands))
    }

    /// For the reactor: hands over results.
    pub fn publish(&self, results: &mut Outbox) {
        if results.is_empty() {
            return;
        }
        let mut outbox = lock(&self.outbox);
        let first = outbox.is_empty();
        outbox.append(results);
        if first {
            let _ = (&self.event).write(&1u64.to_ne_bytes());
        }
    }

    /// For Python: takes the results and clears the event.
    pub fn poll(&self) -> Outbox {
        let mut outbox = lock(&self.outbox);
        let mut count = [0u8; 8];
        let _ = (&self.event).read(&mut count);
        self.local_waiting.fetch_sub(outbox.local.len(), Ordering::Relaxed);
        self.connects_waiting.fetch_sub(outbox.connects.len(), Ordering::Relaxed);
        let connects: usize = outbox.connects.iter().map(ConnectRequest::size).sum();
        let local: usize = outbox.local.iter().map(LocalMessage::size).sum();
        self.waiting_bytes.fetch_sub(connects + local, Ordering::Relaxed);
        self.polls.fetch_add(1, Ordering::Relaxed);
        std::mem::take(&mut *outbox)
    }
}
