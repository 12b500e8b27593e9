//! The reactor: one thread, one epoll, all connections.
//!
//! A turn takes what is ready, in this order: commands, sockets, connections left over from the turn before, timers,
//! records that have lingered; then writes each touched connection once and hands the results to Python once. After a
//! turn that found little while traffic is on, it naps for a moment, so that the next turn finds more: a wake-up costs
//! more than a message. Sockets are edge-triggered, so "not read" costs no system call: a paused connection is simply
//! left alone, and remembered as readable.
//!
//! Nothing a peer or Python sends may end the thread: a panic while handling a connection closes that connection, a
//! panic while handling a command is counted, and so is one anywhere else in a turn.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConfig;

use crate::conn::{Conn, Fill, Phase, READ_BYTES, pause};
use crate::counters::Count;
use crate::ids::{MessageIds, TraceIds};
use crate::listener::{Accepted, Listener, Reserve};
use crate::memory::Local;
use crate::options::Options;
use crate::protocol::Sizes;
use crate::record::{Bounds, Records};
use crate::session::Session;
use crate::shared::{Outbox, Shared};
use crate::slots::{Key, Slots};
use crate::timer::Wheel;
use crate::topics::Table;

const WAKE: Token = Token(0);
/// Reads of one connection in one turn; then the others have their turn.
const READS_A_TURN: usize = 4;
const ACCEPTS_A_TURN: usize = 256;
/// A turn with fewer events than this found little.
const FEW_EVENTS: usize = 32;
const NAP: Duration = Duration::from_micros(300);
const ACCEPT_RETRY_US: u64 = 100_000;

pub struct Reactor {
    pub(crate) options: Options,
    pub(crate) shared: Arc<Shared>,
    poll: Poll,
    pub(crate) listeners: Vec<Listener>,
    /// Listeners that may have more to accept, and when to look.
    accepting: Vec<(usize, u64)>,
    reserve: Reserve,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) conns: Slots<Conn>,
    pub(crate) sessions: Slots<Session>,
    pub(crate) table: Arc<Table>,
    pub(crate) records: Records,
    pub(crate) results: Outbox,
    wheel: Wheel,
    dirty: Vec<Key>,
    ready: Vec<Key>,
    buffer: Vec<u8>,
    pub(crate) ids: MessageIds,
    pub(crate) traces: TraceIds,
    pub(crate) untraced: u32,
    /// Changes of subscriptions that are being stored: their connections by token, and the last token given.
    pub(crate) changes: HashMap<u64, Key>,
    pub(crate) last_change: u64,
    started: Instant,
    /// Bytes of all large inboxes.
    pub(crate) partial_bytes: usize,
    /// Bytes that all connections hold, and when to look for slow readers again.
    pub(crate) held_bytes: usize,
    pub(crate) shed_us: u64,
    pub(crate) local: Local,
    pub(crate) now_us: u64,
    pub(crate) now_ms: i64,
    pub(crate) busy: bool,
    pub(crate) stopping: bool,
}

impl Reactor {
    pub fn new(options: Options) -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let bounds = Bounds {
            max_messages: options.record_max_messages,
            max_bytes: options.record_max_bytes,
            linger_us: options.record_linger_us,
            max_inflight: options.partition_max_inflight_bytes,
            timeout_us: options.record_timeout_us,
        };
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        Ok(Reactor {
            shared: Arc::new(Shared::new(waker, options.max_sub_sessions)?),
            poll,
            listeners: Vec::new(),
            accepting: Vec::new(),
            reserve: Reserve::new()?,
            tls: None,
            conns: Slots::default(),
            sessions: Slots::default(),
            table: Arc::new(Table::new(Vec::new()).map_err(io::Error::other)?),
            records: Records::new(&options.origin, bounds),
            results: Outbox::default(),
            wheel: Wheel::default(),
            dirty: Vec::new(),
            ready: Vec::new(),
            buffer: vec![0; READ_BYTES],
            ids: MessageIds::new(options.worker_id),
            traces: TraceIds::new(seed ^ u64::from(std::process::id()) << 32),
            untraced: 0,
            changes: HashMap::new(),
            last_change: 0,
            started: Instant::now(),
            partial_bytes: 0,
            held_bytes: 0,
            shed_us: 0,
            local: Local::default(),
            now_us: 1,
            now_ms: 0,
            busy: false,
            stopping: false,
            options,
        })
    }

    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    pub(crate) fn sizes(&self) -> Sizes {
        Sizes { max_packet: self.options.max_packet_bytes, max_stream: self.options.max_stream_bytes }
    }

    /// Runs until the command to stop.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        self.shared.running.store(1, Ordering::Relaxed);
        while !self.stopping {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
            self.tell_time();
            self.busy = false;
            if catch_unwind(AssertUnwindSafe(|| self.turn(&events))).is_err() {
                self.shared.counters.bump(Count::PoisonedTurns);
            }
            self.shared.counters.bump(Count::Turns);
            if self.busy && self.ready.is_empty() && events.iter().count() < FEW_EVENTS {
                self.shared.counters.bump(Count::Naps);
                std::thread::sleep(NAP);
            }
        }
        self.close_all("stop");
        self.flush_dirty();
        self.publish();
        self.shared.running.store(0, Ordering::Relaxed);
    }

    fn turn(&mut self, events: &Events) {
        self.set_room();
        self.run_commands();
        for event in events {
            match event.token() {
                WAKE => {}
                Token(index) if index < 1 << 32 => self.accept(index - 1),
                Token(number) => {
                    let key = Key::from_number(number as u64);
                    let ended = event.is_read_closed() || event.is_error();
                    self.guarded(key, |reactor| {
                        reactor.socket_event(key, event.is_readable(), event.is_writable(), ended);
                    });
                }
            }
        }
        for (index, at_us) in std::mem::take(&mut self.accepting) {
            if at_us <= self.now_us { self.accept(index) } else { self.accepting.push((index, at_us)) }
        }
        for key in std::mem::take(&mut self.ready) {
            self.guarded(key, |reactor| reactor.read_on(key));
        }
        self.expire_timers();
        self.records.seal_due(self.now_us);
        for record in self.records.overdue(self.now_us) {
            self.shared.counters.bump(Count::RecordsTimedOut);
            self.fail_record(record);
        }
        self.flush_dirty();
        self.shed();
        self.publish();
    }

    /// A panic closes the connection it happened on and nothing else.
    fn guarded(&mut self, key: Key, work: impl FnOnce(&mut Reactor)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.shared.counters.bump(Count::PoisonedConnections);
            if self.buffer.len() < READ_BYTES {
                self.buffer = vec![0; READ_BYTES];
            }
            self.close(key, "internal");
        }
    }

    fn tell_time(&mut self) {
        self.now_us = self.started.elapsed().as_micros() as u64 + 1;
        self.now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(self.now_ms, |time| time.as_millis() as i64);
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let accepting = self.accepting.iter().map(|entry| entry.1).min();
        let next = [self.records.next_us(), self.wheel.next_us(), accepting, self.next_shed_us()]
            .into_iter()
            .flatten()
            .min()?;
        // epoll counts in milliseconds: rounded up, or the last part of one would be spent spinning.
        let now = self.started.elapsed().as_micros() as u64;
        Some(Duration::from_millis(next.saturating_sub(now).div_ceil(1000).min(60_000)))
    }

    pub(crate) fn add_listener(&mut self, listener: std::net::TcpListener, mode: crate::conn::Mode) {
        let mut socket = mio::net::TcpListener::from_std(listener);
        let token = Token(self.listeners.len() + 1);
        match self.poll.registry().register(&mut socket, token, Interest::READABLE) {
            Ok(()) => {
                self.listeners.push(Listener { socket, mode });
                self.accepting.push((token.0 - 1, 0));
            }
            Err(_) => self.shared.counters.bump(Count::AcceptErrors),
        }
    }

    fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(listener) = self.listeners.get(index) else { return };
            match self.reserve.accept(&listener.socket) {
                Accepted::Stream(stream, peer) => self.add_connection(stream, peer, index),
                Accepted::Refused => self.shared.counters.bump(Count::AcceptRefusedFiles),
                Accepted::Empty => return,
                Accepted::Failed => {
                    self.shared.counters.bump(Count::AcceptErrors);
                    self.accepting.push((index, self.now_us + ACCEPT_RETRY_US));
                    return;
                }
            }
        }
        self.accepting.push((index, self.now_us));
    }

    fn add_connection(&mut self, stream: mio::net::TcpStream, peer: std::net::SocketAddr, listener: usize) {
        if self.conns.len() >= self.options.max_connections {
            self.shared.counters.bump(Count::AcceptRefusedConnections);
            return;
        }
        let mode = self.listeners[listener].mode;
        let key = self.conns.insert(Conn::new(stream, peer, mode, self.now_us));
        self.shared.connections.store(self.conns.len(), Ordering::Relaxed);
        self.shared.counters.bump(Count::ConnectionsAccepted);
        let Some(conn) = self.conns.get_mut(key) else { return };
        let token = Token(key.number() as usize);
        let registry = self.poll.registry();
        if registry.register(conn.stream(), token, Interest::READABLE | Interest::WRITABLE).is_err() {
            return self.close(key, "error");
        }
        self.schedule(key);
    }

    fn socket_event(&mut self, key: Key, readable: bool, writable: bool, ended: bool) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if writable && !conn.out.is_empty() || conn.is_tls() {
            self.mark_dirty(key);
        }
        if readable || ended {
            if let Some(conn) = self.conns.get_mut(key) {
                conn.readable = true;
                conn.ended |= ended;
            }
            self.read(key);
        }
    }

    /// What a connection still has in hand, then what its socket has.
    fn read_on(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.queued = false;
        if conn.paused == 0 && !conn.inbox.is_empty() {
            self.feed(key, &[]);
        }
        self.read(key);
    }

    fn read(&mut self, key: Key) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..READS_A_TURN {
            let Some(conn) = self.conns.get_mut(key) else { break };
            if conn.phase == Phase::Pending {
                self.watch_pending(key);
                break;
            }
            if conn.paused != 0 || !conn.readable {
                break;
            }
            match conn.fill(&mut buffer, self.tls.as_ref()) {
                Fill::Data(count, more) => {
                    conn.readable = more;
                    self.shared.counters.add(Count::BytesIn, count as u64);
                    self.feed(key, &buffer[..count]);
                }
                Fill::Empty => conn.readable = false,
                Fill::Eof => self.close(key, "eof"),
                Fill::Failed(reason) => self.close(key, reason),
            }
        }
        self.buffer = buffer;
        let Some(conn) = self.conns.get_mut(key) else { return };
        let handshaking = conn.is_tls() && conn.phase == Phase::Greeting;
        if conn.readable && conn.paused == 0 && conn.phase != Phase::Pending {
            self.mark_ready(key);
        }
        if handshaking {
            self.mark_dirty(key);
        }
    }

    /// A connection that waits for its CONNACK is not read, but its end is noticed.
    fn watch_pending(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let mut first = [0u8; 1];
        match conn.stream().peek(&mut first) {
            Ok(0) => self.close(key, "eof"),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.close(key, "error"),
            _ => {}
        }
    }

    /// Gives the connection bytes that arrived; keeps those that no packet used yet.
    pub(crate) fn feed(&mut self, key: Key, data: &[u8]) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        self.partial_bytes = self.partial_bytes.saturating_sub(conn.large_inbox());
        if conn.inbox.is_empty() {
            let used = self.process(key, data);
            if let Some(conn) = self.conns.get_mut(key) {
                conn.inbox.extend_from_slice(&data[used.min(data.len())..]);
            }
        } else {
            let mut inbox = std::mem::take(&mut conn.inbox);
            inbox.extend_from_slice(data);
            let used = self.process(key, &inbox);
            if let Some(conn) = self.conns.get_mut(key) {
                if used < inbox.len() {
                    inbox.drain(..used);
                    conn.inbox = inbox;
                }
            }
        }
        let now_us = self.now_us;
        let Some(conn) = self.conns.get_mut(key) else { return };
        let large = conn.large_inbox();
        self.partial_bytes += large;
        if large > 0 && self.partial_bytes > self.options.max_partial_bytes {
            return self.close(key, "memory");
        }
        self.account(key);
        let Some(conn) = self.conns.get_mut(key) else { return };
        let partial = conn.paused == 0 && (!conn.inbox.is_empty() || conn.protocol.skipping());
        if !partial {
            conn.partial_us = 0;
        } else if conn.partial_us == 0 {
            conn.partial_us = now_us;
            self.schedule(key);
        }
    }

    pub(crate) fn mark_dirty(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            if !conn.dirty {
                conn.dirty = true;
                self.dirty.push(key);
            }
        }
    }

    pub(crate) fn mark_ready(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            if !conn.queued {
                conn.queued = true;
                self.ready.push(key);
            }
        }
    }

    /// Takes one reason to pause away. When none is left, reading goes on and keep-alive counts anew.
    pub(crate) fn resume(&mut self, key: Key, why: u8) {
        let now_us = self.now_us;
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.paused & why == 0 {
            return;
        }
        conn.paused &= !why;
        if conn.paused == 0 {
            conn.since_us = now_us;
            self.mark_ready(key);
            self.schedule(key);
        }
    }

    pub(crate) fn flush_dirty(&mut self) {
        for key in std::mem::take(&mut self.dirty) {
            self.flush(key);
        }
    }

    /// Writes what waits; a connection that takes too little of it is closed.
    pub(crate) fn flush(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.dirty = false;
        let draining = conn.phase == Phase::Draining;
        match conn.flush() {
            Err(_) => self.close(key, "error"),
            Ok((written, done)) => {
                self.shared.counters.add(Count::BytesOut, written as u64);
                let slow = conn.out.len() > self.options.max_out_buffer_bytes;
                if done && draining {
                    conn.finish();
                }
                if slow {
                    return self.close(key, "slow_reader");
                }
                self.account(key);
            }
        }
    }

    fn publish(&mut self) {
        let sealed = self.records.take_sealed();
        for record in &sealed {
            self.shared.counters.bump(Count::Records);
            self.shared.counters.add(Count::RecordMessages, u64::from(record.messages));
            self.shared.counters.add(Count::RecordBytes, record.value.len() as u64);
        }
        self.results.records.extend(sealed);
        self.shared.records_outstanding.store(self.records.len(), Ordering::Relaxed);
        self.shared.inflight_bytes.store(self.records.inflight_bytes(), Ordering::Relaxed);
        self.shared.held_bytes.store(self.held_bytes, Ordering::Relaxed);
        self.shared.publish(&mut self.results);
    }

    /// Makes sure that the wheel calls the connection no later than its next deadline.
    pub(crate) fn schedule(&mut self, key: Key) {
        let Some(at_us) = self.deadline(key) else { return };
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.timer_tick == u64::MAX || Wheel::tick_of(at_us) < conn.timer_tick {
            conn.timer_tick = self.wheel.add(key, at_us);
        }
    }

    fn deadline(&self, key: Key) -> Option<u64> {
        let conn = self.conns.get(key)?;
        let options = &self.options;
        match conn.phase {
            Phase::Greeting => return Some(conn.since_us + options.connect_timeout_us),
            Phase::Pending => return Some(conn.since_us + options.accept_timeout_us),
            Phase::Draining => return Some(conn.since_us + options.drain_us),
            Phase::Live => {}
        }
        let quota = (conn.paused & pause::QUOTA != 0).then_some(conn.resume_us);
        let silence = (conn.paused == 0).then(|| conn.since_us + u64::from(conn.keep_alive_s) * 1_500_000);
        let partial = (conn.paused == 0 && conn.partial_us > 0).then_some(conn.partial_us + options.packet_timeout_us);
        let window = conn.window.as_ref().and_then(|window| window.next_deadline());
        let store = conn.answers.as_ref().and_then(|answers| answers.deadline());
        [quota, silence, partial, window, store].into_iter().flatten().min()
    }

    fn expire_timers(&mut self) {
        let mut due = Vec::new();
        self.wheel.due(self.now_us, &mut due);
        for (key, tick) in due {
            if self.conns.get(key).is_some_and(|conn| conn.timer_tick == tick) {
                self.guarded(key, |reactor| reactor.expire(key));
            }
        }
    }

    fn expire(&mut self, key: Key) {
        let now = self.now_us;
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.timer_tick = u64::MAX;
        match conn.phase {
            Phase::Greeting if conn.since_us + self.options.connect_timeout_us <= now => {
                return self.close(key, "connect_timeout");
            }
            Phase::Pending if conn.since_us + self.options.accept_timeout_us <= now => {
                return self.refuse(key, 3, "accept_timeout");
            }
            Phase::Draining if conn.since_us + self.options.drain_us <= now => return self.close(key, "drained"),
            Phase::Live => self.expire_live(key),
            _ => {}
        }
        self.schedule(key);
    }

    fn expire_live(&mut self, key: Key) {
        let now = self.now_us;
        self.expire_downlinks(key);
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.answers.as_ref().and_then(|answers| answers.deadline()).is_some_and(|deadline| deadline <= now) {
            return self.close(key, "store");
        }
        if conn.paused & pause::QUOTA != 0 && conn.resume_us <= now {
            return self.resume(key, pause::QUOTA);
        }
        if conn.paused != 0 {
            return;
        }
        if conn.since_us + u64::from(conn.keep_alive_s) * 1_500_000 <= now {
            return self.close(key, "keep_alive");
        }
        if conn.partial_us > 0 && conn.partial_us + self.options.packet_timeout_us <= now {
            self.close(key, "packet_timeout");
        }
    }

    pub(crate) fn deregister(&mut self, conn: &mut Conn) {
        let _ = self.poll.registry().deregister(conn.stream());
    }
}
