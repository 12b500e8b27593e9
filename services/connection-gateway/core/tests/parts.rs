//! The small parts: ids, slots, slabs, the wheel, token buckets, the order of PUBACKs, the downlink window.

use proptest::collection::vec;
use proptest::prelude::*;
use thinghub_gateway_core::acks::Acks;
use thinghub_gateway_core::downlink::{MAX_QUEUED, Message, Offer, Room, Window};
use thinghub_gateway_core::ids::{EPOCH_MS, MessageIds, TraceIds, crc16, partition, slot};
use thinghub_gateway_core::quota::{Bucket, Buckets, Limits, Verdict};
use thinghub_gateway_core::roster::{MAX_SUB_SESSIONS, Roster};
use thinghub_gateway_core::slots::{Key, Keys, Slots};
use thinghub_gateway_core::subs::Subs;
use thinghub_gateway_core::timer::Wheel;

fn key(slot: u32) -> Key {
    Key { slot, generation: 1 }
}

#[test]
fn crc_and_partitions_are_redis_clusters() {
    assert_eq!(crc16(&[b"123456789"]), 0x31c3);
    assert_eq!(crc16(&[b"1234", b"56789"]), 0x31c3);
    assert_eq!(slot("foo", "bar"), crc16(&[b"foo/bar"]) % 16_384);
    assert_eq!((partition(0, 8), partition(2_047, 8), partition(2_048, 8), partition(16_383, 8)), (0, 0, 1, 7));
    assert_eq!(partition(16_383, 3), 2);
}

#[test]
fn ids_carry_time_worker_and_counter() {
    let mut ids = MessageIds::new(5);
    let first = ids.make(EPOCH_MS + 1);
    assert_eq!(first, 1 << 22 | 5 << 12);
    assert_eq!(ids.make(EPOCH_MS + 1), first + 1);
    assert_eq!(ids.make(EPOCH_MS + 2), 2 << 22 | 5 << 12);
}

#[test]
fn more_than_4096_ids_in_a_millisecond_borrow_the_next() {
    let mut ids = MessageIds::new(1023);
    let made: Vec<i64> = (0..10_000).map(|_| ids.make(EPOCH_MS + 7)).collect();
    assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(made.iter().all(|id| id >> 12 & 1023 == 1023));
}

#[test]
fn trace_parents_differ_and_are_well_formed() {
    let mut traces = TraceIds::new(1);
    let (first, second) = (traces.make(), traces.make());
    assert_ne!(first, second);
    assert!(first.starts_with("00-") && first.ends_with("-01") && first.len() == 55);
}

#[test]
fn a_bucket_gives_a_seconds_worth_then_one_at_a_time() {
    let mut bucket = Bucket::default();
    assert_eq!((0..20).filter(|_| bucket.take(10, 0).is_ok()).count(), 10);
    let wait = bucket.take(10, 0).expect_err("empty");
    assert!(bucket.take(10, wait - 1).is_err() && bucket.take(10, wait).is_ok());
    assert!(bucket.take(0, 0).is_ok(), "0 is no limit");
}

#[test]
fn a_rate_below_the_burst_still_gives_one() {
    let mut bucket = Bucket::default();
    assert!(bucket.take(1, 0).is_ok() && bucket.take(1, 0).is_err() && bucket.take(1, 1_000_000).is_ok());
}

#[test]
fn limits_say_drop_delay_or_observe() {
    let limits = Limits { enforce: true, up_qos0: 1, up_qos1: 1, ..Limits::default() };
    let second = |limits: &Limits, qos| {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.uplink(limits, qos, 1, 0), Verdict::Pass);
        buckets.uplink(limits, qos, 1, 0)
    };
    assert_eq!(second(&limits, 0), Verdict::Drop);
    assert_eq!(second(&limits, 1), Verdict::Delay(1_000_000));
    assert_eq!(second(&Limits { drop_qos1: true, ..limits.clone() }, 1), Verdict::Drop);
    assert_eq!(second(&Limits { enforce: false, ..limits }, 1), Verdict::Observed);
    let bytes = Limits { enforce: true, bytes: 10, ..Limits::default() };
    let mut buckets = Buckets::default();
    assert_eq!(buckets.uplink(&bytes, 1, 30, 0), Verdict::Pass);
    assert_eq!(buckets.uplink(&bytes, 1, 30, 0), Verdict::Delay(2_000_000));
    assert_eq!(buckets.uplink(&bytes, 1, 30, 2_000_000), Verdict::Pass);
}

#[test]
fn a_slot_is_not_its_former_tenant() {
    let mut slots = Slots::default();
    let first = slots.insert("a");
    assert_eq!(slots.remove(first), Some("a"));
    let second = slots.insert("b");
    assert_eq!((first.slot, slots.get(first), slots.get(second)), (second.slot, None, Some(&"b")));
    assert_eq!((slots.remove(first), slots.len()), (None, 1));
    assert_eq!(Key::from_number(second.number()), second);
}

#[test]
fn keys_name_what_another_table_keeps() {
    let (mut keys, mut slots) = (Keys::default(), Slots::default());
    let (first, second) = (keys.take(), keys.take());
    slots.put(second, 2);
    assert_eq!((slots.get(first), slots.get(second), slots.len()), (None, Some(&2), 1));
    assert_eq!(slots.take(second), Some(2));
    keys.give_back(second);
    let third = keys.take();
    assert!(third.slot == second.slot && third != second && third.number() > 0);
}

#[test]
fn pubacks_leave_in_order() {
    let mut acks = Acks::default();
    assert!(acks.immediate(1));
    acks.after(2, key(1));
    acks.after(3, key(2));
    assert!(!acks.immediate(4));
    let mut release = |outstanding: &[u32]| {
        let mut left = Vec::new();
        while let Some(packet_id) = acks.next(|record| outstanding.contains(&record.slot)) {
            left.push(packet_id);
        }
        left
    };
    assert_eq!(release(&[1]), Vec::<u16>::new());
    assert_eq!(release(&[2]), vec![2]);
    assert_eq!(release(&[]), vec![3, 4]);
}

const ROOM: Room = Room { in_flight: 1, queued: MAX_QUEUED, queued_bytes: 10_000 };

fn message(token: i64, deadline_us: u64) -> Message {
    message_of(1, token, deadline_us)
}

fn message_of(session: u32, token: i64, deadline_us: u64) -> Message {
    Message { session: key(session), token, topic: "t".into(), payload: vec![0; 10], dup: false, deadline_us }
}

#[test]
fn the_window_sends_queues_refuses_and_gives_everything_back() {
    let mut window = Window::default();
    let Offer::Send(first, _) = window.offer(message(1, 10), ROOM) else { panic!("not sent") };
    for token in 2..2 + MAX_QUEUED as i64 {
        assert!(matches!(window.offer(message(token, 20), ROOM), Offer::Queued));
    }
    assert!(matches!(window.offer(message(999, 20), ROOM), Offer::Full(_)));
    assert!(window.advance(1).is_none());
    assert_eq!((window.acknowledged(first + 1), window.acknowledged(first)), (None, Some(1)));
    let (second, sent) = window.advance(1).expect("room");
    assert!(second != first && sent.token == 2);
    assert_eq!(window.next_deadline(), Some(20));
    assert!(window.expired(19).is_empty());
    let mut left = window.expired(20);
    left.sort_unstable();
    assert_eq!(left, (2..2 + MAX_QUEUED as i64).collect::<Vec<_>>());
    assert!(window.is_empty() && window.abandon().is_empty());
}

#[test]
fn the_queue_is_bounded_in_bytes() {
    let room = Room { queued_bytes: 15, ..ROOM };
    let mut window = Window::default();
    assert!(matches!(window.offer(message(1, 1), room), Offer::Send(..)));
    assert!(matches!(window.offer(message(2, 1), room), Offer::Queued));
    assert!(matches!(window.offer(message(3, 1), room), Offer::Full(_)));
    assert_eq!(window.expired(1), vec![1, 2]);
    assert!(matches!(window.offer(message(4, 2), room), Offer::Send(..)));
    assert!(matches!(window.offer(message(5, 2), room), Offer::Queued));
}

#[test]
fn sessions_share_a_window_and_end_alone() {
    let room = Room { in_flight: 2, queued: MAX_QUEUED + 10, queued_bytes: 1_000_000 };
    let mut window = Window::default();
    let Offer::Send(first, _) = window.offer(message_of(1, 1, 10), room) else { panic!("not sent") };
    let Offer::Send(second, _) = window.offer(message_of(2, 2, 10), room) else { panic!("not sent") };
    assert_ne!(first, second);
    for token in 0..MAX_QUEUED as i64 {
        assert!(matches!(window.offer(message_of(1, 100 + token, 10), room), Offer::Queued));
    }
    assert!(matches!(window.offer(message_of(1, 999, 10), room), Offer::Full(_)), "its own share is used");
    for token in 0..10 {
        assert!(matches!(window.offer(message_of(2, 300 + token, 10), room), Offer::Queued));
    }
    assert!(matches!(window.offer(message_of(3, 999, 10), room), Offer::Full(_)), "the connection's is used");
    assert_eq!((window.in_flight(key(1)), window.queued(key(1)), window.queued(key(2))), (1, MAX_QUEUED, 10));
    let mut ended = window.end(key(1));
    ended.sort_unstable();
    assert_eq!(ended, [1].into_iter().chain(100..100 + MAX_QUEUED as i64).collect::<Vec<_>>());
    assert_eq!((window.acknowledged(first), window.queued(key(1))), (None, 0));
    let (third, sent) = window.advance(2).expect("room");
    assert!(sent.token == 300 && third != first && third != second);
    assert!(window.end(key(3)).is_empty());
    assert_eq!(window.abandon(), [2].into_iter().chain(300..310).collect::<Vec<_>>());
}

#[test]
fn the_roster_says_at_once_who_may_be_attached() {
    let mut roster = Roster::new(10_000);
    let gateway = roster.accept("pk", "gw");
    let other = roster.accept("pk", "other");
    assert_eq!(roster.attach(gateway, "pk", "gw"), None, "itself");
    let sub = roster.attach(gateway, "pk", "sub").expect("attached");
    assert_eq!(roster.attach(sub, "pk", "below"), None, "not a connection's own session");
    for number in 1..MAX_SUB_SESSIONS {
        assert!(roster.attach(gateway, "pk", &number.to_string()).is_some());
    }
    assert_eq!(roster.attach(gateway, "pk", "more"), None);
    assert!(roster.attach(other, "pk", "more").is_some());
    let again = roster.attach(gateway, "pk", "sub").expect("replaces");
    roster.detach(gateway, "pk", "sub");
    assert_eq!(roster.attach(gateway, "pk", "more"), None, "the newer one is there");
    roster.detach(gateway, "pk", "sub");
    assert!(roster.attach(gateway, "pk", "more").is_some());
    roster.end(again);
    roster.end(gateway);
    assert_eq!(roster.attach(gateway, "pk", "sub"), None);
    roster.detach(gateway, "pk", "more");
    roster.give_back(gateway);
    let newer = roster.accept("pk", "newer");
    assert_eq!((newer.slot, roster.attach(gateway, "pk", "sub")), (gateway.slot, None));
    assert!(roster.attach(newer, "pk", "gw").is_some());
    assert_eq!(roster.attach(Key { slot: 1 << 20, generation: 1 }, "pk", "sub"), None);
}

#[test]
fn sub_sessions_of_all_connections_are_bounded() {
    let mut roster = Roster::new(2);
    let (first, second) = (roster.accept("pk", "a"), roster.accept("pk", "b"));
    assert!(roster.attach(first, "pk", "1").is_some() && roster.attach(first, "pk", "1").is_some());
    assert_eq!(roster.attach(second, "pk", "2"), None);
    roster.detach(first, "pk", "1");
    assert!(roster.attach(second, "pk", "2").is_some());
    assert_eq!(roster.attach(second, "pk", "3"), None);
    roster.end(first);
    roster.detach(first, "pk", "1");
    assert!(roster.attach(second, "pk", "3").is_some());
    assert_eq!(roster.attach(second, "pk", "4"), None);
}

#[test]
fn the_first_pair_that_names_a_session_decides() {
    let mut subs = Subs::new("pk".into(), "gw", key(1));
    assert_eq!(subs.insert("pk".into(), "sub", key(2)), None);
    assert_eq!(subs.insert("other".into(), "sub", key(3)), None);
    let table = [
        ("/pk/gw/user/update", Some(1)),
        ("/pk/sub/user/update", Some(2)),
        ("/sys/pk/sub/thing/event/property/post", Some(2)),
        ("/ota/device/inform/other/sub", Some(3)),
        ("/ext/rrpc/17/pk/sub/user/get", Some(2)),
        ("/pk/gw/user/pk/sub", Some(1)),
        ("/sys/pk/sub/#", Some(2)),
        ("/sys/pk/+/#", None),
        ("/sys/pk", None),
        ("/sub/pk/user/update", None),
        ("", None),
        ("//", None),
    ];
    for (topic, session) in table {
        assert_eq!(subs.speaker(topic), session.map(key), "{topic}");
    }
    assert_eq!(subs.speaker(&format!("{}/pk/sub", "x".repeat(250))), None);
    assert_eq!(subs.insert("pk".into(), "sub", key(4)), Some(key(2)));
    subs.remove("pk", "sub", key(2));
    assert_eq!((subs.get("pk", "sub"), subs.len(), subs.sessions().count()), (Some(key(4)), 2, 3));
    subs.remove("pk", "sub", key(4));
    subs.remove("other", "sub", key(3));
    subs.remove("other", "sub", key(3));
    assert!(subs.is_empty() && subs.get("pk", "gw") == Some(key(1)));
}

proptest! {
    #[test]
    fn ids_rise_whatever_the_clock_does(clock in vec(0i64..50, 1..300)) {
        let mut ids = MessageIds::new(1);
        let made: Vec<i64> = clock.iter().map(|&ms| ids.make(EPOCH_MS + ms)).collect();
        prop_assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_wheel_calls_each_deadline_once_and_never_early(
        deadlines in vec(0u64..400_000_000, 1..100), steps in vec(1u64..60_000_000, 1..60),
    ) {
        let mut wheel = Wheel::default();
        let mut waiting: Vec<Option<(u64, u64)>> = Vec::new();
        for (index, &at) in deadlines.iter().enumerate() {
            waiting.push(Some((at, wheel.add(key(index as u32), at))));
        }
        let mut now = 0;
        for step in steps.into_iter().chain([500_000_000, 500_000_000, 500_000_000, 500_000_000]) {
            now += step;
            let mut due = Vec::new();
            wheel.due(now, &mut due);
            for (owner, tick) in due {
                let slot = owner.slot as usize;
                let (at, expected) = waiting[slot].expect("called once");
                prop_assert_eq!(tick, expected);
                // Beyond the ring the wheel calls early and is asked again, as the reactor does.
                waiting[slot] = if at <= now { None } else { Some((at, wheel.add(owner, at))) };
            }
            prop_assert!(waiting.iter().flatten().all(|&(at, _)| at + 16_384 > now), "no deadline is a tick late");
        }
        prop_assert!(waiting.iter().all(Option::is_none));
        prop_assert_eq!(wheel.next_us(), None);
    }

    #[test]
    fn a_bucket_never_gives_more_than_rate_and_burst(rate in 1u32..100, gaps in vec(0u64..200_000, 1..400)) {
        let mut bucket = Bucket::default();
        let (mut now, mut taken) = (0, 0u64);
        for gap in gaps {
            now += gap;
            taken += u64::from(bucket.take(rate, now).is_ok());
        }
        let rate = u64::from(rate);
        prop_assert!(taken <= rate + now * rate / 1_000_000 + now / 1_000_000 * rate / 1_000 + 2);
    }
}
