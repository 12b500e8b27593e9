//! Rates as token buckets, each in one number (the "generic cell rate algorithm").
//!
//! A bucket holds the time at which it would be full again. Taking a token moves that time on by the token's share of a
//! second; there are tokens as long as it is at most one second (the burst) ahead of now. No clock: microseconds of any
//! monotonic clock are an argument. A rate of 0 means no limit.

const SECOND_US: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    full_at_us: u64,
}

impl Bucket {
    /// Takes one of `per_second` tokens, or says after how many microseconds there will be one.
    pub fn take(&mut self, per_second: u32, now_us: u64) -> Result<(), u64> {
        if per_second == 0 {
            return Ok(());
        }
        let share = SECOND_US / u64::from(per_second);
        let next = self.full_at_us.max(now_us) + share;
        if next > now_us + SECOND_US.max(share) {
            return Err(next - now_us - SECOND_US.max(share));
        }
        self.full_at_us = next;
        Ok(())
    }

    /// Whether the bucket is out of debt; else after how many microseconds it will be.
    pub fn solvent(&self, now_us: u64) -> Result<(), u64> {
        match self.full_at_us.saturating_sub(now_us + SECOND_US) {
            0 => Ok(()),
            wait => Err(wait),
        }
    }

    /// Takes `amount` of `per_second` at once, going into debt if it must.
    pub fn charge(&mut self, amount: usize, per_second: u32, now_us: u64) {
        if per_second > 0 {
            self.full_at_us = self.full_at_us.max(now_us) + amount as u64 * SECOND_US / u64::from(per_second);
        }
    }
}

/// What a product allows each of its devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// False: count what would be refused, refuse nothing.
    pub enforce: bool,
    pub up_qos0: u32,
    pub up_qos1: u32,
    pub down: u32,
    pub bytes: u32,
    pub subscriptions: u32,
    pub drop_qos1: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Buckets {
    pub up_qos0: Bucket,
    pub up_qos1: Bucket,
    pub down: Bucket,
    pub bytes: Bucket,
}

/// What to do with an uplink message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// Over quota, and the product only observes.
    Observed,
    Drop,
    /// Not before this many microseconds.
    Delay(u64),
}

impl Buckets {
    pub fn uplink(&mut self, limits: &Limits, qos: u8, bytes: usize, now_us: u64) -> Verdict {
        let solvent = self.bytes.solvent(now_us);
        if let (Err(wait), true) = (solvent, limits.enforce && limits.bytes > 0) {
            return Verdict::Delay(wait);
        }
        let rate = if qos == 0 {
            self.up_qos0.take(limits.up_qos0, now_us)
        } else {
            self.up_qos1.take(limits.up_qos1, now_us)
        };
        match rate {
            Err(wait) if limits.enforce && qos > 0 && !limits.drop_qos1 => return Verdict::Delay(wait),
            Err(_) if limits.enforce => return Verdict::Drop,
            _ => {}
        }
        if solvent.is_ok() {
            self.bytes.charge(bytes, limits.bytes, now_us);
        }
        if rate.is_err() || solvent.is_err() { Verdict::Observed } else { Verdict::Pass }
    }
}
