//! QoS 1 over one connection: a window of packets in flight and a bounded queue behind it, both shared by the sessions of
//! the connection. No socket, no clock.
//!
//! Every message carries a token that is answered once: delivered (PUBACK), timeout, offline (session ended) or failed
//! (no room). The timeout counts from the moment the message was handed over, in flight or not, and is the same for all,
//! so both lists are in order of deadline. One session alone cannot take the room of the others.

use std::collections::{HashMap, VecDeque};

use crate::slots::Key;

/// Messages of one session, and of a connection without sub-sessions, that may wait behind a full window.
pub const MAX_QUEUED: usize = 100;
/// How many more may wait for each sub-session.
pub const MORE_QUEUED: usize = 10;

/// What a window may hold.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub in_flight: usize,
    pub queued: usize,
    pub queued_bytes: usize,
}

pub struct Message {
    pub session: Key,
    pub token: i64,
    pub topic: String,
    pub payload: Vec<u8>,
    /// Sent to the device before, perhaps on another connection.
    pub dup: bool,
    pub deadline_us: u64,
}

struct Flight {
    packet_id: u16,
    session: Key,
    token: i64,
    deadline_us: u64,
}

#[derive(Default)]
pub struct Window {
    last_id: u16,
    flights: VecDeque<Flight>,
    queue: VecDeque<Message>,
    queued_bytes: usize,
    /// Messages in the queue by session; none where it is empty.
    waiting: HashMap<Key, usize>,
}

/// What to do with a message just handed over.
pub enum Offer {
    /// Send it now under this packet id.
    Send(u16, Message),
    Queued,
    /// Window and queue are full, by count or by bytes.
    Full(Message),
}

impl Window {
    pub fn offer(&mut self, message: Message, room: Room) -> Offer {
        if self.queue.is_empty() && self.flights.len() < room.in_flight {
            return Offer::Send(self.launch(&message), message);
        }
        let bytes = self.queued_bytes + message.payload.len();
        let waiting = self.queued(message.session);
        if waiting >= MAX_QUEUED || self.queue.len() >= room.queued || bytes > room.queued_bytes {
            return Offer::Full(message);
        }
        self.queued_bytes = bytes;
        self.waiting.insert(message.session, waiting + 1);
        self.queue.push_back(message);
        Offer::Queued
    }

    fn launch(&mut self, message: &Message) -> u16 {
        let packet_id = self.free_id();
        let Message { session, token, deadline_us, .. } = *message;
        self.flights.push_back(Flight { packet_id, session, token, deadline_us });
        packet_id
    }

    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.flights.iter().all(|flight| flight.packet_id != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// The token that a PUBACK answers.
    pub fn acknowledged(&mut self, packet_id: u16) -> Option<i64> {
        let index = self.flights.iter().position(|flight| flight.packet_id == packet_id)?;
        self.flights.remove(index).map(|flight| flight.token)
    }

    /// The next queued message that the window has room for.
    pub fn advance(&mut self, in_flight: usize) -> Option<(u16, Message)> {
        if self.flights.len() >= in_flight {
            return None;
        }
        let message = self.dequeue()?;
        Some((self.launch(&message), message))
    }

    fn dequeue(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.queued_bytes -= message.payload.len();
        match self.queued(message.session) {
            0 | 1 => self.waiting.remove(&message.session),
            waiting => self.waiting.insert(message.session, waiting - 1),
        };
        Some(message)
    }

    /// Tokens whose time is over.
    pub fn expired(&mut self, now_us: u64) -> Vec<i64> {
        let mut tokens = Vec::new();
        while self.flights.front().is_some_and(|flight| flight.deadline_us <= now_us) {
            tokens.extend(self.flights.pop_front().map(|flight| flight.token));
        }
        while self.queue.front().is_some_and(|message| message.deadline_us <= now_us) {
            tokens.extend(self.dequeue().map(|message| message.token));
        }
        tokens
    }

    pub fn next_deadline(&self) -> Option<u64> {
        let flight = self.flights.front().map(|flight| flight.deadline_us);
        let queued = self.queue.front().map(|message| message.deadline_us);
        flight.into_iter().chain(queued).min()
    }

    /// Takes out what belongs to a session that ended and returns its tokens. Packet ids are not given again for long, so
    /// a PUBACK that still comes finds nobody.
    pub fn end(&mut self, session: Key) -> Vec<i64> {
        let mut tokens = Vec::new();
        self.flights.retain(|flight| {
            flight.session != session || {
                tokens.push(flight.token);
                false
            }
        });
        if self.waiting.remove(&session).is_some() {
            self.queue.retain(|message| {
                message.session != session || {
                    tokens.push(message.token);
                    false
                }
            });
            self.queued_bytes = self.queue.iter().map(|message| message.payload.len()).sum();
        }
        tokens
    }

    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub fn in_flight(&self, session: Key) -> usize {
        self.flights.iter().filter(|flight| flight.session == session).count()
    }

    pub fn queued(&self, session: Key) -> usize {
        self.waiting.get(&session).copied().unwrap_or_default()
    }

    /// Tokens of everything unanswered.
    pub fn abandon(self) -> Vec<i64> {
        let queued = self.queue.into_iter().map(|message| message.token);
        self.flights.into_iter().map(|flight| flight.token).chain(queued).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.flights.is_empty() && self.queue.is_empty()
    }
}
