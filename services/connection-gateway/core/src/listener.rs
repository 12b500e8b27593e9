//! Accepting connections without ever spinning: a reserve descriptor answers the file limit.
//!
//! At EMFILE the listener would stay ready for ever. So one descriptor is kept in reserve: given up, it lets one
//! connection be accepted and closed at once, and is taken again.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

use crate::conn::Mode;

const BACKLOG: i32 = 4096;

/// Opens a listening socket. Port 0 asks for any.
pub fn bind(host: &str, port: u16) -> io::Result<StdListener> {
    let mut last = io::Error::new(ErrorKind::AddrNotAvailable, "host has no address");
    for address in (host, port).to_socket_addrs()? {
        match bind_one(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_one(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != std::net::Ipv6Addr::UNSPECIFIED)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

pub enum Accepted {
    Stream(TcpStream, SocketAddr),
    /// The file limit: one waiting connection was accepted and closed.
    Refused,
    /// Nothing waits.
    Empty,
    /// Try again later.
    Failed,
}

pub struct Listener {
    pub socket: TcpListener,
    pub mode: Mode,
}

/// The descriptor kept for the moment when there is no other.
pub struct Reserve(Option<File>);

impl Reserve {
    pub fn new() -> io::Result<Reserve> {
        Ok(Reserve(Some(File::open("/dev/null")?)))
    }

    pub fn accept(&mut self, listener: &TcpListener) -> Accepted {
        match listener.accept() {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                Accepted::Stream(stream, peer)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::Empty,
            // The peer went away while it waited.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {
                Accepted::Refused
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => self.refuse(listener),
            Err(_) => Accepted::Failed,
        }
    }

    fn refuse(&mut self, listener: &TcpListener) -> Accepted {
        if self.0.take().is_none() {
            self.0 = File::open("/dev/null").ok();
            return Accepted::Failed;
        }
        let accepted = listener.accept();
        let refused = accepted.is_ok();
        drop(accepted);
        self.0 = File::open("/dev/null").ok();
        if refused { Accepted::Refused } else { Accepted::Failed }
    }
}
