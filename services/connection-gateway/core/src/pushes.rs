//! Messages to devices: the downlink half of the reactor.

use crate::codec::Publish;
use crate::counters::Count;
use crate::downlink::{MAX_QUEUED, MORE_QUEUED, Message, Offer, Room};
use crate::encode;
use crate::figures::count;
use crate::reactor::Reactor;
use crate::shared::Downlink;
use crate::slots::Key;

impl Reactor {
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

    /// Answers what nobody will acknowledge any more.
    pub(crate) fn abandon(&mut self, tokens: Vec<i64>) {
        tokens.into_iter().for_each(|token| self.answer(token, Count::DownOffline));
    }

    pub(crate) fn deliver(&mut self, message: Downlink) {
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
            count(&mut session.figures.messages_down);
            self.write_publish(connection, 0, false, (&message.topic, &message.payload));
            return self.answer(message.token, Count::DownSent);
        }
        let deadline_us = self.now_us + self.options.delivery_timeout_us;
        let Downlink { token, topic, payload, dup, .. } = message;
        self.offer(connection, Message { session: session_key, token, topic, payload, dup, deadline_us });
    }

    fn offer(&mut self, key: Key, message: Message) {
        let Some(conn) = self.conns.get_mut(key) else { return self.answer(message.token, Count::DownOffline) };
        let room = Room {
            in_flight: self.options.max_inflight_down,
            queued: MAX_QUEUED + MORE_QUEUED * conn.sub_sessions(),
            queued_bytes: self.options.max_out_buffer_bytes,
        };
        match conn.window.get_or_insert_default().offer(message, room) {
            Offer::Send(packet_id, message) => self.launch(key, packet_id, &message),
            Offer::Queued => {}
            Offer::Full(message) => self.answer(message.token, Count::DownFailed),
        }
        self.account(key);
        self.schedule(key);
    }

    fn launch(&mut self, key: Key, packet_id: u16, message: &Message) {
        if let Some(session) = self.sessions.get_mut(message.session) {
            count(&mut session.figures.messages_down);
        }
        self.write_publish(key, packet_id, message.dup, (&message.topic, &message.payload));
    }

    /// Writes a PUBLISH, at QoS 1 when it has a packet id. A buffer over its bound is written out at once.
    fn write_publish(&mut self, key: Key, packet_id: u16, dup: bool, (topic, payload): (&str, &[u8])) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let qos = u8::from(packet_id > 0);
        encode::publish(&mut conn.out, &Publish { dup, qos, retain: false, topic, packet_id, payload });
        if conn.out.len() > self.options.max_out_buffer_bytes {
            return self.flush(key);
        }
        self.mark_dirty(key);
    }

    pub(crate) fn puback(&mut self, key: Key, packet_id: u16) {
        let window = self.conns.get_mut(key).and_then(|conn| conn.window.as_mut());
        let Some(token) = window.and_then(|window| window.acknowledged(packet_id)) else {
            return self.shared.counters.bump(Count::UnknownPuback);
        };
        self.answer(token, Count::DownDelivered);
        self.advance(key);
    }

    /// Sends what the window has room for.
    pub(crate) fn advance(&mut self, key: Key) {
        let in_flight = self.options.max_inflight_down;
        while let Some((packet_id, message)) =
            self.conns.get_mut(key).and_then(|conn| conn.window.as_mut()?.advance(in_flight))
        {
            self.launch(key, packet_id, &message);
        }
        self.account(key);
    }

    pub(crate) fn expire_downlinks(&mut self, key: Key) {
        let now_us = self.now_us;
        let Some(window) = self.conns.get_mut(key).and_then(|conn| conn.window.as_mut()) else { return };
        let expired = window.expired(now_us);
        for token in &expired {
            self.answer(*token, Count::DownTimeout);
        }
        if !expired.is_empty() {
            self.advance(key);
        }
    }
}
