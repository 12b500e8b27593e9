//! MQTT 3.1.1 packets to bytes. Appends to a buffer; field lengths are the caller's to keep below 64 kB (topics, names).

use crate::codec::{
    CONNACK, CONNECT, Connect, PINGRESP, PUBACK, PUBLISH, Publish, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE,
};

fn length(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

pub fn connack(out: &mut Vec<u8>, session_present: bool, code: u8) {
    out.extend_from_slice(&[CONNACK << 4, 2, u8::from(session_present), code]);
}

pub fn puback(out: &mut Vec<u8>, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[PUBACK << 4, 2, high, low]);
}

pub fn unsuback(out: &mut Vec<u8>, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[UNSUBACK << 4, 2, high, low]);
}

pub fn suback(out: &mut Vec<u8>, packet_id: u16, codes: &[u8]) {
    out.push(SUBACK << 4);
    length(out, 2 + codes.len());
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.extend_from_slice(codes);
}

pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PINGRESP << 4, 0]);
}

/// A packet of type and length only: PINGREQ, PINGRESP, DISCONNECT.
pub fn bare(out: &mut Vec<u8>, kind: u8) {
    out.extend_from_slice(&[kind << 4, 0]);
}

pub fn publish(out: &mut Vec<u8>, packet: &Publish<'_>) {
    let id = if packet.qos > 0 { 2 } else { 0 };
    out.reserve(packet.topic.len() + packet.payload.len() + 9);
    out.push(PUBLISH << 4 | u8::from(packet.dup) << 3 | packet.qos << 1 | u8::from(packet.retain));
    length(out, 2 + packet.topic.len() + id + packet.payload.len());
    field(out, packet.topic.as_bytes());
    if packet.qos > 0 {
        out.extend_from_slice(&packet.packet_id.to_be_bytes());
    }
    out.extend_from_slice(packet.payload);
}

pub fn connect(out: &mut Vec<u8>, packet: &Connect<'_>) {
    let name: &[u8] = if packet.level == 3 { b"MQIsdp" } else { b"MQTT" };
    let mut body = Vec::new();
    field(&mut body, name);
    body.extend_from_slice(&[packet.level, 0xc0 | u8::from(packet.clean) << 1]);
    body.extend_from_slice(&packet.keep_alive_s.to_be_bytes());
    field(&mut body, packet.client_id.as_bytes());
    field(&mut body, packet.username.as_bytes());
    field(&mut body, packet.password);
    whole(out, CONNECT << 4, &body);
}

pub fn subscribe(out: &mut Vec<u8>, packet_id: u16, filters: &[(&str, u8)]) {
    let mut body = packet_id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        field(&mut body, filter.as_bytes());
        body.push(*qos);
    }
    whole(out, SUBSCRIBE << 4 | 2, &body);
}

pub fn unsubscribe(out: &mut Vec<u8>, packet_id: u16, filters: &[&str]) {
    let mut body = packet_id.to_be_bytes().to_vec();
    for filter in filters {
        field(&mut body, filter.as_bytes());
    }
    whole(out, UNSUBSCRIBE << 4 | 2, &body);
}

fn whole(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    length(out, body.len());
    out.extend_from_slice(body);
}
