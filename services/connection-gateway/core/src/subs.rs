//! The sessions of a connection that carries more than its own, by the names that topics speak of.
//!
//! A plain connection has no such table. Where there is one, it holds the connection's own session as well: the first
//! pair of neighbouring levels of a topic that names any of them decides whose topic it is.

use std::collections::HashMap;
use std::sync::Arc;

use crate::slots::Key;
use crate::topics::{MAX_TOPIC_BYTES, pairs};

pub struct Subs {
    products: HashMap<Arc<str>, HashMap<Box<str>, Key>>,
    /// Sessions beside the connection's own.
    len: usize,
}

impl Subs {
    /// A table with the connection's own session.
    pub fn new(product_key: Arc<str>, device_name: &str, own: Key) -> Subs {
        let devices = HashMap::from([(device_name.into(), own)]);
        Subs { products: HashMap::from([(product_key, devices)]), len: 0 }
    }

    /// Adds a sub-session and returns the one of the same device that it replaces.
    pub fn insert(&mut self, product_key: Arc<str>, device_name: &str, session: Key) -> Option<Key> {
        let older = self.products.entry(product_key).or_default().insert(device_name.into(), session);
        self.len += usize::from(older.is_none());
        older
    }

    /// Takes a sub-session out, unless a newer one of its device has its place.
    pub fn remove(&mut self, product_key: &str, device_name: &str, session: Key) {
        let Some(devices) = self.products.get_mut(product_key) else { return };
        if devices.get(device_name) == Some(&session) {
            devices.remove(device_name);
            self.len -= 1;
        }
        if devices.is_empty() {
            self.products.remove(product_key);
        }
    }

    pub fn get(&self, product_key: &str, device_name: &str) -> Option<Key> {
        self.products.get(product_key)?.get(device_name).copied()
    }

    /// The session that a topic or filter names. One beyond the bound of topics is nobody's: it will be refused.
    pub fn speaker(&self, topic: &str) -> Option<Key> {
        if topic.len() > MAX_TOPIC_BYTES {
            return None;
        }
        pairs(topic).find_map(|(product_key, device_name)| self.get(product_key, device_name))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every session in the table, the connection's own among them.
    pub fn sessions(&self) -> impl Iterator<Item = Key> + '_ {
        self.products.values().flat_map(|devices| devices.values().copied())
    }
}
