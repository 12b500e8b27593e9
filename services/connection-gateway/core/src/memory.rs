//! Memory that traffic holds, in bytes, and what happens when it is too much.
//!
//! Counted are what peers have not taken (written or queued), packets that are partial or wait behind a pause, records not
//! committed, and what Python has not polled. A connection is counted again each time it was read or written, not for
//! each message. Above `refuse_above_bytes` a CONNECT is refused, and the connections whose peers owe the most reading
//! are closed, the largest first, until it is less; what the bus owes is bounded by partition (`record`).

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use crate::conn::READ_BYTES;
use crate::reactor::Reactor;
use crate::slots::Key;

/// A peer that owes less than this is not slow.
const MIN_BACKLOG: usize = READ_BYTES;
/// Looking for slow readers takes a walk over all connections.
const SHED_EVERY_US: u64 = 100_000;

impl Reactor {
    /// Counts what a connection holds anew.
    pub(crate) fn account(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let held = conn.held();
        if held != conn.counted {
            self.held_bytes = self.held_bytes + held - conn.counted;
            conn.counted = held;
        }
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.held_bytes + self.records.inflight_bytes() + self.shared.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Whether new connections must wait for better times.
    pub(crate) fn short_of_memory(&self) -> bool {
        self.options.refuse_above_bytes > 0 && self.buffered_bytes() > self.options.refuse_above_bytes
    }

    /// When to look for slow readers again.
    pub(crate) fn next_shed_us(&self) -> Option<u64> {
        self.short_of_memory().then_some(self.shed_us)
    }

    /// Closes the slowest readers while memory is short.
    pub(crate) fn shed(&mut self) {
        if self.now_us < self.shed_us || !self.short_of_memory() {
            return;
        }
        self.shed_us = self.now_us + SHED_EVERY_US;
        let backlog = |&key: &Key| self.conns.get(key).map_or(0, |conn| conn.backlog());
        let mut slow: Vec<(usize, Key)> = self.conns.keys().iter().map(|key| (backlog(key), *key)).collect();
        slow.retain(|&(backlog, _)| backlog >= MIN_BACKLOG);
        slow.sort_unstable_by_key(|&(backlog, _)| Reverse(backlog));
        for (_, key) in slow {
            if !self.short_of_memory() {
                return;
            }
            self.close(key, "memory");
        }
    }
}
