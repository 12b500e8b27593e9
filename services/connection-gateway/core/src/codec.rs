//! MQTT 3.1.1 packets: bytes in, borrowed packets out, and back.
//!
//! A packet is one header byte (type and flags), a *remaining length* of one to four bytes, and that many bytes of body.
//! [`header`] reads the first two; [`decode`] reads a whole packet without copying, so a caller decides between the two
//! calls whether the body is worth buffering. Nothing here knows a socket, a clock or which packets are legal when.
//!
//! Section numbers are those of the OASIS MQTT 3.1.1 specification.

use std::fmt;

/// Their fault: what a peer sent that cannot be an MQTT 3.1.1 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A length field above four bytes (2.2.3).
    Length,
    /// Header flags that the packet type does not allow (2.2.2).
    Flags,
    /// Type 0 or 15.
    Type,
    /// The body ends before its fields do, or goes on after them.
    Body,
    /// A string that is not UTF-8 or holds U+0000 (1.5.3).
    Utf8,
    /// Packet id 0 (2.3.1).
    PacketId,
    /// `+` or `#` in the topic of a PUBLISH, or an empty topic (3.3.2.1).
    Topic,
    /// QoS 3.
    Qos,
    /// Protocol name other than `MQTT` or `MQIsdp`.
    Protocol,
}

impl Malformed {
    pub fn reason(self) -> &'static str {
        match self {
            Malformed::Length => "bad_length",
            Malformed::Flags => "bad_flags",
            Malformed::Type => "bad_type",
            Malformed::Body => "bad_body",
            Malformed::Utf8 => "bad_utf8",
            Malformed::PacketId => "bad_packet_id",
            Malformed::Topic => "bad_topic",
            Malformed::Qos => "bad_qos",
            Malformed::Protocol => "bad_protocol",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

pub const CONNECT: u8 = 1;
pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const SUBSCRIBE: u8 = 8;
pub const SUBACK: u8 = 9;
pub const UNSUBSCRIBE: u8 = 10;
pub const UNSUBACK: u8 = 11;
pub const PINGREQ: u8 = 12;
pub const PINGRESP: u8 = 13;
pub const DISCONNECT: u8 = 14;

/// SUBACK code of a filter that is not granted (3.9.3).
pub const NOT_GRANTED: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: u8,
    pub flags: u8,
    /// Bytes of the header itself.
    pub size: usize,
    /// Bytes after the header.
    pub remaining: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// 4 for MQTT 3.1.1, 3 for 3.1; others are decoded as far as the level.
    pub level: u8,
    pub clean: bool,
    pub keep_alive_s: u16,
    pub client_id: &'a str,
    pub username: &'a str,
    pub password: &'a [u8],
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the password: this is printed by tests and panics.
        write!(f, "Connect({} {} {} {})", self.level, self.client_id, self.username, self.keep_alive_s)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    pub dup: bool,
    pub qos: u8,
    pub retain: bool,
    pub topic: &'a str,
    /// 0 at QoS 0.
    pub packet_id: u16,
    pub payload: &'a [u8],
}

/// Filters of a SUBSCRIBE (with the QoS asked) or UNSUBSCRIBE (QoS 0), checked when the packet was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filters<'a> {
    body: &'a [u8],
    with_qos: bool,
}

impl<'a> Iterator for Filters<'a> {
    type Item = (&'a str, u8);

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = Reader(self.body);
        let filter = reader.string().ok()?;
        let qos = if self.with_qos { reader.byte().ok()? } else { 0 };
        self.body = reader.0;
        Some((filter, qos))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck {
        session_present: bool,
        code: u8,
    },
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL, PUBCOMP and UNSUBACK: a packet id and nothing else.
    Id {
        kind: u8,
        packet_id: u16,
    },
    Subscribe {
        packet_id: u16,
        filters: Filters<'a>,
    },
    SubAck {
        packet_id: u16,
        codes: &'a [u8],
    },
    Unsubscribe {
        packet_id: u16,
        filters: Filters<'a>,
    },
    /// PINGREQ, PINGRESP and DISCONNECT.
    Bare {
        kind: u8,
    },
}

/// Reads a header; `None` when more bytes are needed.
pub fn header(data: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some(&first) = data.first() else { return Ok(None) };
    let (kind, flags) = (first >> 4, first & 0x0f);
    let allowed = match kind {
        0 | 15 => return Err(Malformed::Type),
        PUBLISH => true,
        6 | SUBSCRIBE | UNSUBSCRIBE => flags == 0b0010,
        _ => flags == 0,
    };
    if !allowed {
        return Err(Malformed::Flags);
    }
    let mut remaining = 0usize;
    for (index, &byte) in data[1..].iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some(Header { kind, flags, size: index + 2, remaining }));
        }
    }
    if data.len() >= 5 {
        return Err(Malformed::Length);
    }
    Ok(None)
}

/// Decodes the body of the packet with this header. `body` is exactly `header.remaining` bytes.
pub fn decode(header: Header, body: &[u8]) -> Result<Packet<'_>, Malformed> {
    let mut reader = Reader(body);
    let packet = match header.kind {
        CONNECT => return connect(reader),
        PUBLISH => return publish(header.flags, reader),
        CONNACK => {
            let flags = reader.byte()?;
            if flags > 1 {
                return Err(Malformed::Flags);
            }
            Packet::ConnAck { session_present: flags == 1, code: reader.byte()? }
        }
        PUBACK..=7 | UNSUBACK => Packet::Id { kind: header.kind, packet_id: reader.packet_id()? },
        SUBSCRIBE => Packet::Subscribe { packet_id: reader.packet_id()?, filters: filters(&mut reader, true)? },
        UNSUBSCRIBE => Packet::Unsubscribe { packet_id: reader.packet_id()?, filters: filters(&mut reader, false)? },
        SUBACK => {
            let packet_id = reader.packet_id()?;
            let codes = reader.rest();
            if codes.is_empty() || codes.iter().any(|code| !matches!(code, 0..=2 | 0x80)) {
                return Err(Malformed::Body);
            }
            Packet::SubAck { packet_id, codes }
        }
        PINGREQ | PINGRESP | DISCONNECT => Packet::Bare { kind: header.kind },
        _ => return Err(Malformed::Type),
    };
    reader.end()?;
    Ok(packet)
}

fn connect(mut reader: Reader<'_>) -> Result<Packet<'_>, Malformed> {
    let name = reader.bytes()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(Malformed::Protocol);
    }
    let level = reader.byte()?;
    let known = (name == b"MQTT" && level == 4) || (name == b"MQIsdp" && level == 3);
    if !known {
        // Only the level is known to mean the same in other versions; 0 stands for a name that belies its level.
        let level = if matches!(level, 3 | 4) { 0 } else { level };
        let empty = Connect { level, clean: true, keep_alive_s: 0, client_id: "", username: "", password: b"" };
        return Ok(Packet::Connect(empty));
    }
    let flags = reader.byte()?;
    let (will, will_qos, will_retain) = (flags & 0x04 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    let (has_password, has_username) = (flags & 0x40 != 0, flags & 0x80 != 0);
    let will_wrong = will_qos == 3 || (!will && (will_qos != 0 || will_retain));
    if flags & 1 != 0 || will_wrong || (has_password && !has_username) {
        return Err(Malformed::Flags);
    }
    let keep_alive_s = reader.u16()?;
    let client_id = reader.string()?;
    if will {
        // Wills are not part of the contract (reference §1.4): read over, never used.
        reader.string()?;
        reader.bytes()?;
    }
    let username = if has_username { reader.string()? } else { "" };
    let password = if has_password { reader.bytes()? } else { b"" };
    reader.end()?;
    Ok(Packet::Connect(Connect { level, clean: flags & 2 != 0, keep_alive_s, client_id, username, password }))
}

fn publish(flags: u8, mut reader: Reader<'_>) -> Result<Packet<'_>, Malformed> {
    let qos = flags >> 1 & 3;
    if qos == 3 {
        return Err(Malformed::Qos);
    }
    let topic = reader.string()?;
    check_topic(topic)?;
    let packet_id = if qos > 0 { reader.packet_id()? } else { 0 };
    let payload = reader.rest();
    Ok(Packet::Publish(Publish { dup: flags & 8 != 0, qos, retain: flags & 1 != 0, topic, packet_id, payload }))
}

/// What the front of a PUBLISH says, read before its payload has come: (QoS, packet id). `None`: more bytes needed.
pub fn publish_front(header: Header, body: &[u8]) -> Result<Option<(u8, u16)>, Malformed> {
    let qos = header.flags >> 1 & 3;
    if qos == 3 {
        return Err(Malformed::Qos);
    }
    let Some(length) = body.get(..2) else { return Ok(None) };
    let front = 2 + usize::from(u16::from_be_bytes([length[0], length[1]])) + if qos > 0 { 2 } else { 0 };
    if front > header.remaining {
        return Err(Malformed::Body);
    }
    let Some(front) = body.get(..front) else { return Ok(None) };
    let mut reader = Reader(front);
    check_topic(reader.string()?)?;
    let packet_id = if qos > 0 { reader.packet_id()? } else { 0 };
    Ok(Some((qos, packet_id)))
}

fn check_topic(topic: &str) -> Result<(), Malformed> {
    if topic.is_empty() || topic.bytes().any(|byte| byte == b'+' || byte == b'#') {
        return Err(Malformed::Topic);
    }
    Ok(())
}

fn filters<'a>(reader: &mut Reader<'a>, with_qos: bool) -> Result<Filters<'a>, Malformed> {
    let body = reader.rest();
    let mut check = Reader(body);
    if body.is_empty() {
        return Err(Malformed::Body);
    }
    while !check.0.is_empty() {
        if check.string()?.is_empty() {
            return Err(Malformed::Topic);
        }
        if with_qos && check.byte()? > 2 {
            return Err(Malformed::Qos);
        }
    }
    Ok(Filters { body, with_qos })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        if self.0.len() < count {
            return Err(Malformed::Body);
        }
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn packet_id(&mut self) -> Result<u16, Malformed> {
        match self.u16()? {
            0 => Err(Malformed::PacketId),
            packet_id => Ok(packet_id),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let count = self.u16()?;
        self.take(usize::from(count))
    }

    fn string(&mut self) -> Result<&'a str, Malformed> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::Utf8)?;
        if text.as_bytes().contains(&0) {
            return Err(Malformed::Utf8);
        }
        Ok(text)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Body) }
    }
}
