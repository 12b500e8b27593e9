//! The connection plane: sockets, TLS, MQTT, permissions, quotas, ordered acknowledgement, record packing.
//!
//! Read in this order: `codec` and `protocol` (bytes in, events out), `topics`, `quota`, `session`, `subs`, `downlink`,
//! `acks`, `answers`, `shares`, `record` (what is decided about a message, without a socket or a clock), then `conn`, `reactor`, `packets`,
//! `control`, `persistence`, `pushes`, `figures`, `memory` (who does it), and `roster`, `shared` and `py` (how Python takes part).
//! `python/thinghub_gateway_core/__init__.pyi` is the contract.

pub mod acks;
pub mod answers;
pub mod codec;
pub mod conn;
pub mod control;
pub mod counters;
pub mod downlink;
pub mod encode;
pub mod figures;
pub mod ids;
pub mod listener;
pub mod memory;
pub mod options;
pub mod packets;
pub mod persistence;
pub mod protocol;
pub mod pushes;
#[cfg(feature = "python")]
mod py;
pub mod quota;
pub mod reactor;
pub mod record;
pub mod roster;
pub mod session;
pub mod shared;
pub mod shares;
pub mod slots;
pub mod subs;
pub mod timer;
pub mod tls;
pub mod topics;
