//! PUBACKs of one connection leave in the order in which the PUBLISHes came ([MQTT-4.6.0-2]), whichever record commits
//! first: a queue whose front leaves once the record it waits for is no longer outstanding.

use std::collections::VecDeque;

use crate::record::NO_RECORD;
use crate::slots::Key;

/// PUBLISHes of a connection that may wait for their PUBACK; above it the connection is not read.
pub const MAX_WAITING: usize = 1_000;

#[derive(Default)]
pub struct Acks {
    waiting: VecDeque<(u16, Key)>,
}

impl Acks {
    /// A message that needs no commit: true when its PUBACK may leave at once.
    pub fn immediate(&mut self, packet_id: u16) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        self.waiting.push_back((packet_id, NO_RECORD));
        false
    }

    pub fn after(&mut self, packet_id: u16, record: Key) {
        self.waiting.push_back((packet_id, record));
    }

    /// Takes the next packet id whose turn has come.
    pub fn next(&mut self, outstanding: impl Fn(Key) -> bool) -> Option<u16> {
        let &(packet_id, record) = self.waiting.front()?;
        if record != NO_RECORD && outstanding(record) {
            return None;
        }
        self.waiting.pop_front();
        if self.waiting.is_empty() && self.waiting.capacity() > 16 {
            self.waiting = VecDeque::new();
        }
        Some(packet_id)
    }

    pub fn full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
