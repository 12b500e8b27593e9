//! QoS 1 towards a device: a window of packets in flight and a bounded queue behind it. No socket, no clock.
//!
//! Every message carries a token that is answered once: delivered (PUBACK), timeout, offline (session ended) or failed
//! (no room). The timeout counts from the moment the message was handed over, in flight or not, and is the same for all,
//! so both lists are in order of deadline.

use std::collections::VecDeque;

/// Messages that may wait behind a full window.
pub const MAX_QUEUED: usize = 100;

pub struct Message {
    pub token: i64,
    pub topic: String,
    pub payload: Vec<u8>,
    pub deadline_us: u64,
}

struct Flight {
    packet_id: u16,
    token: i64,
    deadline_us: u64,
}

#[derive(Default)]
pub struct Window {
    last_id: u16,
    flights: VecDeque<Flight>,
    queue: VecDeque<Message>,
    queued_bytes: usize,
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
    pub fn offer(&mut self, message: Message, window: usize, max_bytes: usize) -> Offer {
        if self.queue.is_empty() && self.flights.len() < window {
            return Offer::Send(self.launch(&message), message);
        }
        if self.queue.len() >= MAX_QUEUED || self.queued_bytes + message.payload.len() > max_bytes {
            return Offer::Full(message);
        }
        self.queued_bytes += message.payload.len();
        self.queue.push_back(message);
        Offer::Queued
    }

    fn launch(&mut self, message: &Message) -> u16 {
        let packet_id = self.free_id();
        self.flights.push_back(Flight { packet_id, token: message.token, deadline_us: message.deadline_us });
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
    pub fn advance(&mut self, window: usize) -> Option<(u16, Message)> {
        if self.flights.len() >= window {
            return None;
        }
        let message = self.dequeue()?;
        Some((self.launch(&message), message))
    }

    fn dequeue(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.queued_bytes -= message.payload.len();
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

    /// Tokens of everything unanswered.
    pub fn abandon(self) -> Vec<i64> {
        let queued = self.queue.into_iter().map(|message| message.token);
        self.flights.into_iter().map(|flight| flight.token).chain(queued).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.flights.is_empty() && self.queue.is_empty()
    }
}
