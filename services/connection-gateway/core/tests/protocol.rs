//! The order of packets by a table, and that bytes cut anywhere give the same events.

use proptest::collection::vec;
use proptest::prelude::*;
use thinghub_gateway_core::codec::{Connect, Publish};
use thinghub_gateway_core::encode;
use thinghub_gateway_core::protocol::{Event, Fault, Protocol, Sizes};

const SIZES: Sizes = Sizes { max_packet: 100, max_stream: 200_000 };

fn connect() -> Vec<u8> {
    let mut out = Vec::new();
    let packet = Connect { level: 4, clean: true, keep_alive_s: 60, client_id: "c", username: "u", password: b"p" };
    encode::connect(&mut out, &packet);
    out
}

fn publish(qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::publish(&mut out, &Publish { dup: false, qos, retain: false, topic: "t/u", packet_id, payload });
    out
}

/// Feeds chunks as a connection does and prints what came of them; CONNECT is accepted at once.
fn run<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut protocol = Protocol::default();
    let (mut buffer, mut events) = (Vec::new(), Vec::new());
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        let mut used = 0;
        loop {
            match protocol.step(&buffer[used..], SIZES) {
                Ok(None) => break,
                Ok(Some((event, size))) => {
                    used += size;
                    if event != Event::Skipped {
                        events.push(format!("{event:?}"));
                    }
                    if matches!(event, Event::Connect(_)) {
                        protocol.accepted();
                    }
                }
                Err(fault) => {
                    events.push(format!("{fault:?}"));
                    return events;
                }
            }
        }
        buffer.drain(..used);
        assert!(buffer.len() <= 4 + 65_535 + SIZES.max_packet + 5, "what is kept is bounded");
    }
    events
}

fn whole(data: &[u8]) -> Vec<String> {
    run(std::iter::once(data))
}

#[test]
fn faults_have_their_place_in_the_order() {
    let mut out = Vec::new();
    encode::bare(&mut out, 12);
    let ping = out;
    let table: Vec<(Vec<u8>, Fault)> = vec![
        (ping.clone(), Fault::NotConnected),
        (publish(0, 0, b""), Fault::NotConnected),
        ([connect(), connect()].concat(), Fault::SecondConnect),
        ([connect(), b"\x34\x05\0\x01a\0\x01".to_vec()].concat(), Fault::Qos2),
        ([connect(), b"\x50\x02\0\x01".to_vec()].concat(), Fault::Qos2),
        ([connect(), b"\x62\x02\0\x01".to_vec()].concat(), Fault::Qos2),
        ([connect(), b"\x70\x02\0\x01".to_vec()].concat(), Fault::Qos2),
        ([connect(), b"\x20\x02\0\0".to_vec()].concat(), Fault::Direction),
        ([connect(), b"\xd0\0".to_vec()].concat(), Fault::Direction),
        ([connect(), b"\xb0\x02\0\x01".to_vec()].concat(), Fault::Direction),
        ([connect(), b"\x30\xc1\x9a\x0c".to_vec()].concat(), Fault::TooLarge),
        ([connect(), b"\x82\x81\x80\x01".to_vec()].concat(), Fault::TooLarge),
        (b"\x10\x81\x80\x01".to_vec(), Fault::TooLarge),
    ];
    for (data, fault) in table {
        assert_eq!(whole(&data).last(), Some(&format!("{fault:?}")), "{data:?}");
    }
}

#[test]
fn nothing_is_read_over_while_connect_is_unanswered() {
    let mut protocol = Protocol::default();
    let data = [connect(), publish(1, 1, b"x")].concat();
    let (event, used) = protocol.step(&data, SIZES).expect("no fault").expect("an event");
    assert!(matches!(event, Event::Connect(_)));
    assert_eq!(protocol.step(&data[used..], SIZES), Ok(None));
    assert_eq!(protocol.step(b"\xff\xff", SIZES), Ok(None));
    protocol.accepted();
    assert!(matches!(protocol.step(&data[used..], SIZES), Ok(Some((Event::Publish(_), _)))));
}

#[test]
fn oversize_publish_goes_by_and_the_next_one_is_seen() {
    let data =
        [connect(), publish(1, 7, &[b'x'; 5_000]), publish(0, 0, &[b'y'; 101]), publish(1, 8, &[b'z'; 100])].concat();
    let events = whole(&data);
    assert_eq!(&events[1..3], ["Oversize(1, 7)", "Oversize(0, 0)"]);
    assert!(events[3].starts_with("Publish(Publish {") && events.len() == 4);
}

fn packets() -> impl Strategy<Value = Vec<u8>> {
    let packet = prop_oneof![
        (0u8..2, 1u16.., vec(any::<u8>(), 0..300)).prop_map(|(qos, id, payload)| publish(qos, id, &payload)),
        Just(b"\xc0\0".to_vec()),
        (1u16..).prop_map(|id| {
            let mut out = Vec::new();
            encode::puback(&mut out, id);
            out
        }),
        (1u16.., "[a-z+/]{1,20}", 0u8..3).prop_map(|(id, filter, qos)| {
            let mut out = Vec::new();
            encode::subscribe(&mut out, id, &[(&filter, qos)]);
            out
        }),
        vec(any::<u8>(), 1..20),
    ];
    vec(packet, 0..12).prop_map(|packets| [connect(), packets.concat()].concat())
}

proptest! {
    #[test]
    fn bytes_cut_anywhere_give_the_same_events(data in packets(), sizes in vec(1usize..40, 1..60)) {
        let mut chunks = Vec::new();
        let mut rest = &data[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        prop_assert_eq!(run(chunks.into_iter()), whole(&data));
    }

    #[test]
    fn any_bytes_give_events_or_a_fault(data in vec(any::<u8>(), 0..600)) {
        whole(&data);
        whole(&[connect(), data].concat());
    }
}
