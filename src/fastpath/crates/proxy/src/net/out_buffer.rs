//! Bytes that a socket would not take yet.

use std::io::IoSlice;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

/// Buffers above this are given back once empty.
const KEEP: usize = 4 * 1024;

/// What is still to be written, oldest first. Empty (and without memory) in the common case: what
/// the socket takes at once never lands here.
#[derive(Debug, Default)]
pub struct OutBuffer {
    bytes: Vec<u8>,
    start: usize,
}

/// The peer is gone; the errno says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone(pub Errno);

impl OutBuffer {
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Queues without writing (the socket is not connected yet).
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes `head` then `body` (after whatever waits); keeps what the socket does not take.
    /// One system call in the common case. Returns the number of bytes the kernel took.
    pub fn write(&mut self, fd: impl AsFd, head: &[u8], body: &[u8]) -> Result<usize, Gone> {
        self.write_parts(fd, [head, body, b""])
    }

    /// The same of three parts.
    pub fn write_parts(&mut self, fd: impl AsFd, parts: [&[u8]; 3]) -> Result<usize, Gone> {
        self.write_with(fd, parts, SendFlags::NOSIGNAL)
    }

    /// The last bytes before our side ends, which is next: they share a packet with the end.
    pub fn write_last(&mut self, fd: impl AsFd, bytes: &[u8]) -> Result<usize, Gone> {
        self.write_with(fd, [bytes, b"", b""], SendFlags::NOSIGNAL | SendFlags::MORE)
    }

    fn write_with(
        &mut self,
        fd: impl AsFd,
        parts: [&[u8]; 3],
        flags: SendFlags,
    ) -> Result<usize, Gone> {
        if !self.is_empty() {
            for part in parts {
                self.push(part);
            }
            return Ok(0);
        }
        let sent = match parts {
            [only, [], []] | [[], only, []] | [[], [], only] => rustix::net::send(fd, only, flags),
            _ => rustix::net::sendmsg(
                fd,
                &parts.map(IoSlice::new),
                &mut SendAncillaryBuffer::default(),
                flags,
            ),
        };
        let sent = match sent {
            Ok(n) => n,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(e) => return Err(Gone(e)),
        };
        let mut taken = sent;
        for part in parts {
            self.push(part.get(taken..).unwrap_or_default());
            taken = taken.saturating_sub(part.len());
        }
        Ok(sent)
    }

    /// Writes what waits. Ok(true): all gone.
    pub fn flush(&mut self, fd: impl AsFd) -> Result<bool, Gone> {
        while let Some(rest) = self.bytes.get(self.start..).filter(|r| !r.is_empty()) {
            match rustix::net::send(&fd, rest, SendFlags::NOSIGNAL) {
                Ok(n) => self.start = self.start.saturating_add(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.compact();
                    return Ok(false);
                }
                Err(e) => return Err(Gone(e)),
            }
        }
        self.clear();
        Ok(true)
    }

    pub fn clear(&mut self) {
        self.start = 0;
        if self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }

    /// Moves the rest to the front once more than half of the buffer is spent.
    fn compact(&mut self) {
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn keeps_what_the_socket_refuses_and_flushes_it_later() {
        let (a, b) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let mut out = OutBuffer::default();
        let big = vec![b'x'; 4 << 20];
        let taken = out.write(&a, b"head", &big).unwrap();
        assert!(taken > 4 && out.len() == 4 + big.len() - taken);
        out.write(&a, b"tail", b"").unwrap();
        let mut got = Vec::new();
        let mut buf = vec![0; 1 << 16];
        loop {
            while let Ok((n, _)) =
                rustix::net::recv(&b, &mut buf[..], rustix::net::RecvFlags::empty())
            {
                got.extend_from_slice(&buf[..n]);
            }
            if out.flush(&a).unwrap() && got.len() == big.len() + 8 {
                break;
            }
        }
        assert!(got.starts_with(b"headx") && got.ends_with(b"xtail"));
        assert_eq!(out.bytes.capacity(), 0);
    }

    /// Wherever the socket stops, the rest is kept in its order.
    #[test]
    fn three_parts_in_one_call() {
        let flags = SocketFlags::NONBLOCK;
        for size in [0, 1, 100_000, 4 << 20] {
            let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            let body = vec![b'x'; size];
            let mut out = OutBuffer::default();
            let sent = out.write_parts(&a, [b"head", &body, b"tail"]).unwrap();
            assert_eq!(sent + out.len(), 8 + size);
            let (mut got, mut buf) = (Vec::new(), vec![0; 1 << 16]);
            while got.len() < 8 + size {
                out.flush(&a).unwrap();
                let (n, _) =
                    rustix::net::recv(&b, &mut buf[..], rustix::net::RecvFlags::empty()).unwrap();
                got.extend_from_slice(&buf[..n]);
            }
            assert_eq!(got, [b"head", &body[..], b"tail"].concat());
        }
    }
}
