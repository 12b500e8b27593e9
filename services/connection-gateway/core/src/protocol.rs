//! The order of packets on one connection: bytes in, events out; no socket, no clock.
//!
//! A connection says CONNECT once and first, waits for the answer, then speaks freely:
//!
//! ```text
//!   Greeting --CONNECT--> Pending --accepted()--> Live --DISCONNECT--> (ends)
//! ```
//!
//! While `Pending`, nothing is read over: bytes stay where they are. A PUBLISH too large to keep is passed over as it
//! comes (`Skip`), so its size never becomes memory. The caller owns the bytes: [`Protocol::step`] looks at the front of
//! what has arrived and says how much it used. The same bytes cut anywhere give the same events.

use crate::codec::{self, Connect, Filters, Malformed, Packet, Publish};

/// Largest packet other than PUBLISH; a CONNECT comes from a stranger.
pub const MAX_CONTROL_BYTES: usize = 16 * 1024;
/// Room for topic, packet id and lengths beside a payload of the largest size.
const PUBLISH_OVERHEAD: usize = 4 + 65_535;

#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Largest payload that is kept.
    pub max_packet: usize,
    /// Largest remaining length that is read at all.
    pub max_stream: usize,
}

/// Why the peer's bytes end the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Malformed(Malformed),
    /// A packet before CONNECT.
    NotConnected,
    SecondConnect,
    /// QoS 2, or a packet of its handshake.
    Qos2,
    /// A packet that only a server sends.
    Direction,
    TooLarge,
}

impl Fault {
    pub fn reason(self) -> &'static str {
        match self {
            Fault::Malformed(malformed) => malformed.reason(),
            Fault::NotConnected => "not_connected",
            Fault::SecondConnect => "second_connect",
            Fault::Qos2 => "qos2",
            Fault::Direction => "server_packet",
            Fault::TooLarge => "too_large",
        }
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Fault {
        Fault::Malformed(malformed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    Connect(Connect<'a>),
    Publish(Publish<'a>),
    /// A PUBLISH larger than is kept has gone by: (QoS, packet id).
    Oversize(u8, u16),
    PubAck(u16),
    Subscribe(u16, Filters<'a>),
    Unsubscribe(u16, Filters<'a>),
    Ping,
    Disconnect,
    /// Bytes of an oversize PUBLISH were used; no packet ended.
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Pending,
    Live,
    Skip { left: u32, qos: u8, packet_id: u16 },
}

#[derive(Debug)]
pub struct Protocol {
    phase: Phase,
}

impl Default for Protocol {
    fn default() -> Self {
        Protocol { phase: Phase::Greeting }
    }
}

impl Protocol {
    /// CONNECT was answered with code 0.
    pub fn accepted(&mut self) {
        debug_assert_eq!(self.phase, Phase::Pending);
        self.phase = Phase::Live;
    }

    /// True while a packet is half read over.
    pub fn skipping(&self) -> bool {
        matches!(self.phase, Phase::Skip { .. })
    }

    /// The next event at the front of `data` and the bytes it takes; `None` when more must arrive.
    pub fn step<'a>(&mut self, data: &'a [u8], sizes: Sizes) -> Result<Option<(Event<'a>, usize)>, Fault> {
        match self.phase {
            Phase::Pending => return Ok(None),
            Phase::Skip { left, qos, packet_id } => return Ok(self.skip(data, left, qos, packet_id)),
            Phase::Greeting | Phase::Live => {}
        }
        let Some(header) = codec::header(data)? else { return Ok(None) };
        if self.phase == Phase::Greeting && header.kind != codec::CONNECT {
            return Err(Fault::NotConnected);
        }
        let body = &data[header.size..];
        let limit = if header.kind == codec::PUBLISH { sizes.max_stream } else { MAX_CONTROL_BYTES };
        if header.remaining > limit {
            return Err(Fault::TooLarge);
        }
        if header.kind == codec::PUBLISH {
            if header.flags & 0b0110 == 0b0100 {
                return Err(Fault::Qos2);
            }
            if header.remaining > sizes.max_packet + PUBLISH_OVERHEAD || Self::too_large(header, body, sizes) {
                return self.start_skip(header, body);
            }
        }
        let Some(body) = body.get(..header.remaining) else { return Ok(None) };
        let event = self.event(codec::decode(header, body)?)?;
        Ok(Some((event, header.size + header.remaining)))
    }

    /// Whether the payload exceeds the bound, as soon as the topic's length is known.
    fn too_large(header: codec::Header, body: &[u8], sizes: Sizes) -> bool {
        let (Some(&high), Some(&low)) = (body.first(), body.get(1)) else { return false };
        let front = 2 + usize::from(u16::from_be_bytes([high, low])) + if header.flags & 0b0110 != 0 { 2 } else { 0 };
        header.remaining.saturating_sub(front) > sizes.max_packet
    }

    fn start_skip<'a>(&mut self, header: codec::Header, body: &[u8]) -> Result<Option<(Event<'a>, usize)>, Fault> {
        let Some((qos, packet_id)) = codec::publish_front(header, body)? else { return Ok(None) };
        self.phase = Phase::Skip { left: header.remaining as u32, qos, packet_id };
        Ok(Some((Event::Skipped, header.size)))
    }

    fn skip<'a>(&mut self, data: &[u8], left: u32, qos: u8, packet_id: u16) -> Option<(Event<'a>, usize)> {
        let used = data.len().min(left as usize);
        if used == left as usize {
            self.phase = Phase::Live;
            return Some((Event::Oversize(qos, packet_id), used));
        }
        self.phase = Phase::Skip { left: left - used as u32, qos, packet_id };
        (used > 0).then_some((Event::Skipped, used))
    }

    fn event<'a>(&mut self, packet: Packet<'a>) -> Result<Event<'a>, Fault> {
        Ok(match packet {
            Packet::Connect(connect) if self.phase == Phase::Greeting => {
                self.phase = Phase::Pending;
                Event::Connect(connect)
            }
            Packet::Connect(_) => return Err(Fault::SecondConnect),
            Packet::Publish(publish) => Event::Publish(publish),
            Packet::Id { kind: codec::PUBACK, packet_id } => Event::PubAck(packet_id),
            Packet::Id { kind: 5..=7, .. } => return Err(Fault::Qos2),
            Packet::Subscribe { packet_id, filters } => Event::Subscribe(packet_id, filters),
            Packet::Unsubscribe { packet_id, filters } => Event::Unsubscribe(packet_id, filters),
            Packet::Bare { kind: codec::PINGREQ } => Event::Ping,
            Packet::Bare { kind: codec::DISCONNECT } => Event::Disconnect,
            _ => return Err(Fault::Direction),
        })
    }
}
