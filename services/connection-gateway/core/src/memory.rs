//! Memory that traffic holds, in bytes, and what happens when it is too much.
//!
//! Counted are what peers have not taken (written or queued), packets that are partial or wait behind a pause, records not
//! committed, and what Python has not polled. A connection is counted again each time it was read or written, not for
//! each message. Above `refuse_above_bytes` a CONNECT is refused, and the connections whose peers owe the most reading
//! are closed, the largest first, until it is less. What the bus owes stays below it (`record`), and so does what Python
//! has not polled: a quarter of it.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use crate::conn::READ_BYTES;
use crate::reactor::Reactor;
use crate::shared::LocalMessage;
use crate::shares;
use crate::slots::Key;

/// A peer that owes less than this is not slow.
const MIN_BACKLOG: usize = READ_BYTES;
/// Looking for slow readers takes a walk over all connections.
const SHED_EVERY_US: u64 = 100_000;

/// Local messages by number of product since Python last polled, which takes them all.
#[derive(Default)]
pub struct Local {
    polls: usize,
    shares: Vec<usize>,
}

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

    /// The bus may have what the others leave.
    pub(crate) fn set_room(&mut self) {
        if self.options.refuse_above_bytes > 0 {
            let others = self.held_bytes + self.shared.waiting_bytes.load(Ordering::Relaxed);
            self.records.set_room(self.options.refuse_above_bytes.saturating_sub(others));
        }
    }

    /// Whether another local message of this product is one too many.
    pub(crate) fn local_full(&mut self, product: u32) -> bool {
        let polls = self.shared.polls.load(Ordering::Relaxed);
        if polls != self.local.polls {
            self.local = Local { polls, shares: Vec::new() };
        }
        let held = self.local.shares.get(product as usize).copied().unwrap_or_default();
        let waiting = self.shared.local_waiting.load(Ordering::Relaxed);
        let bound = self.options.refuse_above_bytes / 4;
        let bytes = self.shared.waiting_bytes.load(Ordering::Relaxed);
        shares::full(held, waiting, self.options.max_local_queue) || bound > 0 && bytes > bound
    }

    pub(crate) fn push_local(&mut self, product: u32, message: LocalMessage) {
        let product = product as usize;
        if self.local.shares.len() <= product {
            self.local.shares.resize(product + 1, 0);
        }
        self.local.shares[product] += 1;
        self.shared.local_waiting.fetch_add(1, Ordering::Relaxed);
        self.shared.waiting_bytes.fetch_add(message.size(), Ordering::Relaxed);
        self.results.local.push(message);
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
