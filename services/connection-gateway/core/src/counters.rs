//! What happened, by name. Hot counters are numbers in an array with one writer (the reactor); rare ones carry a reason.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Reasons may come from outside: beyond this many names they are counted as `other`.
const MAX_LABELLED: usize = 256;

macro_rules! counters {
    ($($variant:ident = $name:literal),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count { $($variant),* }
        const NAMES: &[&str] = &[$($name),*];
    };
}

counters! {
    ConnectionsAccepted = "connections_accepted",
    AcceptRefusedFiles = "accept_refused:files",
    AcceptRefusedConnections = "accept_refused:max_connections",
    AcceptErrors = "accept_errors",
    BytesIn = "bytes_in",
    BytesOut = "bytes_out",
    ConnectRequests = "connect_requests",
    SessionsAccepted = "sessions_accepted",
    SubSessionsAttached = "sub_sessions_attached",
    TlsHandshakes = "tls_handshakes",
    TlsResumed = "tls_resumed",
    UplinkQos0 = "messages_in:qos0",
    UplinkQos1 = "messages_in:qos1",
    RefusedPermission = "refused_publish:permission",
    RefusedQuota = "refused_publish:quota",
    RefusedOwner = "refused_publish:owner_absent",
    RefusedTooLarge = "refused_publish:too_large",
    RefusedLocal = "refused_publish:local_queue",
    QuotaDelayed = "quota_delayed",
    QuotaObserved = "quota_observed",
    Backpressure = "backpressure_pauses",
    Pubacks = "pubacks",
    LocalMessages = "local_messages",
    ForeignPublishes = "foreign_publishes",
    Records = "records",
    RecordMessages = "record_messages",
    RecordBytes = "record_bytes",
    RecordsCommitted = "records_committed",
    RecordsFailed = "records_failed",
    RecordsTimedOut = "records_timed_out",
    LateAnswers = "late_answers",
    Subscribes = "subscribes",
    RefusedSubscribePermission = "refused_subscribe:permission",
    RefusedSubscribeLimit = "refused_subscribe:limit",
    RefusedSubscribeFilters = "refused_subscribe:filters",
    SubscribeObserved = "subscribe_limit_observed",
    Unsubscribes = "unsubscribes",
    DownSent = "downlink:sent",
    DownDelivered = "downlink:delivered",
    DownNoSubscriber = "downlink:no_subscriber",
    DownOffline = "downlink:offline",
    DownTimeout = "downlink:timeout",
    DownFailed = "downlink:failed",
    DownQuota = "downlink_quota",
    UnknownPuback = "unknown_pubacks",
    PoisonedCommands = "poisoned_commands",
    PoisonedConnections = "poisoned_connections",
    PoisonedTurns = "poisoned_turns",
    Turns = "turns",
    Naps = "naps",
}

pub struct Counters {
    hot: [AtomicU64; NAMES.len()],
    labelled: Mutex<BTreeMap<String, u64>>,
}

impl Default for Counters {
    fn default() -> Self {
        Counters { hot: std::array::from_fn(|_| AtomicU64::new(0)), labelled: Mutex::default() }
    }
}

impl Counters {
    /// Only the reactor calls this, so a load and a store suffice.
    pub fn add(&self, count: Count, amount: u64) {
        let cell = &self.hot[count as usize];
        cell.store(cell.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
    }

    pub fn bump(&self, count: Count) {
        self.add(count, 1);
    }

    /// Counts `family:reason`.
    pub fn reason(&self, family: &str, reason: &str) {
        self.reasons(family, reason, 1);
    }

    pub fn reasons(&self, family: &str, reason: &str, amount: u64) {
        let mut labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{family}:{reason}");
        let full = labelled.len() >= MAX_LABELLED && !labelled.contains_key(&name);
        *labelled.entry(if full { format!("{family}:other") } else { name }).or_default() += amount;
    }

    pub fn snapshot(&self) -> Vec<(String, u64)> {
        let hot = NAMES.iter().zip(&self.hot).map(|(name, cell)| (name.to_string(), cell.load(Ordering::Relaxed)));
        let labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        hot.chain(labelled.iter().map(|(name, count)| (name.clone(), *count))).collect()
    }
}
