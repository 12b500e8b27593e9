//! Sessions that outlive their connection, as far as the core knows them: what they bring along, and changes of their
//! subscriptions that Python stores before the device hears of them.

use crate::answers::Answers;
use crate::conn::pause;
use crate::counters::Count;
use crate::reactor::Reactor;
use crate::session::{Change, Grant};
use crate::shared::Subscription;
use crate::slots::Key;

impl Reactor {
    /// Gives a new session what it had before. What it may not have any more is a change like any other, but that no
    /// packet waits for.
    pub(crate) fn restore(&mut self, key: Key, session_key: Key, subscriptions: &[String], stopped: &[String]) {
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        let grants = session.restore(&self.table, subscriptions, stopped);
        let lost = session.take_change();
        grants.into_iter().for_each(|grant| self.count_grant(grant));
        if let Some(change) = lost {
            self.report_change(key, session_key, change, Vec::new());
        }
    }

    pub(crate) fn count_grant(&mut self, grant: Grant) {
        match grant {
            Grant::Granted(_) => {}
            Grant::Observed(_) => self.shared.counters.bump(Count::SubscribeObserved),
            Grant::NotPermitted => self.shared.counters.bump(Count::RefusedSubscribePermission),
            Grant::OverLimit => self.shared.counters.bump(Count::RefusedSubscribeLimit),
        }
    }

    /// Whether another SUBSCRIBE or UNSUBSCRIBE must wait; the connection is not read then.
    pub(crate) fn hold_subscriptions(&mut self, key: Key) -> bool {
        let Some(conn) = self.conns.get_mut(key) else { return false };
        let full = conn.answers.as_ref().is_some_and(|answers| answers.full());
        if full {
            conn.paused |= pause::STORE;
        }
        full
    }

    /// Answers a SUBSCRIBE or UNSUBSCRIBE: at once, or behind the change it made and those before it.
    pub(crate) fn answer_packet(&mut self, key: Key, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let own = conn.session.and_then(|own| Some((own, self.sessions.get_mut(own)?.take_change()?)));
        if own.is_none() && conn.answers.is_none() {
            write(&mut conn.out);
            return self.mark_dirty(key);
        }
        let mut packet = Vec::new();
        write(&mut packet);
        match own {
            Some((session_key, change)) => self.report_change(key, session_key, change, packet),
            None => conn.answers.get_or_insert_default().push(None, packet, 0),
        }
    }

    fn report_change(&mut self, key: Key, session_key: Key, change: Change, packet: Vec<u8>) {
        let deadline_us = self.now_us + self.options.accept_timeout_us;
        let Some(conn) = self.conns.get_mut(key) else { return };
        self.last_change += 1;
        let token = self.last_change;
        conn.answers.get_or_insert_with(Box::<Answers>::default).push(Some(token), packet, deadline_us);
        self.changes.insert(token, key);
        self.results.subscriptions.push(Subscription { token, handle: session_key.number(), change });
        self.schedule(key);
    }

    pub(crate) fn confirm_change(&mut self, token: u64) {
        let Some(key) = self.changes.remove(&token) else { return };
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Some(answers) = conn.answers.as_mut() else { return };
        answers.confirm(token);
        while let Some(packet) = answers.release() {
            conn.out.extend_from_slice(&packet);
        }
        let room = !answers.full();
        if answers.is_empty() {
            conn.answers = None;
        }
        self.mark_dirty(key);
        if room {
            self.resume(key, pause::STORE);
        }
    }

    pub(crate) fn fail_change(&mut self, token: u64) {
        if let Some(key) = self.changes.remove(&token) {
            self.close(key, "store");
        }
    }
}
