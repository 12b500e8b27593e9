//! What a session that outlives its connection brings along and changes, and the answers that wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use thinghub_gateway_core::answers::{Answers, MAX_WAITING};
use thinghub_gateway_core::codec::NOT_GRANTED;
use thinghub_gateway_core::quota::Limits;
use thinghub_gateway_core::session::{Change, Policy, Session};
use thinghub_gateway_core::slots::Key;
use thinghub_gateway_core::topics::{Classes, Rule, Table};

fn rule(pattern: &str, auto: bool) -> Rule {
    let (pattern, category) = (pattern.into(), "c".into());
    Rule { pattern, up: false, down: true, stream: -1, category, auto, classes: false, ext: 0 }
}

fn table() -> Table {
    Table::new(vec![rule("/auto/{dn}/+", true), rule("/{pk}/{dn}/#", false)]).expect("rules")
}

fn session(subscriptions: u32) -> Session {
    let limits = Limits { enforce: true, subscriptions, ..Limits::default() };
    let policy =
        Policy { product_key: "pk".into(), product: 0, version: 1, classes: Classes::new(&[]).expect("none"), limits };
    Session::new(Key { slot: 0, generation: 1 }, Arc::new(policy), "dn", 1, 0)
}

fn texts(filters: &[&str]) -> Vec<String> {
    filters.iter().map(|filter| filter.to_string()).collect()
}

#[test]
fn a_clean_session_notes_nothing() {
    let mut session = session(0);
    session.subscribe(&table(), "/pk/dn/a", 1);
    session.unsubscribe(&table(), "/auto/dn/x");
    assert_eq!(session.take_change(), None);
}

#[test]
fn what_was_kept_is_back_and_is_no_change() {
    let mut session = session(0);
    session.restore(&table(), &texts(&["/pk/dn/a"]), &texts(&["/auto/dn/+"]));
    assert!(session.receives(&table(), "/pk/dn/a") && !session.receives(&table(), "/auto/dn/x"));
    assert_eq!(session.take_change(), None);
}

#[test]
fn what_may_not_be_had_any_more_is_a_change() {
    let mut session = session(2);
    let kept = texts(&["/pk/other/a", "/pk/dn/a", "/pk/dn/b", "/pk/dn/c"]);
    let grants = session.restore(&table(), &kept, &texts(&["/pk/dn/a", "/auto/dn/x"]));
    assert_eq!(grants.iter().map(|grant| grant.code()).collect::<Vec<_>>(), [NOT_GRANTED, 1, 1, NOT_GRANTED]);
    let change = session.take_change().expect("a change");
    assert_eq!(change.removed, ["/pk/other/a", "/pk/dn/c"]);
    assert_eq!((change.resumed, change.added, change.stopped), (texts(&["/pk/dn/a"]), vec![], vec![]));
    assert!(session.receives(&table(), "/auto/dn/y") && !session.receives(&table(), "/auto/dn/x"));
}

#[test]
fn each_packet_has_its_change_and_a_repeat_has_none() {
    let mut session = session(0);
    session.restore(&table(), &[], &[]);
    session.unsubscribe(&table(), "/auto/dn/x");
    assert_eq!(session.take_change(), Some(Change { stopped: texts(&["/auto/dn/x"]), ..Change::default() }));
    session.unsubscribe(&table(), "/auto/dn/x");
    assert_eq!(session.take_change(), None);
    session.subscribe(&table(), "/auto/dn/x", 0);
    let again = Change { added: texts(&["/auto/dn/x"]), resumed: texts(&["/auto/dn/x"]), ..Change::default() };
    assert_eq!(session.take_change(), Some(again));
}

#[test]
fn answers_leave_in_order_and_wait_only_for_what_is_before_them() {
    let mut answers = Answers::default();
    answers.push(Some(1), vec![1], 10);
    answers.push(None, vec![2], 0);
    answers.push(Some(3), vec![3], 30);
    answers.confirm(3);
    assert_eq!((answers.release(), answers.deadline()), (None, Some(10)));
    assert_eq!(answers.tokens().collect::<Vec<_>>(), [1]);
    answers.confirm(1);
    let left: Vec<_> = std::iter::from_fn(|| answers.release()).collect();
    assert_eq!((left, answers.deadline()), (vec![vec![1], vec![2], vec![3]], None));
    assert!(answers.is_empty());
}

#[test]
fn only_so_many_answers_wait() {
    let mut answers = Answers::default();
    (0..MAX_WAITING as u64).for_each(|token| answers.push(Some(token), vec![], 0));
    assert!(answers.full());
    answers.confirm(0);
    assert!(answers.release().is_some() && !answers.full());
}

const FILTERS: [&str; 6] = ["/pk/dn/a", "/pk/dn/+", "/pk/other/a", "/auto/dn/x", "/auto/dn/+", "/pk/dn/#"];
const TOPICS: [&str; 5] = ["/pk/dn/a", "/pk/dn/b", "/pk/dn/b/c", "/auto/dn/x", "/auto/dn/y"];

proptest! {
    /// Whoever applies the changes in order to what is kept can make the same session again.
    #[test]
    fn changes_applied_in_order_are_the_session(limit in 0u32..4, steps in vec((any::<bool>(), 0usize..6), 0..40)) {
        let (table, mut live) = (table(), session(limit));
        let (mut subscriptions, mut stopped) = (BTreeSet::new(), BTreeSet::new());
        live.restore(&table, &[], &[]);
        for (subscribe, filter) in steps {
            if subscribe {
                live.subscribe(&table, FILTERS[filter], 1);
            } else {
                live.unsubscribe(&table, FILTERS[filter]);
            }
            let Some(change) = live.take_change() else { continue };
            subscriptions.extend(change.added);
            subscriptions.retain(|filter| !change.removed.contains(filter));
            stopped.extend(change.stopped);
            stopped.retain(|filter| !change.resumed.contains(filter));
        }
        let mut again = session(limit);
        again.restore(&table, &Vec::from_iter(subscriptions), &Vec::from_iter(stopped));
        prop_assert_eq!(again.take_change(), None);
        for topic in TOPICS {
            prop_assert_eq!(again.receives(&table, topic), live.receives(&table, topic), "{}", topic);
        }
    }
}
