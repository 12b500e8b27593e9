//! Records: what opens, seals, counts and ends them; and their bytes.

use proptest::prelude::*;
use thinghub_gateway_core::record::{Bounds, Entry, NO_RECORD, Placed, Records, Source};
use thinghub_gateway_core::slots::Key;

const BOUNDS: Bounds =
    Bounds { max_messages: 3, max_bytes: 2_000, linger_us: 5_000, max_inflight: 3_000, timeout_us: 1_000_000 };
const NOWHERE: Placed = Placed { record: NO_RECORD, part: 0 };

/// A session that publishes for the first time.
fn by(slot: u32) -> Source {
    Source { slot, product: 0, last: NOWHERE }
}

fn entry(payload: &[u8]) -> Entry<'_> {
    Entry {
        id: 1 << 40,
        product_key: "pk",
        device_name: "dn",
        topic: "/t",
        payload,
        epoch: 5,
        sequence: 1,
        received_ms: 1_700_000_000_000,
        handle: 1 << 32,
        qos: 1,
        traceparent: "",
    }
}

fn records() -> Records {
    let mut records = Records::new("gw", BOUNDS);
    records.set_streams(&[2, 1]);
    records
}

#[test]
fn a_record_has_these_bytes() {
    let mut records = records();
    let minimal = Entry { topic: "t", payload: b"p", epoch: 0, handle: 0, qos: 0, received_ms: 0, id: 1, ..entry(b"") };
    records.add((0, 0), by(0), &minimal, 0);
    records.seal_all();
    let value = &records.take_sealed()[0].value;
    assert_eq!(value, b"\x08\x01\x12\x02gw\x1a\x12\x08\x01\x12\x02pk\x1a\x02dn\x22\x01t\x2a\x01p\x38\x01");
}

#[test]
fn a_record_seals_at_its_messages_bytes_or_age() {
    let mut records = records();
    for _ in 0..3 {
        records.add((0, 0), by(0), &entry(b""), 0);
    }
    assert_eq!(records.take_sealed().len(), 1);
    records.add((0, 0), by(0), &entry(&[0; 1_500]), 0);
    records.add((0, 0), by(0), &entry(&[0; 1_500]), 10);
    let sealed = records.take_sealed();
    assert_eq!((sealed.len(), sealed[0].messages), (1, 1));
    assert_eq!(records.next_us(), Some(5_000));
    records.seal_due(5_009);
    assert!(records.take_sealed().is_empty());
    records.seal_due(5_010);
    assert_eq!(records.take_sealed().len(), 1);
}

#[test]
fn sessions_of_a_record_are_counted_once_each() {
    let mut records = records();
    let first = records.add((0, 0), by(7), &entry(b""), 0);
    let other = records.add((0, 0), by(8), &entry(b""), 0);
    let again = records.add((0, 0), Source { last: first, ..by(7) }, &entry(b""), 0);
    assert_eq!((first.record, again.part), (other.record, first.part));
    let done = records.finish(first.record).expect("outstanding");
    assert_eq!(done.parts.iter().map(|part| (part.slot, part.messages)).collect::<Vec<_>>(), [(7, 2), (8, 1)]);
}

#[test]
fn an_open_or_unknown_record_cannot_be_finished() {
    let mut records = records();
    let placed = records.add((0, 0), by(0), &entry(b""), 0);
    assert!(records.finish(placed.record).is_none());
    records.seal_all();
    assert!(records.outstanding(placed.record));
    assert!(records.finish(placed.record).is_some());
    assert!(!records.outstanding(placed.record));
    for key in [placed.record, NO_RECORD, Key::from_number(0), Key::from_number(u64::MAX)] {
        assert!(records.finish(key).is_none());
    }
}

#[test]
fn a_full_partition_lets_its_waiters_go_when_it_has_room() {
    let mut records = records();
    let placed = records.add((0, 1), by(0), &entry(&[0; 2_900]), 0);
    assert!(records.full(0, 1, 0) && !records.full(0, 0, 0) && !records.full(1, 0, 0));
    let waiter = Key { slot: 3, generation: 1 };
    records.wait(0, 1, 0, waiter);
    records.seal_all();
    assert_eq!(records.finish(placed.record).expect("outstanding").resume, vec![waiter]);
    assert!(!records.full(0, 1, 0));
    assert_eq!(records.inflight_bytes(), 0);
}

#[test]
fn a_product_that_is_too_fast_leaves_room_for_others() {
    let mut records = records();
    let noisy = records.add((0, 0), by(0), &entry(&[0; 1_000]), 0);
    assert!(!records.full(0, 0, 0));
    let more = records.add((0, 0), Source { last: noisy, ..by(0) }, &entry(&[0; 1_200]), 0);
    assert!(records.full(0, 0, 0) && !records.full(0, 0, 1) && !records.full(0, 1, 0));
    let (loud, calm) = (Key { slot: 3, generation: 1 }, Key { slot: 4, generation: 1 });
    records.wait(0, 0, 0, loud);
    records.wait(0, 0, 1, calm);
    records.seal_all();
    let quiet = records.add((0, 0), Source { product: 1, ..by(1) }, &entry(&[0; 200]), 0);
    records.seal_all();
    assert!(records.share(0, 0, 1) > 200);
    assert_eq!(records.finish(quiet.record).expect("outstanding").resume, vec![calm]);
    assert_eq!(records.finish(more.record).expect("outstanding").resume, vec![loud]);
    assert!(records.finish(noisy.record).expect("outstanding").resume.is_empty());
    assert_eq!((records.share(0, 0, 0), records.share(0, 0, 1), records.inflight_bytes()), (0, 0, 0));
}

#[test]
fn partitions_leave_each_other_room_where_all_have_a_bound() {
    let mut records = Records::new("gw", Bounds { max_inflight: 1 << 20, max_bytes: 1 << 20, ..BOUNDS });
    records.set_streams(&[3]);
    records.set_room(800_000);
    let large = records.add((0, 0), by(0), &entry(&[0; 350_000]), 0);
    assert!(records.full(0, 0, 0) && !records.full(0, 1, 0));
    let other = records.add((0, 1), by(0), &entry(&[0; 400_000]), 0);
    assert!(records.full(0, 0, 0) && records.full(0, 1, 0) && !records.full(0, 2, 0));
    let waiter = Key { slot: 3, generation: 1 };
    records.wait(0, 1, 0, waiter);
    records.seal_all();
    assert_eq!(records.finish(other.record).expect("outstanding").resume, vec![waiter]);
    records.set_room(0);
    assert!(records.full(0, 0, 0) && !records.full(0, 1, 0), "one with nothing under way is never full");
    records.finish(large.record);
    assert!(!records.full(0, 0, 0));
}

#[test]
fn records_not_finished_in_time_are_overdue_once() {
    let mut records = records();
    let late = records.add((0, 0), by(0), &entry(b""), 0).record;
    let done = records.add((0, 1), by(0), &entry(b""), 0).record;
    records.seal_due(5_000);
    records.finish(done);
    assert!(records.overdue(1_004_999).is_empty());
    assert_eq!(records.overdue(1_005_000), vec![late]);
    assert!(records.overdue(9_000_000).is_empty());
}

#[test]
fn changing_partitions_seals_and_forgets_nothing() {
    let mut records = records();
    let placed = records.add((0, 1), by(0), &entry(b""), 0);
    records.set_streams(&[1]);
    assert_eq!((records.partitions(0), records.partitions(1)), (1, 0));
    assert_eq!(records.take_sealed().len(), 1);
    records.seal_due(u64::MAX / 2);
    assert!(records.finish(placed.record).is_some());
}

proptest! {
    /// Bytes in flight are those of what is outstanding, whatever the order of events.
    #[test]
    fn inflight_returns_to_nothing(steps in proptest::collection::vec((0u32..2, 0usize..3_000, any::<bool>()), 1..60)) {
        let mut records = records();
        let (mut now, mut open, mut messages) = (0, Vec::new(), 0);
        for (partition, size, finish) in steps {
            now += 1_000;
            let source = Source { product: size as u32 % 3, ..by(1) };
            open.push(records.add((0, partition), source, &entry(&vec![0; size]), now).record);
            messages += 1;
            records.seal_due(now);
            if finish {
                open.retain(|&record| records.finish(record).inspect(|done| messages -= done.parts.iter().map(|part| part.messages).sum::<u32>()).is_none());
            }
        }
        records.seal_all();
        for record in open {
            messages -= records.finish(record).map_or(0, |done| done.parts.iter().map(|part| part.messages).sum());
        }
        prop_assert_eq!((messages, records.inflight_bytes(), records.len()), (0, 0, 0));
        for (partition, product) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            prop_assert_eq!(records.share(0, partition, product), 0);
        }
    }
}
