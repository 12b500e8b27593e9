//! What a session did, for whoever looks into one device's trouble: counted as it happens, put together when asked.

use crate::reactor::Reactor;
use crate::slots::Key;

/// Subscriptions that an answer names.
const MAX_NAMED: usize = 100;

/// Counts of one session, which go round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub messages_up: u32,
    pub messages_down: u32,
    pub refused_permission: u32,
    pub refused_quota: u32,
    pub quota_delays: u32,
}

/// One more.
pub fn count(figure: &mut u32) {
    *figure = figure.wrapping_add(1);
}

/// The answer about one handle; all but it is 0 where there is no such session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    pub handle: u64,
    pub found: bool,
    pub figures: Figures,
    pub in_flight: usize,
    pub queued: usize,
    pub subscriptions: Vec<String>,
    pub keep_alive_s: u16,
    pub last_packet_ms_ago: u64,
    pub out_buffer: usize,
}

impl Reactor {
    pub(crate) fn inspect(&mut self, handle: u64) {
        let inspected = self.inspected(handle).unwrap_or(Inspected { handle, ..Inspected::default() });
        self.results.inspected.push(inspected);
    }

    fn inspected(&self, handle: u64) -> Option<Inspected> {
        let key = Key::from_number(handle);
        let session = self.sessions.get(key).filter(|session| !session.closed)?;
        let conn = self.conns.get(session.connection)?;
        let window = conn.window.as_ref();
        Some(Inspected {
            handle,
            found: true,
            figures: session.figures,
            in_flight: window.map_or(0, |window| window.in_flight(key)),
            queued: window.map_or(0, |window| window.queued(key)),
            subscriptions: session.subscriptions().iter().take(MAX_NAMED).map(|filter| filter.to_string()).collect(),
            keep_alive_s: conn.keep_alive_s,
            last_packet_ms_ago: self.now_us.saturating_sub(conn.since_us) / 1_000,
            out_buffer: conn.out.len(),
        })
    }
}
