//! Who may be given a session: what `accept` and `attach` answer at once, on whatever thread Python calls them.
//!
//! A key is taken when a session is promised, ends with the session, and is free for another once the session's last
//! message is committed. Of a connection's own session the roster remembers whose it is, and of a gateway which devices
//! are attached; both as 64-bit hashes under a key of this process, so that nobody outside can make two alike.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;

use crate::slots::{Key, Keys};

/// Sub-devices on one connection.
pub const MAX_SUB_SESSIONS: usize = 2_000;
/// In the place of a device: the slot holds a sub-session, or nothing that is alive.
const NOBODY: u64 = 0;

pub struct Roster {
    keys: Keys,
    /// By slot: the device whose own session is alive there.
    devices: Vec<u64>,
    /// Devices attached to a live session, and how many sessions each has: two while the newer replaces the older.
    attached: HashMap<Key, HashMap<u64, u32>>,
    /// Sub-sessions alive, and how many may be.
    sub_sessions: usize,
    max_sub_sessions: usize,
    hasher: RandomState,
}

impl Roster {
    pub fn new(max_sub_sessions: usize) -> Roster {
        Roster {
            keys: Keys::default(),
            devices: Vec::new(),
            attached: HashMap::new(),
            sub_sessions: 0,
            max_sub_sessions,
            hasher: RandomState::new(),
        }
    }

    /// A key for a connection's own session.
    pub fn accept(&mut self, product_key: &str, device_name: &str) -> Key {
        let device = self.device(product_key, device_name);
        self.take(device)
    }

    /// A key for a sub-session of the session `gateway`; `None` where it may have none for this device.
    pub fn attach(&mut self, gateway: Key, product_key: &str, device_name: &str) -> Option<Key> {
        let device = self.device(product_key, device_name);
        let own = *self.devices.get(gateway.slot as usize)?;
        if own == NOBODY || own == device || !self.keys.is_current(gateway) {
            return None;
        }
        if self.sub_sessions >= self.max_sub_sessions {
            return None;
        }
        let attached = self.attached.entry(gateway).or_default();
        if attached.len() >= MAX_SUB_SESSIONS && !attached.contains_key(&device) {
            return None;
        }
        *attached.entry(device).or_default() += 1;
        self.sub_sessions += 1;
        Some(self.take(NOBODY))
    }

    /// A connection's own session ended: nothing is attached to it any more.
    pub fn end(&mut self, key: Key) {
        if self.keys.is_current(key) {
            self.devices[key.slot as usize] = NOBODY;
            let attached = self.attached.remove(&key).unwrap_or_default();
            self.sub_sessions -= attached.values().map(|&sessions| sessions as usize).sum::<usize>();
        }
    }

    /// A sub-session ended.
    pub fn detach(&mut self, gateway: Key, product_key: &str, device_name: &str) {
        let device = self.device(product_key, device_name);
        let Some(attached) = self.attached.get_mut(&gateway) else { return };
        if let Entry::Occupied(mut sessions) = attached.entry(device) {
            self.sub_sessions -= 1;
            *sessions.get_mut() -= 1;
            if *sessions.get() == 0 {
                sessions.remove();
            }
        }
        if attached.is_empty() {
            self.attached.remove(&gateway);
        }
    }

    /// The last of a session is done: its slot may be taken again.
    pub fn give_back(&mut self, key: Key) {
        self.keys.give_back(key);
    }

    fn take(&mut self, device: u64) -> Key {
        let key = self.keys.take();
        let slot = key.slot as usize;
        if self.devices.len() <= slot {
            self.devices.resize(slot + 1, NOBODY);
        }
        self.devices[slot] = device;
        key
    }

    fn device(&self, product_key: &str, device_name: &str) -> u64 {
        self.hasher.hash_one((product_key, device_name)).max(NOBODY + 1)
    }
}
