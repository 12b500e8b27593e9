//! The codec by a table of wire bytes, and by properties over all packets and all bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use thinghub_gateway_core::codec::{self, Connect, Malformed, Packet, Publish, decode, header};
use thinghub_gateway_core::encode;

fn one(data: &[u8]) -> Result<Packet<'_>, Malformed> {
    let header = header(data)?.expect("a whole header");
    assert_eq!(header.size + header.remaining, data.len(), "the table's packets are whole");
    decode(header, &data[header.size..])
}

/// Packet and its bytes, both ways.
#[test]
fn every_packet_has_these_bytes() {
    let publish = |qos, packet_id| Publish { dup: false, qos, retain: false, topic: "a/b", packet_id, payload: b"hi" };
    let connect = Connect { level: 4, clean: true, keep_alive_s: 60, client_id: "c", username: "u", password: b"p" };
    type Write = Box<dyn Fn(&mut Vec<u8>)>;
    let table: Vec<(&[u8], Packet<'_>, Write)> = vec![
        (
            b"\x10\x13\0\x04MQTT\x04\xc2\0\x3c\0\x01c\0\x01u\0\x01p",
            Packet::Connect(connect),
            Box::new(move |out| encode::connect(out, &connect)),
        ),
        (
            b"\x20\x02\x00\x05",
            Packet::ConnAck { session_present: false, code: 5 },
            Box::new(|out| encode::connack(out, false, 5)),
        ),
        (
            b"\x30\x07\0\x03a/bhi",
            Packet::Publish(publish(0, 0)),
            Box::new(move |out| encode::publish(out, &publish(0, 0))),
        ),
        (
            b"\x32\x09\0\x03a/b\x01\x02hi",
            Packet::Publish(publish(1, 258)),
            Box::new(move |out| encode::publish(out, &publish(1, 258))),
        ),
        (
            b"\x40\x02\x12\x34",
            Packet::Id { kind: codec::PUBACK, packet_id: 0x1234 },
            Box::new(|out| encode::puback(out, 0x1234)),
        ),
        (
            b"\x90\x04\0\x07\x01\x80",
            Packet::SubAck { packet_id: 7, codes: b"\x01\x80" },
            Box::new(|out| encode::suback(out, 7, &[1, 0x80])),
        ),
        (
            b"\xb0\x02\0\x07",
            Packet::Id { kind: codec::UNSUBACK, packet_id: 7 },
            Box::new(|out| encode::unsuback(out, 7)),
        ),
        (b"\xc0\0", Packet::Bare { kind: codec::PINGREQ }, Box::new(|out| encode::bare(out, codec::PINGREQ))),
        (b"\xd0\0", Packet::Bare { kind: codec::PINGRESP }, Box::new(encode::pingresp)),
        (b"\xe0\0", Packet::Bare { kind: codec::DISCONNECT }, Box::new(|out| encode::bare(out, codec::DISCONNECT))),
    ];
    for (bytes, packet, write) in table {
        assert_eq!(one(bytes), Ok(packet));
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(out, bytes, "{packet:?}");
    }
}

#[test]
fn lengths_take_one_to_four_bytes() {
    for (remaining, bytes) in [
        (0, &b"\x30\x00"[..]),
        (127, b"\x30\x7f"),
        (128, b"\x30\x80\x01"),
        (16_383, b"\x30\xff\x7f"),
        (16_384, b"\x30\x80\x80\x01"),
        (2_097_151, b"\x30\xff\xff\x7f"),
        (268_435_455, b"\x30\xff\xff\xff\x7f"),
    ] {
        let header = header(bytes).expect("a header").expect("whole");
        assert_eq!((header.remaining, header.size), (remaining, bytes.len()));
        for cut in 0..bytes.len() {
            assert_eq!(codec::header(&bytes[..cut]), Ok(None));
        }
    }
    assert_eq!(header(b"\x30\x80\x80\x80\x80"), Err(Malformed::Length));
    assert_eq!(header(b"\x30\xff\xff\xff\xff\x7f"), Err(Malformed::Length));
}

#[test]
fn what_is_no_packet_has_its_reason() {
    let table: &[(&[u8], Malformed)] = &[
        (b"\x00\x00", Malformed::Type),
        (b"\xf0\x00", Malformed::Type),
        (b"\x80\x02\0\x01", Malformed::Flags),
        (b"\xa0\x02\0\x01", Malformed::Flags),
        (b"\x60\x02\0\x01", Malformed::Flags),
        (b"\xc1\x00", Malformed::Flags),
        (b"\x20\x02\x02\x00", Malformed::Flags),
        (b"\x36\x05\0\x01a\0\x01", Malformed::Qos),
        (b"\x82\x06\0\x01\0\x01a\x03", Malformed::Qos),
        (b"\x32\x05\0\x01a\0\x00", Malformed::PacketId),
        (b"\x40\x02\0\0", Malformed::PacketId),
        (b"\x30\x03\0\x02a", Malformed::Body),
        (b"\x30\x00", Malformed::Body),
        (b"\x40\x01\0", Malformed::Body),
        (b"\x40\x03\0\x01\0", Malformed::Body),
        (b"\xc0\x01\0", Malformed::Body),
        (b"\x82\x02\0\x01", Malformed::Body),
        (b"\x82\x05\0\x01\0\x01a", Malformed::Body),
        (b"\x90\x03\0\x01\x03", Malformed::Body),
        (b"\x30\x03\0\x01+", Malformed::Topic),
        (b"\x30\x03\0\x01#", Malformed::Topic),
        (b"\x30\x02\0\0", Malformed::Topic),
        (b"\x82\x05\0\x01\0\0\0", Malformed::Topic),
        (b"\x30\x03\0\x01\xff", Malformed::Utf8),
        (b"\x30\x03\0\x01\0", Malformed::Utf8),
        (b"\x10\x07\0\x03abc\x04\x02", Malformed::Protocol),
    ];
    for (bytes, expected) in table {
        let result = match header(bytes) {
            Ok(Some(header)) => decode(header, &bytes[header.size..]),
            Ok(None) => panic!("{bytes:?} has a header"),
            Err(malformed) => Err(malformed),
        };
        assert_eq!(result, Err(*expected), "{bytes:?}");
    }
}

#[test]
fn subscriptions_come_back_as_they_went() {
    let mut out = Vec::new();
    encode::subscribe(&mut out, 9, &[("a/+", 1), ("b/#", 0)]);
    let Ok(Packet::Subscribe { packet_id, filters }) = one(&out) else { panic!("not a SUBSCRIBE") };
    assert_eq!((packet_id, filters.collect::<Vec<_>>()), (9, vec![("a/+", 1), ("b/#", 0)]));
    out.clear();
    encode::unsubscribe(&mut out, 9, &["a/+"]);
    let Ok(Packet::Unsubscribe { filters, .. }) = one(&out) else { panic!("not an UNSUBSCRIBE") };
    assert_eq!(filters.collect::<Vec<_>>(), vec![("a/+", 0)]);
}

#[test]
fn debug_of_connect_hides_the_password() {
    let connect =
        Connect { level: 4, clean: true, keep_alive_s: 60, client_id: "c", username: "u", password: b"hunter2" };
    let printed = format!("{connect:?}");
    assert!(!printed.contains("hunter2") && !printed.contains("104"), "{printed}");
}

proptest! {
    #[test]
    fn publish_round_trips(
        topic in "[a-z/]{1,60}", payload in vec(any::<u8>(), 0..2_000), qos in 0u8..2, dup: bool, retain: bool, id in 1u16..,
    ) {
        let packet_id = if qos == 0 { 0 } else { id };
        let packet = Publish { dup, qos, retain, topic: &topic, packet_id, payload: &payload };
        let mut out = Vec::new();
        encode::publish(&mut out, &packet);
        prop_assert_eq!(one(&out), Ok(Packet::Publish(packet)));
    }

    #[test]
    fn connect_round_trips(
        client_id in "\\PC{0,40}", username in "\\PC{0,40}", password in vec(any::<u8>(), 0..80), keep_alive_s: u16,
        clean: bool, old: bool,
    ) {
        let level = if old { 3 } else { 4 };
        let packet =
            Connect { level, clean, keep_alive_s, client_id: &client_id, username: &username, password: &password };
        let mut out = Vec::new();
        encode::connect(&mut out, &packet);
        prop_assert_eq!(one(&out), Ok(Packet::Connect(packet)));
    }

    #[test]
    fn any_bytes_decode_or_have_a_reason(data in vec(any::<u8>(), 0..300)) {
        if let Ok(Some(header)) = header(&data) {
            let end = (header.size + header.remaining).min(data.len());
            let body = &data[header.size..end];
            let _ = decode(codec::Header { remaining: body.len(), ..header }, body);
            let _ = codec::publish_front(header, body);
        }
    }

    #[test]
    fn any_body_of_any_kind_decodes_or_has_a_reason(first: u8, body in vec(any::<u8>(), 0..120)) {
        let header = codec::Header { kind: first >> 4, flags: first & 15, size: 2, remaining: body.len() };
        if let Ok(Packet::Subscribe { filters, .. } | Packet::Unsubscribe { filters, .. }) = decode(header, &body) {
            prop_assert!(filters.count() >= 1);
        }
    }
}
