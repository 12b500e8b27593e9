//! Message ids, slots and trace ids.
//!
//! A message id is positive, 63 bits, and rises within one worker:
//!
//! ```text
//!   | 41 bits: ms since 2020-01-01 UTC | 10 bits: worker | 12 bits: counter |
//! ```
//!
//! Time and counter are kept as one number, so that more than 4,096 ids in a millisecond borrow the next one, and a
//! clock that goes back only means that ids run ahead of it for a while.

/// 2020-01-01 UTC in epoch milliseconds.
pub const EPOCH_MS: i64 = 1_577_836_800_000;
pub const SLOTS: u32 = 16_384;
const COUNTER_BITS: u32 = 12;
const WORKER_BITS: u32 = 10;

pub struct MessageIds {
    worker: u64,
    tick: u64,
}

impl MessageIds {
    /// `worker` is 0..1023, unique among live gateways.
    pub fn new(worker: u16) -> MessageIds {
        MessageIds { worker: u64::from(worker) & ((1 << WORKER_BITS) - 1), tick: 0 }
    }

    pub fn make(&mut self, now_ms: i64) -> i64 {
        let now = (now_ms - EPOCH_MS).max(0) as u64;
        self.tick = (self.tick + 1).max(now << COUNTER_BITS);
        let (time, counter) = (self.tick >> COUNTER_BITS, self.tick & ((1 << COUNTER_BITS) - 1));
        let id = (time & ((1 << 41) - 1)) << (WORKER_BITS + COUNTER_BITS) | self.worker << COUNTER_BITS | counter;
        id as i64
    }
}

const fn crc_table() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

static CRC_TABLE: [u16; 256] = crc_table();

/// CRC16/XMODEM over the parts: the function of Redis Cluster's key slots.
pub fn crc16(parts: &[&[u8]]) -> u16 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0, |crc: u16, byte| crc << 8 ^ CRC_TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

pub fn slot(product_key: &str, device_name: &str) -> u16 {
    (u32::from(crc16(&[product_key.as_bytes(), b"/", device_name.as_bytes()])) % SLOTS) as u16
}

/// Partition of a slot (slot map version 1: equal runs of slots).
pub fn partition(slot: u16, partitions: u32) -> u32 {
    (u64::from(slot) * u64::from(partitions) / u64::from(SLOTS)) as u32
}

/// W3C trace parents with the sampled flag. Unique, not secret: a counter mixed by splitmix64 from a random start.
pub struct TraceIds {
    state: u64,
}

impl TraceIds {
    pub fn new(seed: u64) -> TraceIds {
        TraceIds { state: seed }
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31).max(1)
    }

    pub fn make(&mut self) -> String {
        format!("00-{:016x}{:016x}-{:016x}-01", self.random(), self.random(), self.random())
    }
}
