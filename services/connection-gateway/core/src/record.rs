//! Bus records: many messages of one stream and partition, and which of them are still unacknowledged.
//!
//! ```text
//!   add() -> open record of (stream, partition) --5 ms | 512 kB | 500--> sealed --commit--> gone, PUBACKs leave
//!                                                                           |--fail, 30 s--> gone, connections close
//! ```
//!
//! Bytes open and sealed count against the partition until they are committed; above the bound [`Records::full`] says so
//! and the reactor stops reading the connections that write there; `shares` says how much of it one product may have. Where
//! there is a bound on all partitions together, each may hold as much as is still free of it, so that those whose leader
//! is gone leave room for the others. A record's number is a slab slot and generation, so a late or doubled commit is recognised. Layout:
//! protos/thinghubpb/bus/v1/record.proto, written by hand, `format` first.

use std::collections::VecDeque;

use crate::shares::Shares;
use crate::slots::{Key, Slots};

const FORMAT: u8 = 1;
/// Counted for each record beside its bytes, so that tiny records are bounded too.
const RECORD_OVERHEAD: usize = 256;
/// What a partition may hold however little room there is for all of them.
const MIN_ROOM: usize = 64 * 1024;
/// Slots of a key that names no record: a message that needs no commit.
pub const NO_RECORD: Key = Key { slot: u32::MAX, generation: 0 };

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub max_messages: usize,
    pub max_bytes: usize,
    pub linger_us: u64,
    pub max_inflight: usize,
    pub timeout_us: u64,
}

/// One message as the record carries it.
pub struct Entry<'a> {
    pub id: i64,
    pub product_key: &'a str,
    pub device_name: &'a str,
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub epoch: i64,
    pub sequence: u64,
    pub received_ms: i64,
    pub handle: u64,
    pub qos: u8,
    pub traceparent: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub message_id: i64,
    pub traceparent: String,
    pub received_ms: i64,
    pub topic: String,
}

/// A finished record, for the bus.
#[derive(Debug)]
pub struct Sealed {
    pub key: Key,
    pub stream: u32,
    pub partition: u32,
    pub value: Vec<u8>,
    pub messages: u32,
    pub samples: Vec<Sample>,
}

/// What one session has in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub slot: u32,
    pub messages: u32,
    product: u32,
    bytes: u32,
}

/// What is kept of a record until it is committed; its parts in order of first message.
struct Pending {
    stream: u32,
    partition: u32,
    bytes: usize,
    parts: Vec<Part>,
}

struct Open {
    key: Key,
    value: Vec<u8>,
    messages: u32,
    samples: Vec<Sample>,
    close_at_us: u64,
}

#[derive(Default)]
struct Lane {
    open: Option<Open>,
    shares: Shares,
    /// Size of the last record, to allocate the next one in one piece.
    last_size: usize,
}

/// Who publishes: session, product, and where the session's previous message went.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub slot: u32,
    pub product: u32,
    pub last: Placed,
}

/// Where a message went: its record, and its place in `parts` to find it again cheaply.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    pub record: Key,
    pub part: u32,
}

/// What a finished record leaves: the messages of each session, and the connections that may be read again.
#[derive(Default)]
pub struct Done {
    pub parts: Vec<Part>,
    pub resume: Vec<Key>,
}

pub struct Records {
    bounds: Bounds,
    header: Vec<u8>,
    lanes: Vec<Vec<Lane>>,
    pending: Slots<Pending>,
    /// Bytes of all of it, and their bound.
    inflight: usize,
    room: usize,
    /// Open records by deadline (the linger is the same for all): (deadline, stream, partition, record).
    lingering: VecDeque<(u64, u32, u32, Key)>,
    /// Sealed records by deadline.
    deadlines: VecDeque<(u64, Key)>,
    sealed: Vec<Sealed>,
}

impl Records {
    pub fn new(origin: &str, bounds: Bounds) -> Records {
        let mut header = vec![1 << 3, FORMAT, 2 << 3 | 2];
        varint(&mut header, origin.len() as u64);
        header.extend_from_slice(origin.as_bytes());
        Records {
            bounds,
            header,
            lanes: Vec::new(),
            pending: Slots::default(),
            inflight: 0,
            room: usize::MAX,
            lingering: VecDeque::new(),
            deadlines: VecDeque::new(),
            sealed: Vec::new(),
        }
    }

    /// Partition counts by stream. Open records are sealed first; connections that waited may be read again.
    pub fn set_streams(&mut self, partitions: &[u32]) -> Vec<Key> {
        let mut resume = Vec::new();
        self.seal_all();
        for lane in self.lanes.iter_mut().flatten() {
            resume.extend(lane.shares.release_all());
        }
        self.lanes.resize_with(partitions.len(), Vec::new);
        for (lanes, &count) in self.lanes.iter_mut().zip(partitions) {
            lanes.resize_with(count.max(1) as usize, Lane::default);
        }
        resume
    }

    /// Partitions of a stream; 0 for a stream that does not exist.
    pub fn partitions(&self, stream: u32) -> u32 {
        self.lanes.get(stream as usize).map_or(0, |lanes| lanes.len() as u32)
    }

    /// Bounds all partitions together.
    pub fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// What a partition may hold. Never so little that one with nothing under way is full: only what is under way there
    /// and ends lets those go that wait.
    fn bound(&self) -> usize {
        self.room.saturating_sub(self.inflight).clamp(MIN_ROOM.min(self.bounds.max_inflight), self.bounds.max_inflight)
    }

    /// Whether the partition has no room for this product.
    pub fn full(&self, stream: u32, partition: u32, product: u32) -> bool {
        self.lanes[stream as usize][partition as usize].shares.full(product, self.bound())
    }

    /// The connection waits until the partition has room for the product; it comes back in [`Done::resume`].
    pub fn wait(&mut self, stream: u32, partition: u32, product: u32, connection: Key) {
        self.lanes[stream as usize][partition as usize].shares.wait(connection, product);
    }

    /// Appends a message.
    pub fn add(&mut self, at: (u32, u32), source: Source, entry: &Entry<'_>, now_us: u64) -> Placed {
        let size = message_size(entry);
        let lane = &self.lanes[at.0 as usize][at.1 as usize];
        if lane.open.as_ref().is_some_and(|open| open.value.len() + size + 8 > self.bounds.max_bytes) {
            self.seal(at.0, at.1);
        }
        self.open(at, now_us);
        let lane = &mut self.lanes[at.0 as usize][at.1 as usize];
        let Some(open) = lane.open.as_mut() else { return source.last };
        let before = open.value.len();
        write_message(&mut open.value, entry, size);
        open.messages += 1;
        let grown = open.value.len() - before;
        if !entry.traceparent.is_empty() {
            let (traceparent, topic) = (entry.traceparent.to_owned(), entry.topic.to_owned());
            open.samples.push(Sample { message_id: entry.id, traceparent, received_ms: entry.received_ms, topic });
        }
        let (key, finished) = (open.key, open.messages as usize >= self.bounds.max_messages);
        lane.shares.grow(source.product, grown);
        self.inflight += grown;
        let placed = self.count(key, source, grown);
        if finished {
            self.seal(at.0, at.1);
        }
        placed
    }

    fn count(&mut self, record: Key, source: Source, grown: usize) -> Placed {
        let Source { slot, product, last } = source;
        let Some(pending) = self.pending.get_mut(record) else { return last };
        pending.bytes += grown;
        if last.record == record {
            let part = &mut pending.parts[last.part as usize];
            part.messages += 1;
            part.bytes += grown as u32;
            return last;
        }
        pending.parts.push(Part { slot, messages: 1, product, bytes: grown as u32 });
        Placed { record, part: pending.parts.len() as u32 - 1 }
    }

    fn open(&mut self, (stream, partition): (u32, u32), now_us: u64) {
        let lane = &mut self.lanes[stream as usize][partition as usize];
        if lane.open.is_some() {
            return;
        }
        let bytes = self.header.len() + RECORD_OVERHEAD;
        let key = self.pending.insert(Pending { stream, partition, bytes, parts: Vec::new() });
        let mut value = Vec::with_capacity((lane.last_size + lane.last_size / 8).clamp(512, self.bounds.max_bytes));
        value.extend_from_slice(&self.header);
        let close_at_us = now_us + self.bounds.linger_us;
        lane.shares.grow_common(bytes);
        self.inflight += bytes;
        lane.open = Some(Open { key, value, messages: 0, samples: Vec::new(), close_at_us });
        self.lingering.push_back((close_at_us, stream, partition, key));
    }

    fn seal(&mut self, stream: u32, partition: u32) {
        let lane = &mut self.lanes[stream as usize][partition as usize];
        let Some(open) = lane.open.take() else { return };
        lane.last_size = open.value.len();
        self.deadlines.push_back((open.close_at_us + self.bounds.timeout_us, open.key));
        let (key, value, messages, samples) = (open.key, open.value, open.messages, open.samples);
        self.sealed.push(Sealed { key, stream, partition, value, messages, samples });
    }

    pub fn seal_all(&mut self) {
        for stream in 0..self.lanes.len() {
            for partition in 0..self.lanes[stream].len() {
                self.seal(stream as u32, partition as u32);
            }
        }
    }

    /// Seals the open records that hold messages of this session.
    pub fn seal_session(&mut self, device_slot: u16, slot: u32) {
        for stream in 0..self.lanes.len() as u32 {
            let partition = crate::ids::partition(device_slot, self.partitions(stream));
            let open = self.lanes[stream as usize][partition as usize].open.as_ref();
            let parts = open.and_then(|open| self.pending.get(open.key)).map(|pending| &pending.parts);
            if parts.is_some_and(|parts| parts.iter().any(|part| part.slot == slot)) {
                self.seal(stream, partition);
            }
        }
    }

    /// Seals what has lingered long enough.
    pub fn seal_due(&mut self, now_us: u64) {
        while let Some(&(at, stream, partition, key)) = self.lingering.front() {
            let open = self.lanes.get(stream as usize).and_then(|lanes| lanes.get(partition as usize)?.open.as_ref());
            let current = open.is_some_and(|open| open.key == key);
            if current && at > now_us {
                return;
            }
            self.lingering.pop_front();
            if current {
                self.seal(stream, partition);
            }
        }
    }

    /// Sealed records not committed in time.
    pub fn overdue(&mut self, now_us: u64) -> Vec<Key> {
        let mut overdue = Vec::new();
        while let Some(&(at, key)) = self.deadlines.front() {
            let alive = self.pending.get(key).is_some();
            if alive && at > now_us {
                break;
            }
            self.deadlines.pop_front();
            if alive {
                overdue.push(key);
            }
        }
        overdue
    }

    /// Time of the next linger or deadline.
    pub fn next_us(&self) -> Option<u64> {
        let linger = self.lingering.front().map(|entry| entry.0);
        let deadline = self.deadlines.front().map(|entry| entry.0);
        linger.into_iter().chain(deadline).min()
    }

    pub fn take_sealed(&mut self) -> Vec<Sealed> {
        std::mem::take(&mut self.sealed)
    }

    pub fn outstanding(&self, record: Key) -> bool {
        self.pending.get(record).is_some()
    }

    /// Ends a record, committed or failed; `None` when it is not outstanding (or not sealed yet).
    pub fn finish(&mut self, record: Key) -> Option<Done> {
        let pending = self.pending.get(record)?;
        let (stream, partition) = (pending.stream as usize, pending.partition as usize);
        let lane = self.lanes.get(stream).and_then(|lanes| lanes.get(partition));
        if lane.is_some_and(|lane| lane.open.as_ref().is_some_and(|open| open.key == record)) {
            return None;
        }
        let pending = self.pending.remove(record)?;
        self.inflight -= pending.bytes;
        let bound = self.bound();
        let lane = self.lanes.get_mut(stream).and_then(|lanes| lanes.get_mut(partition));
        let resume = lane.map_or_else(Vec::new, |lane| {
            let products = pending.parts.iter().map(|part| (part.product, part.bytes as usize));
            lane.shares.shrink(pending.bytes, products);
            lane.shares.release(bound)
        });
        Some(Done { parts: pending.parts, resume })
    }

    pub fn len(&self) -> usize {
        self.pending.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn inflight_bytes(&self) -> usize {
        self.inflight
    }

    /// What a product holds of a partition.
    pub fn share(&self, stream: u32, partition: u32, product: u32) -> usize {
        self.lanes[stream as usize][partition as usize].shares.of(product)
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_size(value: u64) -> usize {
    (63 - (value | 1).leading_zeros() as usize) / 7 + 1
}

fn bytes_size(length: usize) -> usize {
    if length == 0 { 0 } else { 1 + varint_size(length as u64) + length }
}

fn number_size(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint_size(value) }
}

fn message_size(entry: &Entry<'_>) -> usize {
    number_size(entry.id as u64)
        + bytes_size(entry.product_key.len())
        + bytes_size(entry.device_name.len())
        + bytes_size(entry.topic.len())
        + bytes_size(entry.payload.len())
        + number_size(entry.epoch as u64)
        + number_size(entry.sequence)
        + number_size(entry.received_ms as u64)
        + number_size(entry.handle)
        + number_size(u64::from(entry.qos))
        + bytes_size(entry.traceparent.len())
}

fn write_message(out: &mut Vec<u8>, entry: &Entry<'_>, size: usize) {
    out.push(3 << 3 | 2);
    varint(out, size as u64);
    number(out, 1, entry.id as u64);
    bytes(out, 2, entry.product_key.as_bytes());
    bytes(out, 3, entry.device_name.as_bytes());
    bytes(out, 4, entry.topic.as_bytes());
    bytes(out, 5, entry.payload);
    number(out, 6, entry.epoch as u64);
    number(out, 7, entry.sequence);
    number(out, 8, entry.received_ms as u64);
    number(out, 9, entry.handle);
    number(out, 11, u64::from(entry.qos));
    bytes(out, 12, entry.traceparent.as_bytes());
}

/// Default values are not written (proto3).
fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        varint(out, value);
    }
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    if !value.is_empty() {
        out.push(field << 3 | 2);
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}
