//! Room that products share, and the room of one partition: what is under way to it and who waits for more.
//!
//! A bound is for all; a product alone never reaches it. It may hold [`SHARE`] times what is still free, so one that is
//! too fast stops at three quarters, two at three sevenths each, and whoever else comes finds room.

use crate::slots::Key;

/// How many times the free room a product may hold.
const SHARE: usize = 3;

/// Whether there is no room for a product that holds so much, of a total that is bounded.
pub fn full(held: usize, total: usize, bound: usize) -> bool {
    let free = bound.saturating_sub(total);
    free == 0 || held > SHARE * free
}

#[derive(Default)]
pub struct Shares {
    total: usize,
    /// By number of product.
    held: Vec<usize>,
    /// Connections that wait, and the product that must have room.
    waiting: Vec<(Key, u32)>,
}

impl Shares {
    pub fn full(&self, product: u32, bound: usize) -> bool {
        full(self.of(product), self.total, bound)
    }

    pub fn of(&self, product: u32) -> usize {
        self.held.get(product as usize).copied().unwrap_or_default()
    }

    pub fn grow(&mut self, product: u32, bytes: usize) {
        let product = product as usize;
        if self.held.len() <= product {
            self.held.resize(product + 1, 0);
        }
        self.held[product] += bytes;
        self.total += bytes;
    }

    /// Bytes that are nobody's: they count for all.
    pub fn grow_common(&mut self, bytes: usize) {
        self.total += bytes;
    }

    /// So much of the total is gone, and of it so much of each of these products.
    pub fn shrink(&mut self, total: usize, products: impl Iterator<Item = (u32, usize)>) {
        self.total = self.total.saturating_sub(total);
        for (product, bytes) in products {
            if let Some(held) = self.held.get_mut(product as usize) {
                *held = held.saturating_sub(bytes);
            }
        }
    }

    pub fn wait(&mut self, connection: Key, product: u32) {
        self.waiting.push((connection, product));
    }

    /// Takes out the connections that may write again.
    pub fn release(&mut self, bound: usize) -> Vec<Key> {
        let mut free = Vec::new();
        for (connection, product) in std::mem::take(&mut self.waiting) {
            if self.full(product, bound) {
                self.waiting.push((connection, product));
            } else {
                free.push(connection);
            }
        }
        free
    }

    pub fn release_all(&mut self) -> impl Iterator<Item = Key> + '_ {
        self.waiting.drain(..).map(|waiter| waiter.0)
    }
}
