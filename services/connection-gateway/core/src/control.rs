//! What Python asks for: the downlink half of the reactor, and the ends of sessions and connections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::codec::Publish;
use crate::conn::{Phase, pause};
use crate::counters::Count;
use crate::downlink::{Message, Offer};
use crate::encode;
use crate::quota::Buckets;
use crate::reactor::Reactor;
use crate::record::Done;
use crate::session::{Policy, Session};
use crate::shared::{Accept, Closed, Command, Downlink, lock};
use crate::slots::Key;

impl Reactor {
    pub(crate) fn run_commands(&mut self) {
        for command in self.shared.commands() {
            if catch_unwind(AssertUnwindSafe(|| self.run_command(command))).is_err() {
                self.shared.counters.bump(Count::PoisonedCommands);
            }
        }
    }

    fn run_command(&mut self, command: Command) {
        match command {
            Command::Listen(listener, mode) => self.add_listener(listener, mode),
            Command::StopListening => self.listeners.clear(),
            Command::SetTls(config) => self.tls = Some(config),
            Command::SetStreams(partitions) => {
                for key in self.records.set_streams(&partitions) {
                    self.resume(key, pause::BACKPRESSURE);
                }
            }
            Command::SetTable(table) => self.table = table,
            Command::SetPolicy(policy) => self.set_policy(&policy),
            Command::Accept(accepts) => accepts.into_iter().for_each(|accept| self.accept_session(accept)),
            Command::Reject(refusals) => {
                for (number, code, reason) in refusals {
                    if lock(&self.shared.pending).remove(&number) {
                        self.refuse(Key::from_number(number), code, &reason);
                    }
                }
            }
            Command::Close(handles) => {
                for (handle, reason) in handles {
                    self.close_session(Key::from_number(handle), &reason);
                }
            }
            Command::Deliver(messages) => messages.into_iter().for_each(|message| self.deliver(message)),
            Command::Commit(records) => records.into_iter().for_each(|record| self.commit(Key::from_number(record))),
            Command::Fail(records) => records.into_iter().for_each(|record| self.fail_record(Key::from_number(record))),
            Command::Stop => self.stopping = true,
        }
    }

    /// Live sessions of the product get the new policy, with full buckets.
    fn set_policy(&mut self, policy: &Arc<Policy>) {
        for key in self.sessions.keys() {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            if session.policy.product_key != policy.product_key || session.policy.version > policy.version {
                continue;
            }
            session.policy = policy.clone();
            session.buckets = Buckets::default();
            let connection = session.connection;
            self.resume(connection, pause::QUOTA);
        }
    }

    fn accept_session(&mut self, accept: Accept) {
        let mut session = Session::new(accept.connection, accept.policy, &accept.device_name, accept.epoch, accept.ext);
        let waiting = self.conns.get(accept.connection).is_some_and(|conn| conn.phase == Phase::Pending);
        if !waiting {
            // It went away between accept and now: Python holds a handle, so it is told the handle's end.
            session.closed = true;
            self.sessions.put(accept.session, session);
            self.count_sessions();
            return self.report_closed(accept.session, "eof");
        }
        self.sessions.put(accept.session, session);
        self.count_sessions();
        self.shared.counters.bump(Count::SessionsAccepted);
        let now_us = self.now_us;
        let Some(conn) = self.conns.get_mut(accept.connection) else { return };
        conn.phase = Phase::Live;
        conn.protocol.accepted();
        conn.session = Some(accept.session);
        conn.since_us = now_us;
        conn.partial_us = 0;
        encode::connack(&mut conn.out, false, 0);
        self.mark_dirty(accept.connection);
        self.mark_ready(accept.connection);
        self.schedule(accept.connection);
    }

    fn count_sessions(&self) {
        self.shared.sessions.store(self.sessions.len(), Ordering::Relaxed);
    }

    /// Answers CONNECT with a code and lets the peer take it before the end.
    pub(crate) fn refuse(&mut self, key: Key, code: u8, reason: &str) {
        let pending = lock(&self.shared.pending).remove(&key.number());
        let now_us = self.now_us;
        let Some(conn) = self.conns.get_mut(key) else { return };
        if pending {
            self.results.dropped.push(key.number());
        }
        self.shared.counters.reason("refused_connect", reason);
        conn.phase = Phase::Draining;
        conn.since_us = now_us;
        self.partial_bytes = self.partial_bytes.saturating_sub(conn.large_inbox());
        conn.inbox = Vec::new();
        encode::connack(&mut conn.out, false, code);
        self.mark_dirty(key);
        self.mark_ready(key);
        self.schedule(key);
    }

    fn close_session(&mut self, session_key: Key, reason: &str) {
        let Some(session) = self.sessions.get(session_key) else { return };
        self.records.seal_session(session.device_slot, session_key.slot);
        let (connection, closed) = (session.connection, session.closed);
        if !closed {
            self.flush(connection);
            self.close(connection, reason);
        }
    }

    /// Ends a connection and the sessions on it.
    pub(crate) fn close(&mut self, key: Key, reason: &str) {
        let Some(mut conn) = self.conns.remove(key) else { return };
        self.partial_bytes = self.partial_bytes.saturating_sub(conn.large_inbox());
        if conn.is_tls() {
            conn.finish();
        }
        self.deregister(&mut conn);
        self.shared.connections.store(self.conns.len(), Ordering::Relaxed);
        if conn.phase != Phase::Draining {
            self.shared.counters.reason("closed", reason);
        }
        if conn.phase == Phase::Pending && lock(&self.shared.pending).remove(&key.number()) {
            self.results.dropped.push(key.number());
        }
        if let Some(session_key) = conn.session {
            self.report_closed(session_key, reason);
        }
    }

    pub(crate) fn close_all(&mut self, reason: &str) {
        for key in self.conns.keys() {
            self.flush(key);
            self.close(key, reason);
        }
        self.records.seal_all();
    }

    fn report_closed(&mut self, session_key: Key, reason: &str) {
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        session.closed = true;
        let window = session.window.take();
        self.results.closed.push(Closed {
            handle: session_key.number(),
            product_key: session.policy.product_key.clone(),
            device_name: session.device_name.clone(),
            epoch: session.epoch,
            reason: reason.to_owned(),
        });
        let flushed = session.uncommitted == 0;
        for token in window.map(|window| window.abandon()).unwrap_or_default() {
            self.answer(token, Count::DownOffline);
        }
        if flushed {
            self.flushed(session_key);
        }
    }

    /// A closed session has nothing under way any more: its slot is free for another.
    fn flushed(&mut self, session_key: Key) {
        if self.sessions.take(session_key).is_some() {
            self.results.flushed.push(session_key.number());
            lock(&self.shared.session_keys).give_back(session_key);
            self.count_sessions();
        }
    }

    fn commit(&mut self, record: Key) {
        let Some(done) = self.records.finish(record) else {
            return self.shared.counters.bump(Count::LateAnswers);
        };
        self.busy = true;
        self.shared.counters.bump(Count::RecordsCommitted);
        for &(slot, count) in &done.parts {
            if let Some(connection) = self.settle(slot, count) {
                self.release_acks(connection);
            }
        }
        self.resume_waiting(&done);
    }

    pub(crate) fn fail_record(&mut self, record: Key) {
        let Some(done) = self.records.finish(record) else {
            return self.shared.counters.bump(Count::LateAnswers);
        };
        self.shared.counters.bump(Count::RecordsFailed);
        for &(slot, count) in &done.parts {
            // Closed before it counts as settled, so that none of its PUBACKs can leave.
            let connection = self.sessions.at_mut(slot).filter(|(_, session)| !session.closed);
            if let Some(connection) = connection.map(|(_, session)| session.connection) {
                self.close(connection, "record_failed");
            }
            self.settle(slot, count);
        }
        self.resume_waiting(&done);
    }

    fn resume_waiting(&mut self, done: &Done) {
        for &key in &done.resume {
            self.resume(key, pause::BACKPRESSURE);
        }
    }

    /// Messages of a session are committed or failed; returns its connection while it has one.
    fn settle(&mut self, slot: u32, count: u32) -> Option<Key> {
        let (key, session) = self.sessions.at_mut(slot)?;
        session.uncommitted = session.uncommitted.saturating_sub(count);
        if !session.closed {
            return Some(session.connection);
        }
        if session.uncommitted == 0 {
            self.flushed(key);
        }
        None
    }

    fn answer(&mut self, token: i64, outcome: Count) {
        self.shared.counters.bump(outcome);
        let word = match outcome {
            Count::DownDelivered => "delivered",
            Count::DownSent => "sent",
            Count::DownNoSubscriber => "no_subscriber",
            Count::DownOffline => "offline",
            Count::DownTimeout => "timeout",
            _ => "failed",
        };
        self.results.delivered.push((token, word));
    }

    fn deliver(&mut self, message: Downlink) {
        let session_key = Key::from_number(message.handle);
        let Some(session) = self.sessions.get_mut(session_key).filter(|session| !session.closed) else {
            return self.answer(message.token, Count::DownOffline);
        };
        if message.topic.is_empty() || message.topic.len() > usize::from(u16::MAX) {
            return self.answer(message.token, Count::DownFailed);
        }
        if message.must_subscribe && !session.receives(&self.table, &message.topic) {
            return self.answer(message.token, Count::DownNoSubscriber);
        }
        let limits = &session.policy.limits;
        if session.buckets.down.take(limits.down, self.now_us).is_err() {
            self.shared.counters.bump(Count::DownQuota);
            if limits.enforce {
                return self.answer(message.token, Count::DownFailed);
            }
        }
        let connection = session.connection;
        if message.qos == 0 {
            self.write_publish(connection, 0, &message.topic, &message.payload);
            return self.answer(message.token, Count::DownSent);
        }
        let deadline_us = self.now_us + self.options.delivery_timeout_us;
        let Downlink { token, topic, payload, .. } = message;
        let offered = Message { token, topic, payload, deadline_us };
        let window = session.window.get_or_insert_default();
        match window.offer(offered, self.options.max_inflight_down, self.options.max_out_buffer_bytes) {
            Offer::Send(packet_id, message) => {
                self.write_publish(connection, packet_id, &message.topic, &message.payload);
            }
            Offer::Queued => {}
            Offer::Full(message) => self.answer(message.token, Count::DownFailed),
        }
        self.schedule(connection);
    }

    /// Writes a PUBLISH, at QoS 1 when it has a packet id. A buffer over its bound is written out at once.
    fn write_publish(&mut self, key: Key, packet_id: u16, topic: &str, payload: &[u8]) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let qos = u8::from(packet_id > 0);
        encode::publish(&mut conn.out, &Publish { dup: false, qos, retain: false, topic, packet_id, payload });
        if conn.out.len() > self.options.max_out_buffer_bytes {
            return self.flush(key);
        }
        self.mark_dirty(key);
    }

    pub(crate) fn puback(&mut self, key: Key, packet_id: u16) {
        let Some(session_key) = self.conns.get(key).and_then(|conn| conn.session) else { return };
        let window = self.sessions.get_mut(session_key).and_then(|session| session.window.as_mut());
        let Some(token) = window.and_then(|window| window.acknowledged(packet_id)) else {
            return self.shared.counters.bump(Count::UnknownPuback);
        };
        self.answer(token, Count::DownDelivered);
        self.advance(key, session_key);
    }

    /// Sends what the window has room for; an empty window gives its memory back.
    fn advance(&mut self, key: Key, session_key: Key) {
        while let Some(session) = self.sessions.get_mut(session_key) {
            let Some(window) = session.window.as_mut() else { return };
            let Some((packet_id, message)) = window.advance(self.options.max_inflight_down) else {
                break;
            };
            self.write_publish(key, packet_id, &message.topic, &message.payload);
        }
    }

    pub(crate) fn expire_downlinks(&mut self, key: Key) {
        let now_us = self.now_us;
        let Some(session_key) = self.conns.get(key).and_then(|conn| conn.session) else { return };
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        let Some(window) = session.window.as_mut() else { return };
        let expired = window.expired(now_us);
        for token in &expired {
            self.answer(*token, Count::DownTimeout);
        }
        if !expired.is_empty() {
            self.advance(key, session_key);
        }
    }
}
