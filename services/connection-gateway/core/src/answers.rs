//! SUBACKs and UNSUBACKs that wait until a change of a persistent session is stored. They leave in the order of their
//! packets; nothing else waits for them. No socket, no clock.
//!
//! A change is answered once, by its token, and all of them have the same time for it, so deadlines rise from front to
//! back. Without such a session a connection has none of this.

use std::collections::VecDeque;

/// Answers of one connection that may wait; at another SUBSCRIBE or UNSUBSCRIBE it is not read.
pub const MAX_WAITING: usize = 16;

struct Answer {
    /// `None` once the change is stored, or when there was none.
    token: Option<u64>,
    packet: Vec<u8>,
    deadline_us: u64,
}

#[derive(Default)]
pub struct Answers {
    waiting: VecDeque<Answer>,
}

impl Answers {
    pub fn push(&mut self, token: Option<u64>, packet: Vec<u8>, deadline_us: u64) {
        self.waiting.push_back(Answer { token, packet, deadline_us });
    }

    /// The change of this token is stored.
    pub fn confirm(&mut self, token: u64) {
        if let Some(answer) = self.waiting.iter_mut().find(|answer| answer.token == Some(token)) {
            answer.token = None;
        }
    }

    /// Takes the next packet whose turn has come.
    pub fn release(&mut self) -> Option<Vec<u8>> {
        if self.waiting.front()?.token.is_some() {
            return None;
        }
        self.waiting.pop_front().map(|answer| answer.packet)
    }

    /// When the first change that is not stored has waited long enough.
    pub fn deadline(&self) -> Option<u64> {
        self.waiting.iter().find(|answer| answer.token.is_some()).map(|answer| answer.deadline_us)
    }

    /// Tokens not answered yet.
    pub fn tokens(&self) -> impl Iterator<Item = u64> + '_ {
        self.waiting.iter().filter_map(|answer| answer.token)
    }

    pub fn full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
