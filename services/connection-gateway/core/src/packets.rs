//! What a device's packets do: the uplink half of the reactor.

use std::sync::atomic::Ordering;

use crate::codec::{Connect, Filters, Publish};
use crate::conn::{Phase, pause};
use crate::counters::Count;
use crate::encode;
use crate::figures::count;
use crate::protocol::Event;
use crate::quota::Verdict;
use crate::reactor::Reactor;
use crate::record::{Entry, Source};
use crate::session::{Grant, MAX_FILTERS, MAX_UNSUBSCRIBES};
use crate::shared::{ConnectRequest, LocalMessage, lock};
use crate::slots::Key;
use crate::topics::{LOCAL, NO_OWNER};

/// Shortest quota pause: below the wheel's tick there is no point.
const MIN_DELAY_US: u64 = 1_000;

/// Category of the report of a publish to another device's topic.
const FOREIGN: &str = "foreign";

/// What became of a packet.
enum Flow {
    Used,
    /// It stays in front until the connection is read again.
    Held,
    /// The connection is closed.
    Gone,
}

enum Route {
    Refused(Count),
    Local,
    Stream(u32, u32),
}

impl Reactor {
    /// Handles the packets at the front of `data` and returns how many bytes they took.
    pub(crate) fn process(&mut self, key: Key, data: &[u8]) -> usize {
        let sizes = self.sizes();
        let now_us = self.now_us;
        let mut used = 0;
        while let Some(conn) = self.conns.get_mut(key) {
            if conn.paused != 0 {
                break;
            }
            if conn.phase == Phase::Draining {
                return data.len();
            }
            match conn.protocol.step(&data[used..], sizes) {
                Ok(None) => break,
                Ok(Some((Event::Skipped, size))) => {
                    used += size;
                    self.pace_skipping(key, size);
                }
                Ok(Some((event, size))) => match self.packet(key, event, size) {
                    Flow::Held => break,
                    Flow::Gone => return data.len(),
                    Flow::Used => {
                        used += size;
                        if let Some(conn) = self.conns.get_mut(key) {
                            conn.partial_us = 0;
                            if conn.phase == Phase::Live {
                                conn.since_us = now_us;
                            }
                        }
                    }
                },
                Err(fault) => {
                    self.shared.counters.reason("protocol", fault.reason());
                    self.close(key, "protocol");
                    return data.len();
                }
            }
        }
        used
    }

    /// Bytes of a message that is passed over count against the bytes quota like any others: against the connection's own,
    /// since its topic is passed over as well.
    fn pace_skipping(&mut self, key: Key, size: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Some(session) = conn.session.and_then(|session| self.sessions.get_mut(session)) else { return };
        let limits = &session.policy.limits;
        session.buckets.bytes.charge(size, limits.bytes, self.now_us);
        if let (Err(wait), true) = (session.buckets.bytes.solvent(self.now_us), limits.enforce && limits.bytes > 0) {
            count(&mut session.figures.quota_delays);
            self.delay(key, wait);
        }
    }

    /// Reads the connection again after so many microseconds.
    fn delay(&mut self, key: Key, wait: u64) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.paused |= pause::QUOTA;
            conn.resume_us = self.now_us + wait.max(MIN_DELAY_US);
            self.shared.counters.bump(Count::QuotaDelayed);
            self.schedule(key);
        }
    }

    fn packet(&mut self, key: Key, event: Event<'_>, size: usize) -> Flow {
        match event {
            Event::Publish(publish) => return self.publish_in(key, &publish, size),
            Event::Connect(connect) => return self.connect(key, &connect),
            Event::Oversize(qos, packet_id) => self.refuse_publish(key, qos, packet_id, Count::RefusedTooLarge),
            Event::PubAck(packet_id) => self.puback(key, packet_id),
            Event::Subscribe(..) | Event::Unsubscribe(..) if self.hold_subscriptions(key) => return Flow::Held,
            Event::Subscribe(packet_id, filters) => self.subscribe(key, packet_id, filters),
            Event::Unsubscribe(packet_id, filters) => self.unsubscribe(key, packet_id, filters),
            Event::Ping => {
                if let Some(conn) = self.conns.get_mut(key) {
                    encode::pingresp(&mut conn.out);
                    self.mark_dirty(key);
                }
            }
            Event::Disconnect => {
                self.close(key, "client");
                return Flow::Gone;
            }
            Event::Skipped => {}
        }
        Flow::Used
    }

    fn connect(&mut self, key: Key, connect: &Connect<'_>) -> Flow {
        if !matches!(connect.level, 3 | 4) {
            self.refuse(key, 1, "protocol_version");
            return Flow::Gone;
        }
        let (min, max) = (self.options.keep_alive_min_s, self.options.keep_alive_max_s);
        if connect.keep_alive_s < min || connect.keep_alive_s > max {
            self.refuse(key, 2, "keep_alive_range");
            return Flow::Gone;
        }
        if self.short_of_memory() {
            self.refuse(key, 3, "memory");
            return Flow::Gone;
        }
        if self.shared.connects_waiting.load(Ordering::Relaxed) >= self.options.max_connections {
            self.refuse(key, 3, "overloaded");
            return Flow::Gone;
        }
        let now_us = self.now_us;
        let Some(conn) = self.conns.get_mut(key) else { return Flow::Gone };
        conn.phase = Phase::Pending;
        conn.since_us = now_us;
        conn.keep_alive_s = connect.keep_alive_s;
        let resumed = conn.handshake();
        let request = ConnectRequest {
            connection: key.number(),
            client_id: connect.client_id.to_owned(),
            username: connect.username.to_owned(),
            password: String::from_utf8_lossy(connect.password).into_owned(),
            keep_alive_s: connect.keep_alive_s,
            clean: connect.clean,
            address: conn.peer.to_string(),
            tls: conn.is_tls(),
        };
        self.shared.waiting_bytes.fetch_add(request.size(), Ordering::Relaxed);
        self.results.connects.push(request);
        self.shared.connects_waiting.fetch_add(1, Ordering::Relaxed);
        lock(&self.shared.pending).insert(key.number());
        self.shared.counters.bump(Count::ConnectRequests);
        if let Some(kind) = resumed {
            self.shared.counters.bump(Count::TlsHandshakes);
            let again = kind == rustls::HandshakeKind::Resumed;
            self.shared.counters.add(Count::TlsResumed, u64::from(again));
        }
        self.schedule(key);
        Flow::Used
    }

    fn publish_in(&mut self, key: Key, publish: &Publish<'_>, size: usize) -> Flow {
        let Some(conn) = self.conns.get_mut(key) else { return Flow::Gone };
        if publish.qos > 0 && conn.acks.full() {
            conn.paused |= pause::ACKS;
            return Flow::Held;
        }
        let Some(session_key) = conn.speaker(publish.topic) else { return Flow::Gone };
        let Some(session) = self.sessions.get_mut(session_key) else { return Flow::Gone };
        let table = self.table.clone();
        let rule = table.publish(publish.topic, session.owner(), &session.policy.classes);
        let route = match rule {
            None => Route::Refused(Count::RefusedPermission),
            Some(rule) if rule.stream == LOCAL => Route::Local,
            Some(rule) if rule.stream == NO_OWNER => Route::Refused(Count::RefusedOwner),
            Some(rule) => match self.records.partitions(rule.stream as u32) {
                0 => Route::Refused(Count::RefusedOwner),
                count => Route::Stream(rule.stream as u32, crate::ids::partition(session.device_slot, count)),
            },
        };
        if let Route::Stream(stream, partition) = route {
            let product = session.policy.product;
            if self.records.full(stream, partition, product) {
                conn.paused |= pause::BACKPRESSURE;
                self.records.wait(stream, partition, product, key);
                self.shared.counters.bump(Count::Backpressure);
                return Flow::Held;
            }
        }
        match session.buckets.uplink(&session.policy.limits, publish.qos, size, self.now_us) {
            Verdict::Pass => {}
            Verdict::Observed => self.shared.counters.bump(Count::QuotaObserved),
            Verdict::Drop => {
                count(&mut session.figures.refused_quota);
                self.refuse_publish(key, publish.qos, publish.packet_id, Count::RefusedQuota);
                return Flow::Used;
            }
            Verdict::Delay(wait) => {
                count(&mut session.figures.quota_delays);
                self.delay(key, wait);
                return Flow::Held;
            }
        }
        let received = if publish.qos == 0 { Count::UplinkQos0 } else { Count::UplinkQos1 };
        self.shared.counters.bump(received);
        self.busy = true;
        match route {
            Route::Refused(reason) => {
                count(&mut session.figures.refused_permission);
                if reason == Count::RefusedPermission {
                    self.report_foreign(key, publish);
                }
                self.refuse_publish(key, publish.qos, publish.packet_id, reason);
            }
            Route::Local => self.local(key, session_key, publish, rule.map_or("", |rule| &rule.category)),
            Route::Stream(stream, partition) => self.record(key, session_key, (stream, partition), publish),
        }
        Flow::Used
    }

    fn record(&mut self, key: Key, session_key: Key, lane: (u32, u32), publish: &Publish<'_>) {
        let id = self.ids.make(self.now_ms);
        let traceparent = self.traceparent();
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        session.sequence += 1;
        count(&mut session.figures.messages_up);
        let entry = Entry {
            id,
            product_key: &session.policy.product_key,
            device_name: &session.device_name,
            topic: publish.topic,
            payload: publish.payload,
            epoch: session.epoch,
            sequence: session.sequence,
            received_ms: self.now_ms,
            handle: session_key.number(),
            qos: publish.qos,
            traceparent: &traceparent,
        };
        let source = Source { slot: session_key.slot, product: session.policy.product, last: session.last };
        let placed = self.records.add(lane, source, &entry, self.now_us);
        session.last = placed;
        session.uncommitted += 1;
        if publish.qos > 0 {
            if let Some(conn) = self.conns.get_mut(key) {
                conn.acks.after(publish.packet_id, placed.record);
            }
        }
    }

    /// A trace parent for one message in `trace_every`, else nothing.
    fn traceparent(&mut self) -> String {
        if self.options.trace_every == 0 {
            return String::new();
        }
        self.untraced += 1;
        if self.untraced < self.options.trace_every {
            return String::new();
        }
        self.untraced = 0;
        self.traces.make()
    }

    fn local(&mut self, key: Key, session_key: Key, publish: &Publish<'_>, category: &str) {
        let product = self.sessions.get(session_key).map_or(0, |session| session.policy.product);
        if self.local_full(product) {
            return self.refuse_publish(key, publish.qos, publish.packet_id, Count::RefusedLocal);
        }
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        count(&mut session.figures.messages_up);
        self.shared.counters.bump(Count::LocalMessages);
        let message = LocalMessage {
            handle: session_key.number(),
            product_key: session.policy.product_key.clone(),
            device_name: session.device_name.clone(),
            epoch: session.epoch,
            category: category.to_owned(),
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            received_ms: self.now_ms,
        };
        self.push_local(product, message);
        self.acknowledge(key, publish.qos, publish.packet_id);
    }

    /// Tells Python of a refused publish that is another device's to make: a gateway may have forgotten to log it in.
    fn report_foreign(&mut self, key: Key, publish: &Publish<'_>) {
        if self.shared.local_waiting.load(Ordering::Relaxed) >= self.options.max_local_queue / 2 {
            return;
        }
        let Some(conn) = self.conns.get(key) else { return };
        let Some((handle, session)) = conn.session.and_then(|own| Some((own, self.sessions.get(own)?))) else { return };
        let known = |product_key: &str, device_name: &str| {
            let own = product_key == &*session.policy.product_key && device_name == &*session.device_name;
            own || conn.subs.as_ref().is_some_and(|subs| subs.get(product_key, device_name).is_some())
        };
        let Some((product_key, device_name)) = self.table.foreigner(publish.topic, session.ext, known) else { return };
        let message = LocalMessage {
            handle: handle.number(),
            product_key: product_key.into(),
            device_name: device_name.into(),
            epoch: session.epoch,
            category: FOREIGN.to_owned(),
            topic: publish.topic.to_owned(),
            payload: Vec::new(),
            qos: publish.qos,
            received_ms: self.now_ms,
        };
        let product = session.policy.product;
        self.shared.counters.bump(Count::ForeignPublishes);
        self.push_local(product, message);
    }

    /// Refused by policy: counted, and acknowledged in its turn (invariants §2).
    fn refuse_publish(&mut self, key: Key, qos: u8, packet_id: u16, reason: Count) {
        self.shared.counters.bump(reason);
        self.acknowledge(key, qos, packet_id);
    }

    fn acknowledge(&mut self, key: Key, qos: u8, packet_id: u16) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if qos > 0 && conn.acks.immediate(packet_id) {
            encode::puback(&mut conn.out, packet_id);
            self.shared.counters.bump(Count::Pubacks);
            self.mark_dirty(key);
        }
    }

    /// Writes the PUBACKs whose turn has come.
    pub(crate) fn release_acks(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let mut count = 0;
        while let Some(packet_id) = conn.acks.next(|record| self.records.outstanding(record)) {
            encode::puback(&mut conn.out, packet_id);
            count += 1;
        }
        if count == 0 {
            return;
        }
        let resume = conn.paused & pause::ACKS != 0 && !conn.acks.full();
        self.shared.counters.add(Count::Pubacks, count);
        self.mark_dirty(key);
        if resume {
            self.resume(key, pause::ACKS);
        }
    }

    fn subscribe(&mut self, key: Key, packet_id: u16, filters: Filters<'_>) {
        self.shared.counters.bump(Count::Subscribes);
        let mut codes = Vec::new();
        for (index, (filter, qos)) in filters.enumerate() {
            if index < MAX_FILTERS {
                codes.push(self.grant(key, filter, qos).code());
            } else {
                self.shared.counters.bump(Count::RefusedSubscribeFilters);
                codes.push(Grant::NotPermitted.code());
            }
        }
        self.answer_packet(key, |out| encode::suback(out, packet_id, &codes));
    }

    fn grant(&mut self, key: Key, filter: &str, qos: u8) -> Grant {
        let Some(session_key) = self.conns.get(key).and_then(|conn| conn.speaker(filter)) else {
            return Grant::NotPermitted;
        };
        let Some(session) = self.sessions.get_mut(session_key) else { return Grant::NotPermitted };
        let grant = session.subscribe(&self.table, filter, qos);
        self.count_grant(grant);
        grant
    }

    fn unsubscribe(&mut self, key: Key, packet_id: u16, filters: Filters<'_>) {
        self.shared.counters.bump(Count::Unsubscribes);
        let Some(conn) = self.conns.get_mut(key) else { return };
        for (filter, _) in filters.take(MAX_UNSUBSCRIBES) {
            if let Some(session) = conn.speaker(filter).and_then(|session_key| self.sessions.get_mut(session_key)) {
                session.unsubscribe(&self.table, filter);
            }
        }
        self.answer_packet(key, |out| encode::unsuback(out, packet_id));
    }
}
