//! A device's presence on a connection: identity, permission, subscriptions, quotas, what it has on its way to the bus.
//!
//! A session outlives its connection until the last of its uplink messages is committed or failed; only then is its slot
//! given to another. Times are arguments.

use std::sync::Arc;

use crate::codec::NOT_GRANTED;
use crate::figures::Figures;
use crate::quota::{Buckets, Limits};
use crate::record::{NO_RECORD, Placed};
use crate::slots::Key;
use crate::topics::{Classes, MAX_TOPIC_BYTES, Owner, Table, matches};

/// Filters that one SUBSCRIBE may hold (reference §1.4); those beyond are not granted.
pub const MAX_FILTERS: usize = 8;
/// Bound on subscriptions where the product's limit is absent or only observed.
const MAX_SUBSCRIPTIONS: usize = 1_000;
/// Bounds on remembered unsubscribes, and on the filters of one UNSUBSCRIBE that are looked at.
const MAX_STOPPED: usize = 100;
pub const MAX_UNSUBSCRIBES: usize = 256;

/// What a product allows, shared by its sessions.
pub struct Policy {
    pub product_key: Arc<str>,
    /// Its number at this core.
    pub product: u32,
    pub version: i64,
    pub classes: Classes,
    pub limits: Limits,
}

pub struct Session {
    pub connection: Key,
    pub device_name: Box<str>,
    pub policy: Arc<Policy>,
    pub epoch: i64,
    pub ext: u32,
    /// Slot of the device among the 16,384.
    pub device_slot: u16,
    pub closed: bool,
    pub uncommitted: u32,
    pub sequence: u64,
    pub last: Placed,
    pub buckets: Buckets,
    pub figures: Figures,
    subscriptions: Vec<Box<str>>,
    /// Automatic topics that the device unsubscribed.
    stopped: Vec<Box<str>>,
    /// What the packet at hand changed, of a session that outlives its connection.
    change: Option<Box<Change>>,
}

/// What one packet did to a session's subscriptions, as filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Automatic topics that the device does not want any more, and those that it wants again.
    pub stopped: Vec<String>,
    pub resumed: Vec<String>,
}

impl Change {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.stopped.is_empty() && self.resumed.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    Granted(u8),
    /// Granted over the product's limit, which is only observed.
    Observed(u8),
    NotPermitted,
    OverLimit,
}

impl Grant {
    pub fn code(self) -> u8 {
        match self {
            Grant::Granted(qos) | Grant::Observed(qos) => qos,
            Grant::NotPermitted | Grant::OverLimit => NOT_GRANTED,
        }
    }
}

impl Session {
    pub fn new(connection: Key, policy: Arc<Policy>, device_name: &str, epoch: i64, ext: u32) -> Session {
        Session {
            connection,
            device_slot: crate::ids::slot(&policy.product_key, device_name),
            device_name: device_name.into(),
            policy,
            epoch,
            ext,
            closed: false,
            uncommitted: 0,
            sequence: 0,
            last: Placed { record: NO_RECORD, part: 0 },
            buckets: Buckets::default(),
            figures: Figures::default(),
            subscriptions: Vec::new(),
            stopped: Vec::new(),
            change: None,
        }
    }

    pub fn owner(&self) -> Owner<'_> {
        Owner { product_key: &self.policy.product_key, device_name: &self.device_name, ext: self.ext }
    }

    pub fn subscribe(&mut self, table: &Table, filter: &str, qos: u8) -> Grant {
        if !table.subscribe(filter, self.owner(), &self.policy.classes) {
            return Grant::NotPermitted;
        }
        let granted = qos.min(1);
        if take(&mut self.stopped, filter) {
            self.note(|change| &mut change.resumed, filter);
        }
        if self.subscriptions.iter().any(|known| **known == *filter) {
            return Grant::Granted(granted);
        }
        let limits = &self.policy.limits;
        let over = limits.subscriptions > 0 && self.subscriptions.len() >= limits.subscriptions as usize;
        if (over && limits.enforce) || self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Grant::OverLimit;
        }
        self.subscriptions.push(filter.into());
        self.note(|change| &mut change.added, filter);
        if over { Grant::Observed(granted) } else { Grant::Granted(granted) }
    }

    pub fn unsubscribe(&mut self, table: &Table, filter: &str) {
        if take(&mut self.subscriptions, filter) {
            self.note(|change| &mut change.removed, filter);
        }
        if self.stop(table, filter) {
            self.note(|change| &mut change.stopped, filter);
        }
    }

    /// Whether the filter stops automatic topics that went on so far.
    fn stop(&mut self, table: &Table, filter: &str) -> bool {
        let known = self.stopped.iter().any(|stopped| **stopped == *filter);
        let room = self.stopped.len() < MAX_STOPPED && filter.len() <= MAX_TOPIC_BYTES;
        let stops = !known && room && table.touches_automatic(filter, self.owner());
        if stops {
            self.stopped.push(filter.into());
        }
        stops
    }

    /// Makes a new session one that outlives its connection, with what it had before; returns what became of each
    /// subscription. From now on changes are noted, the first being what it may not have any more.
    pub fn restore(&mut self, table: &Table, subscriptions: &[String], stopped: &[String]) -> Vec<Grant> {
        let mut lost = Change::default();
        let mut grants = Vec::with_capacity(subscriptions.len());
        for filter in subscriptions {
            let grant = self.subscribe(table, filter, 1);
            if grant.code() == NOT_GRANTED {
                lost.removed.push(filter.clone());
            }
            grants.push(grant);
        }
        lost.resumed = stopped.iter().filter(|filter| !self.stop(table, filter)).cloned().collect();
        self.change = Some(Box::new(lost));
        grants
    }

    fn note(&mut self, part: impl FnOnce(&mut Change) -> &mut Vec<String>, filter: &str) {
        if let Some(change) = self.change.as_mut() {
            part(change).push(filter.to_owned());
        }
    }

    /// What has changed since the last call, if anything did and the session outlives its connection.
    pub fn take_change(&mut self) -> Option<Change> {
        let change = self.change.as_mut()?;
        (!change.is_empty()).then(|| std::mem::take(&mut **change))
    }

    /// Whether a message to `topic` reaches the device: by a filter of its own, or automatically.
    pub fn receives(&self, table: &Table, topic: &str) -> bool {
        if self.subscriptions.iter().any(|filter| matches(filter, topic, true)) {
            return true;
        }
        table.automatic(topic, self.owner()) && !self.stopped.iter().any(|filter| matches(filter, topic, true))
    }

    pub fn subscriptions(&self) -> &[Box<str>] {
        &self.subscriptions
    }
}

/// Takes a filter out of a list; whether it was there.
fn take(filters: &mut Vec<Box<str>>, filter: &str) -> bool {
    let before = filters.len();
    filters.retain(|known| **known != *filter);
    filters.len() < before
}
