//! A client's connection on epoll: plain, or TLS over the same socket.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustls::client::ClientConnection;

use crate::net;
use crate::tls::Tls;

pub enum Stream {
    Plain(OwnedFd),
    Tls(Box<TlsStream>),
}

pub struct TlsStream {
    fd: OwnedFd,
    tls: ClientConnection,
    config: Tls,
    agreed: bool,
}

impl Stream {
    /// Starts to connect.
    pub fn connect(target: SocketAddr, tls: Option<&Tls>) -> io::Result<Self> {
        let fd = net::connect(target)?;
        let Some(config) = tls else { return Ok(Self::Plain(fd)) };
        let mut tls = config.connection().map_err(io::Error::other)?;
        // What is sent before the handshake is over waits, all of it.
        tls.set_buffer_limit(None);
        Ok(Self::Tls(Box::new(TlsStream { fd, tls, config: config.clone(), agreed: false })))
    }

    pub fn fd(&self) -> &OwnedFd {
        match self {
            Self::Plain(fd) => fd,
            Self::Tls(stream) => &stream.fd,
        }
    }

    /// Does a read of fewer bytes than there was room for mean that there are no more?
    pub fn short_read_is_the_end(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Sends what waits from earlier; to be called when the socket has become writable.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }

    /// As `net::send`.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Plain(fd) => net::send(fd, bytes),
            Self::Tls(stream) => {
                let count = stream.tls.writer().write(bytes)?;
                stream.flush()?;
                Ok(Some(count))
            }
        }
    }

    /// As `net::recv`.
    pub fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Plain(fd) => net::recv(fd, buffer),
            Self::Tls(stream) => stream.recv(buffer),
        }
    }
}

impl TlsStream {
    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Socket(&self.fd)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.tls.reader().read(buffer) {
                Ok(got) => return Ok(Some(got)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match self.tls.read_tls(&mut Socket(&self.fd)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
            self.tls.process_new_packets().map_err(io::Error::other)?;
            if !self.agreed && !self.tls.is_handshaking() {
                if !self.config.agreed(&self.tls) {
                    return Err(io::Error::other("ALPN: the peer took another protocol"));
                }
                self.agreed = true;
            }
            self.flush()?;
        }
    }
}

struct Socket<'a>(&'a OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        net::recv(self.0, buffer)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        net::send(self.0, bytes)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
