//! What Python asks for, but for downlink (`pushes`): the begin and end of sessions and connections, the end of records.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::conn::{Phase, pause};
use crate::counters::Count;
use crate::encode;
use crate::quota::Buckets;
use crate::reactor::Reactor;
use crate::record::Done;
use crate::session::{Policy, Session};
use crate::shared::{Accept, Attach, Closed, Command, Kept, lock};
use crate::slots::Key;
use crate::subs::Subs;

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
            Command::Attach(attaches) => attaches.into_iter().for_each(|attach| self.attach_session(attach)),
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
            Command::ConfirmSubscriptions(tokens) => tokens.into_iter().for_each(|token| self.confirm_change(token)),
            Command::FailSubscriptions(tokens) => tokens.into_iter().for_each(|token| self.fail_change(token)),
            Command::Commit(records) => records.into_iter().for_each(|record| self.commit(Key::from_number(record))),
            Command::Fail(records) => records.into_iter().for_each(|record| self.fail_record(Key::from_number(record))),
            Command::Inspect(handles) => handles.into_iter().for_each(|handle| self.inspect(handle)),
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
        encode::connack(&mut conn.out, accept.session_present, 0);
        if let Some(Kept { subscriptions, stopped }) = accept.kept {
            self.restore(accept.connection, accept.session, &subscriptions, &stopped);
        }
        self.mark_dirty(accept.connection);
        self.mark_ready(accept.connection);
        self.schedule(accept.connection);
    }

    fn attach_session(&mut self, attach: Attach) {
        let Attach { gateway, session: session_key, policy, device_name, epoch, ext } = attach;
        let product_key = policy.product_key.clone();
        let own = self.sessions.get(gateway).filter(|own| !own.closed);
        let connection = own.map_or(Key::from_number(0), |own| own.connection);
        let names = own.map(|own| (own.policy.product_key.clone(), own.device_name.clone()));
        self.sessions.put(session_key, Session::new(connection, policy, &device_name, epoch, ext));
        self.count_sessions();
        let (Some(conn), Some((own_product, own_name))) = (self.conns.get_mut(connection), names) else {
            // Its gateway went away between attach and now.
            return self.report_closed(session_key, "eof");
        };
        let subs = conn.subs.get_or_insert_with(|| Box::new(Subs::new(own_product, &own_name, gateway)));
        let older = subs.insert(product_key, &device_name, session_key);
        self.shared.counters.bump(Count::SubSessionsAttached);
        self.shared.sub_sessions.fetch_add(1, Ordering::Relaxed);
        if let Some(older) = older {
            self.end_sub_session(older, gateway, connection, "replaced");
        }
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
        let (connection, closed) = (session.connection, session.closed);
        self.seal_session(session_key);
        if closed {
            return;
        }
        let Some(conn) = self.conns.get(connection) else { return };
        match conn.session {
            Some(own) if own != session_key => self.end_sub_session(session_key, own, connection, reason),
            _ => {
                self.seal_sub_sessions(connection);
                self.flush(connection);
                self.close(connection, reason);
            }
        }
    }

    /// What a session published goes to the bus without lingering.
    fn seal_session(&mut self, session_key: Key) {
        let Some(session) = self.sessions.get(session_key).filter(|session| session.uncommitted > 0) else { return };
        self.records.seal_session(session.device_slot, session_key.slot);
    }

    fn seal_sub_sessions(&mut self, connection: Key) {
        let subs = self.conns.get(connection).and_then(|conn| conn.subs.as_ref());
        let sessions: Vec<Key> = subs.map(|subs| subs.sessions().collect()).unwrap_or_default();
        sessions.into_iter().for_each(|session| self.seal_session(session));
    }

    /// Ends one session of a connection that goes on.
    fn end_sub_session(&mut self, session_key: Key, own: Key, connection: Key, reason: &str) {
        self.seal_session(session_key);
        let Some(session) = self.sessions.get(session_key) else { return };
        let Some(conn) = self.conns.get_mut(connection) else { return };
        let (product_key, device_name) = (&session.policy.product_key, &session.device_name);
        if let Some(subs) = conn.subs.as_mut() {
            subs.remove(product_key, device_name, session_key);
            if subs.is_empty() {
                conn.subs = None;
            }
        }
        let unanswered = conn.window.as_mut().map(|window| window.end(session_key)).unwrap_or_default();
        lock(&self.shared.roster).detach(own, product_key, device_name);
        self.shared.sub_sessions.fetch_sub(1, Ordering::Relaxed);
        self.shared.counters.reason("sub_closed", reason);
        self.report_closed(session_key, reason);
        self.abandon(unanswered);
        self.advance(connection);
        // It may have been this session's quota that held the connection up; another's will hold it up again.
        self.resume(connection, pause::QUOTA);
    }

    /// Ends a connection and the sessions on it.
    pub(crate) fn close(&mut self, key: Key, reason: &str) {
        let Some(mut conn) = self.conns.remove(key) else { return };
        self.partial_bytes = self.partial_bytes.saturating_sub(conn.large_inbox());
        self.held_bytes -= conn.counted;
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
        for token in conn.answers.iter().flat_map(|answers| answers.tokens()) {
            self.changes.remove(&token);
        }
        if let Some(subs) = conn.subs.take() {
            self.shared.counters.reasons("sub_closed", reason, subs.len() as u64);
            self.shared.sub_sessions.fetch_sub(subs.len(), Ordering::Relaxed);
            let others = subs.sessions().filter(|&session| Some(session) != conn.session);
            others.for_each(|session| self.report_closed(session, reason));
        }
        if let Some(session_key) = conn.session {
            self.report_closed(session_key, reason);
        }
        self.abandon(conn.window.take().map(|window| window.abandon()).unwrap_or_default());
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
        self.results.closed.push(Closed {
            handle: session_key.number(),
            product_key: session.policy.product_key.clone(),
            device_name: session.device_name.clone(),
            epoch: session.epoch,
            reason: reason.to_owned(),
        });
        let flushed = session.uncommitted == 0;
        lock(&self.shared.roster).end(session_key);
        if flushed {
            self.flushed(session_key);
        }
    }

    /// A closed session has nothing under way any more: its slot is free for another.
    fn flushed(&mut self, session_key: Key) {
        if self.sessions.take(session_key).is_some() {
            self.results.flushed.push(session_key.number());
            lock(&self.shared.roster).give_back(session_key);
            self.count_sessions();
        }
    }

    fn commit(&mut self, record: Key) {
        let Some(done) = self.records.finish(record) else {
            return self.shared.counters.bump(Count::LateAnswers);
        };
        self.busy = true;
        self.shared.counters.bump(Count::RecordsCommitted);
        for part in &done.parts {
            if let Some(connection) = self.settle(part.slot, part.messages) {
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
        for part in &done.parts {
            // Closed before it counts as settled, so that none of its PUBACKs can leave; also by a sub-session that has
            // ended meanwhile.
            if let Some(connection) = self.sessions.at_mut(part.slot).map(|(_, session)| session.connection) {
                self.close(connection, "record_failed");
            }
            self.settle(part.slot, part.messages);
        }
        self.resume_waiting(&done);
    }

    fn resume_waiting(&mut self, done: &Done) {
        for &key in &done.resume {
            self.resume(key, pause::BACKPRESSURE);
        }
    }

    /// Messages of a session are committed or failed; returns the connection they came on, which may be gone.
    fn settle(&mut self, slot: u32, count: u32) -> Option<Key> {
        let (key, session) = self.sessions.at_mut(slot)?;
        session.uncommitted = session.uncommitted.saturating_sub(count);
        let connection = session.connection;
        if session.closed && session.uncommitted == 0 {
            self.flushed(key);
        }
        Some(connection)
    }
}
