//! A timer wheel: coarse deadlines for many connections without a scan of them.
//!
//! A ring of slots, one a tick (16 ms); a deadline goes into the slot of its tick, or, beyond the ring, into the last one
//! and is looked at again there. Entries are not removed when a deadline moves: the owner remembers the tick it waits
//! for and ignores others. A bitmap of used slots finds the next one. Time is an argument, in microseconds.

use crate::slots::Key;

const TICK_US: u64 = 16_384;
const RING: u64 = 8_192;

pub struct Wheel {
    slots: Vec<Vec<Key>>,
    used: Vec<u64>,
    /// Next tick to look at.
    tick: u64,
}

impl Default for Wheel {
    fn default() -> Self {
        Wheel { slots: vec![Vec::new(); RING as usize], used: vec![0; (RING / 64) as usize], tick: 0 }
    }
}

impl Wheel {
    /// The tick at which a deadline is due.
    pub fn tick_of(at_us: u64) -> u64 {
        at_us.div_ceil(TICK_US)
    }

    /// Adds a deadline and returns the tick at which the owner will be called.
    pub fn add(&mut self, owner: Key, at_us: u64) -> u64 {
        let tick = Wheel::tick_of(at_us).clamp(self.tick, self.tick + RING - 1);
        let index = (tick % RING) as usize;
        self.slots[index].push(owner);
        self.used[index / 64] |= 1 << (index % 64);
        tick
    }

    /// Calls of the ticks that have come, as (owner, tick).
    pub fn due(&mut self, now_us: u64, due: &mut Vec<(Key, u64)>) {
        let until = now_us / TICK_US;
        while let Some(tick) = self.next_tick().filter(|&tick| tick <= until) {
            let index = (tick % RING) as usize;
            self.used[index / 64] &= !(1 << (index % 64));
            due.extend(std::mem::take(&mut self.slots[index]).into_iter().map(|owner| (owner, tick)));
            self.tick = tick + 1;
        }
        self.tick = self.tick.max(until + 1);
    }

    fn next_tick(&self) -> Option<u64> {
        let start = self.tick % RING;
        let (word, bit) = ((start / 64) as usize, start % 64);
        let words = self.used.len();
        for step in 0..=words {
            let index = (word + step) % words;
            let mut bits = self.used[index];
            if step == 0 {
                bits &= u64::MAX << bit;
            } else if step == words {
                bits &= !(u64::MAX << bit);
            }
            if bits != 0 {
                let position = index as u64 * 64 + u64::from(bits.trailing_zeros());
                return Some(self.tick + (position + RING - start) % RING);
            }
        }
        None
    }

    pub fn next_us(&self) -> Option<u64> {
        self.next_tick().map(|tick| tick * TICK_US)
    }
}
