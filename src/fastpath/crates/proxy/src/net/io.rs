//! A connected socket as the protocols see it: bytes in, bytes out, whatever is spoken under them.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown};

use super::out_buffer::{Gone, OutBuffer};

/// The read buffer, one a worker. 128 KiB moves large bodies with few calls and stays in L2.
const SCRATCH_BYTES: usize = 128 * 1024;

/// What reads fill: one a worker, taken out for the time of a read and what follows from it.
#[derive(Debug)]
pub struct Scratch {
    raw: Box<[u8]>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            raw: vec![0; SCRATCH_BYTES].into_boxed_slice(),
        }
    }
}

impl Scratch {
    /// Stands in while the real one is taken out.
    pub fn none() -> Self {
        Self {
            raw: Box::default(),
        }
    }
}

/// What a read gave.
#[derive(Debug)]
pub enum Input<'a> {
    /// `drained`: the read took all there was; what comes later brings an event (epoll(7)).
    Data {
        bytes: &'a [u8],
        drained: bool,
    },
    Eof,
    /// Nothing there.
    Empty,
    Interrupted,
    Broken,
}

#[derive(Debug)]
pub struct Io {
    fd: OwnedFd,
    out: OutBuffer,
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Io {
    pub fn plain(fd: OwnedFd) -> Self {
        Self {
            fd,
            out: OutBuffer::default(),
        }
    }

    pub fn read<'a>(&mut self, scratch: &'a mut Scratch) -> Input<'a> {
        let room = scratch.raw.len();
        match rustix::net::recv(&self.fd, &mut *scratch.raw, RecvFlags::empty()) {
            Ok((0, _)) => Input::Eof,
            Ok((n, _)) => Input::Data {
                bytes: scratch.raw.get(..n).unwrap_or_default(),
                drained: n < room,
            },
            Err(Errno::AGAIN) => Input::Empty,
            Err(Errno::INTR) => Input::Interrupted,
            Err(_) => Input::Broken,
        }
    }

    /// Writes `head` then `body` (after whatever waits); keeps what the socket does not take.
    pub fn write(&mut self, head: &[u8], body: &[u8]) -> Result<(), Gone> {
        self.out.write(&self.fd, head, body).map(|_| ())
    }

    /// Writes what waits. Ok(true): all gone.
    pub fn flush(&mut self) -> Result<bool, Gone> {
        self.out.flush(&self.fd)
    }

    /// Bytes that the socket has not taken yet.
    pub fn backlog(&self) -> usize {
        self.out.len()
    }

    /// Forgets what waits: the peer is gone.
    pub fn forget(&mut self) {
        self.out.clear();
    }

    pub fn local_address(&self) -> Option<SocketAddr> {
        super::socket::local_address(&self.fd)
    }

    /// Ends our side. False: the peer is gone already.
    pub fn shutdown(&mut self) -> bool {
        rustix::net::shutdown(&self.fd, Shutdown::Write).is_ok()
    }
}
