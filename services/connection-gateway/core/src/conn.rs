//! One socket: reading and writing, plain or TLS, and what the reactor remembers about it.
//!
//! Memory of an idle connection is this struct and nothing behind it: `inbox` exists while a packet is partial, `out`
//! while the peer has not taken what was written.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};

use crate::acks::Acks;
use crate::answers::Answers;
use crate::downlink::Window;
use crate::protocol::Protocol;
use crate::slots::Key;
use crate::subs::Subs;

/// Most bytes that one read takes.
pub const READ_BYTES: usize = 16 * 1024;
/// Plaintext handed to TLS at once; the rest waits in `out`, where it is bounded.
const TLS_CHUNK: usize = 64 * 1024;
/// Most that TLS holds of it.
const TLS_BUFFER: usize = 2 * TLS_CHUNK;

/// Why a connection is not read, as bits; its keep-alive is suspended meanwhile.
pub mod pause {
    pub const QUOTA: u8 = 1;
    pub const BACKPRESSURE: u8 = 2;
    pub const ACKS: u8 = 4;
    pub const STORE: u8 = 8;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Sniff,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before CONNECT is complete, from this time.
    Greeting,
    /// CONNECT was reported and not answered.
    Pending,
    Live,
    /// Refused: the answer is written, then the peer has a moment to take it.
    Draining,
}

pub enum Transport {
    /// Nothing was read yet; the listener's mode says how to choose.
    Unknown(Mode),
    Plain,
    Tls(Box<ServerConnection>),
}

pub struct Conn {
    stream: TcpStream,
    transport: Transport,
    pub peer: SocketAddr,
    pub protocol: Protocol,
    pub phase: Phase,
    /// The connection's own session.
    pub session: Option<Key>,
    /// All of its sessions, once it carries more than its own.
    pub subs: Option<Box<Subs>>,
    /// QoS 1 towards the peer, of all its sessions.
    pub window: Option<Box<Window>>,
    /// What waits for a change of a persistent session to be stored.
    pub answers: Option<Box<Answers>>,
    /// Bytes that arrived and were not used: a partial packet, or whatever came before a pause.
    pub inbox: Vec<u8>,
    pub out: Vec<u8>,
    /// Bytes handed to TLS that it has not written, about.
    unsent: usize,
    pub acks: Acks,
    pub paused: u8,
    /// The socket may hold more to read.
    pub readable: bool,
    /// The peer has ended its direction. With edges, its end is not announced again: read until it shows.
    pub ended: bool,
    pub queued: bool,
    pub dirty: bool,
    pub keep_alive_s: u16,
    /// Start of the phase; while live, time of the last packet.
    pub since_us: u64,
    /// When the packet in `inbox` began; 0 when there is none.
    pub partial_us: u64,
    /// End of a quota pause.
    pub resume_us: u64,
    /// What of this connection is counted in the memory of all.
    pub counted: usize,
    /// Tick this connection waits for in the wheel.
    pub timer_tick: u64,
}

pub enum Fill {
    /// Bytes read, and whether there may be more.
    Data(usize, bool),
    Empty,
    Eof,
    Failed(&'static str),
}

impl Conn {
    pub fn new(stream: TcpStream, peer: SocketAddr, mode: Mode, now_us: u64) -> Conn {
        Conn {
            stream,
            transport: Transport::Unknown(mode),
            peer,
            protocol: Protocol::default(),
            phase: Phase::Greeting,
            session: None,
            subs: None,
            window: None,
            answers: None,
            inbox: Vec::new(),
            out: Vec::new(),
            acks: Acks::default(),
            paused: 0,
            readable: false,
            ended: false,
            queued: false,
            dirty: false,
            keep_alive_s: 0,
            since_us: now_us,
            partial_us: 0,
            resume_us: 0,
            counted: 0,
            unsent: 0,
            timer_tick: u64::MAX,
        }
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Size of the inbox when it is larger than one read, else 0: what counts against the bound of all connections.
    pub fn large_inbox(&self) -> usize {
        if self.inbox.len() > READ_BYTES { self.inbox.len() } else { 0 }
    }

    /// Bytes that traffic has made this connection hold.
    pub fn held(&self) -> usize {
        let queued = self.window.as_ref().map_or(0, |window| window.queued_bytes());
        self.inbox.capacity() + self.out.capacity() + self.unsent + queued
    }

    /// Bytes that the peer has yet to take.
    pub fn backlog(&self) -> usize {
        self.out.len() + self.unsent + self.window.as_ref().map_or(0, |window| window.queued_bytes())
    }

    /// The session that a topic or filter of this connection speaks for.
    pub fn speaker(&self, topic: &str) -> Option<Key> {
        self.subs.as_ref().and_then(|subs| subs.speaker(topic)).or(self.session)
    }

    /// Sub-sessions on this connection.
    pub fn sub_sessions(&self) -> usize {
        self.subs.as_ref().map_or(0, |subs| subs.len())
    }

    pub fn is_tls(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// The TLS handshake that has just ended, once.
    pub fn handshake(&self) -> Option<HandshakeKind> {
        match &self.transport {
            Transport::Tls(tls) if !tls.is_handshaking() => tls.handshake_kind(),
            _ => None,
        }
    }

    /// Reads plaintext into `buffer`.
    pub fn fill(&mut self, buffer: &mut [u8], tls: Option<&Arc<ServerConfig>>) -> Fill {
        if let Transport::Unknown(mode) = self.transport {
            match self.choose(mode, tls) {
                Ok(true) => {}
                Ok(false) => return Fill::Empty,
                Err(fill) => return fill,
            }
        }
        match &mut self.transport {
            Transport::Tls(tls) => fill_tls(&mut self.stream, tls, buffer),
            _ => match read(&mut self.stream, buffer) {
                Ok(0) => Fill::Eof,
                Ok(count) => Fill::Data(count, self.ended || count == buffer.len()),
                Err(error) => failure(&error),
            },
        }
    }

    /// Decides between TLS and plain by the listener's mode or the first byte.
    fn choose(&mut self, mode: Mode, tls: Option<&Arc<ServerConfig>>) -> Result<bool, Fill> {
        let mut first = [0u8; 1];
        let wants_tls = match mode {
            Mode::Always => true,
            Mode::Never => false,
            Mode::Sniff => match self.stream.peek(&mut first) {
                Ok(0) => return Err(Fill::Eof),
                Ok(_) if first[0] == 0x16 => true,
                Ok(_) => false,
                Err(error) => return Err(failure(&error)),
            },
        };
        if !wants_tls {
            self.transport = Transport::Plain;
            return Ok(true);
        }
        let config = tls.ok_or(Fill::Failed("no_certificate"))?;
        let mut connection = ServerConnection::new(config.clone()).map_err(|_| Fill::Failed("tls"))?;
        connection.set_buffer_limit(Some(TLS_BUFFER));
        self.transport = Transport::Tls(Box::new(connection));
        Ok(true)
    }

    /// Writes what the peer takes. `Ok(true)`: all of it is gone.
    pub fn flush(&mut self) -> io::Result<(usize, bool)> {
        let written = match &mut self.transport {
            Transport::Tls(tls) => {
                let before = self.out.len();
                let written = flush_tls(&mut self.stream, tls, &mut self.out)?;
                let handed = self.unsent + before - self.out.len();
                self.unsent = if tls.wants_write() { handed.min(TLS_BUFFER) } else { 0 };
                written
            }
            _ => flush_plain(&mut self.stream, &mut self.out)?,
        };
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        let held = matches!(&self.transport, Transport::Tls(tls) if tls.wants_write());
        Ok((written, self.out.is_empty() && !held))
    }

    /// Says goodbye below MQTT: TLS close_notify, then the end of our direction.
    pub fn finish(&mut self) {
        if let Transport::Tls(tls) = &mut self.transport {
            tls.send_close_notify();
        }
        let _ = self.flush();
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}

fn failure(error: &io::Error) -> Fill {
    if error.kind() == ErrorKind::WouldBlock { Fill::Empty } else { Fill::Failed("error") }
}

fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn fill_tls(stream: &mut TcpStream, tls: &mut ServerConnection, buffer: &mut [u8]) -> Fill {
    loop {
        match tls.reader().read(buffer) {
            Ok(0) => return Fill::Eof,
            Ok(count) => return Fill::Data(count, true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Fill::Failed("tls"),
        }
        match tls.read_tls(stream) {
            Ok(0) => return Fill::Eof,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return failure(&error),
        }
        if tls.process_new_packets().is_err() {
            // The alert that says why is still to be written.
            let _ = tls.write_tls(stream);
            return Fill::Failed("tls");
        }
        if tls.wants_write() && tls.is_handshaking() {
            let _ = tls.write_tls(stream);
        }
    }
}

fn flush_plain(stream: &mut TcpStream, out: &mut Vec<u8>) -> io::Result<usize> {
    let mut written = 0;
    while written < out.len() {
        match stream.write(&out[written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    if written == out.len() {
        out.clear();
    } else {
        out.drain(..written);
    }
    Ok(written)
}

fn flush_tls(stream: &mut TcpStream, tls: &mut ServerConnection, out: &mut Vec<u8>) -> io::Result<usize> {
    let mut written = 0;
    loop {
        while tls.wants_write() {
            match tls.write_tls(stream) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(written),
                Err(error) => return Err(error),
            }
        }
        if out.is_empty() || tls.is_handshaking() {
            return Ok(written);
        }
        let taken = tls.writer().write(&out[..out.len().min(TLS_CHUNK)])?;
        out.drain(..taken);
    }
}
