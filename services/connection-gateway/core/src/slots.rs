//! Slabs addressed by slot and generation, so that a late answer never reaches a newer tenant of the slot.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub slot: u32,
    pub generation: u32,
}

impl Key {
    /// One positive number for the outside; never 0, since generations start at 1. 31 bits of generation.
    pub fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    pub fn from_number(number: u64) -> Key {
        Key { slot: number as u32, generation: (number >> 32) as u32 }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// Gives out keys; another table holds what they name. Lets one thread name what another will keep.
#[derive(Default)]
pub struct Keys {
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl Keys {
    pub fn take(&mut self) -> Key {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.generations.push(0);
            self.generations.len() as u32 - 1
        });
        let generation = &mut self.generations[slot as usize];
        *generation = (*generation + 1) & 0x7fff_ffff;
        *generation = (*generation).max(1);
        Key { slot, generation: *generation }
    }

    pub fn give_back(&mut self, key: Key) {
        self.free.push(key.slot);
    }

    /// Whether this is the last key given out for its slot, given back or not.
    pub fn is_current(&self, key: Key) -> bool {
        self.generations.get(key.slot as usize) == Some(&key.generation)
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    keys: Keys,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { slots: Vec::new(), keys: Keys::default(), len: 0 }
    }
}

impl<T> Slots<T> {
    pub fn insert(&mut self, value: T) -> Key {
        let key = self.keys.take();
        self.put(key, value);
        key
    }

    /// Fills a slot under a key that was given out elsewhere; such a table never calls `insert`.
    pub fn put(&mut self, key: Key, value: T) {
        let index = key.slot as usize;
        while self.slots.len() <= index {
            self.slots.push(Slot { generation: 0, value: None });
        }
        self.slots[index] = Slot { generation: key.generation, value: Some(value) };
        self.len += 1;
    }

    pub fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation == key.generation { slot.value.as_ref() } else { None }
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    /// The present tenant of a slot.
    pub fn at_mut(&mut self, slot: u32) -> Option<(Key, &mut T)> {
        let entry = self.slots.get_mut(slot as usize)?;
        let key = Key { slot, generation: entry.generation };
        entry.value.as_mut().map(|value| (key, value))
    }

    /// Empties a slot whose key was given out elsewhere, without giving the key back.
    pub fn take(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        self.len -= 1;
        Some(value)
    }

    pub fn remove(&mut self, key: Key) -> Option<T> {
        let value = self.take(key)?;
        self.keys.give_back(key);
        Some(value)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn keys(&self) -> Vec<Key> {
        let live = self.slots.iter().enumerate().filter(|(_, slot)| slot.value.is_some());
        live.map(|(index, slot)| Key { slot: index as u32, generation: slot.generation }).collect()
    }
}
