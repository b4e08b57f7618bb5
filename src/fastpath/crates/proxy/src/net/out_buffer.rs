//! Bytes that a socket has not been given yet, or would not take.

use std::io::IoSlice;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use super::spare::Spare;

/// More than this is not kept for the end of the turn (`later`): copying it would cost more.
const MOST_LATER: usize = 16 * 1024;

thread_local! {
    static SPARE: Spare<Vec<u8>> = const { Spare::new() };
}

/// What is still to be written, oldest first.
///
/// It has memory only while there is something: what `later` was given and waits for the end of
/// the turn, or what the socket refused.
#[derive(Debug, Default)]
pub struct OutBuffer {
    bytes: Vec<u8>,
    start: usize,
    /// Nothing has been refused: the socket has not seen these bytes.
    untried: bool,
}

/// The peer is gone; the errno says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone(pub Errno);

impl OutBuffer {
    /// Bytes that the socket has refused. What it has not been asked for counts as taken.
    pub fn refused(&self) -> usize {
        if self.untried { 0 } else { self.len() }
    }

    /// Bytes that wait for the end of the turn.
    pub fn is_untried(&self) -> bool {
        self.untried
    }

    fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.room().extend_from_slice(bytes);
        }
    }

    /// Where bytes are added.
    fn room(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.with(Spare::take).unwrap_or_default();
        }
        &mut self.bytes
    }

    /// Where to add `more` bytes that may wait for the end of the turn; whoever does must see to it
    /// that they are sent then. `None`: they go by `write`, being too many or behind refused ones.
    pub fn later(&mut self, more: usize) -> Option<&mut Vec<u8>> {
        if !self.untried && !self.is_empty() {
            return None;
        }
        if self.len().saturating_add(more) > MOST_LATER {
            return None;
        }
        self.untried = true;
        Some(self.room())
    }

    /// Writes `head` then `body` (after whatever waits); keeps what the socket does not take.
    pub fn write(&mut self, fd: impl AsFd, head: &[u8], body: &[u8]) -> Result<(), Gone> {
        self.write_parts(fd, [head, body, b""])
    }

    /// The same of three parts. One system call in the common case.
    pub fn write_parts(&mut self, fd: impl AsFd, parts: [&[u8]; 3]) -> Result<(), Gone> {
        self.write_with(fd, parts, SendFlags::NOSIGNAL)
    }

    /// The last bytes before our side ends, which is next: they share a packet with the end.
    pub fn write_last(&mut self, fd: impl AsFd, bytes: &[u8]) -> Result<(), Gone> {
        self.write_with(fd, [bytes, b"", b""], SendFlags::NOSIGNAL | SendFlags::MORE)
    }

    fn write_with(
        &mut self,
        fd: impl AsFd,
        parts: [&[u8]; 3],
        flags: SendFlags,
    ) -> Result<(), Gone> {
        if self.refused() > 0 {
            for part in parts {
                self.push(part);
            }
            return Ok(());
        }
        self.untried = false;
        let waiting = self.bytes.get(self.start..).unwrap_or_default();
        let [first, second, third] = parts;
        let sent = match [waiting, first, second, third] {
            [[], only, [], []] | [[], [], only, []] | [[], [], [], only] | [only, [], [], []] => {
                rustix::net::send(fd, only, flags)
            }
            all => rustix::net::sendmsg(
                fd,
                &all.map(IoSlice::new),
                &mut SendAncillaryBuffer::default(),
                flags,
            ),
        };
        let mut taken = match sent {
            Ok(n) => n,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(e) => return Err(Gone(e)),
        };
        let of_waiting = taken.min(waiting.len());
        taken = taken.saturating_sub(of_waiting);
        self.start = self.start.saturating_add(of_waiting);
        for part in parts {
            self.push(part.get(taken..).unwrap_or_default());
            taken = taken.saturating_sub(part.len());
        }
        if self.is_empty() {
            self.clear();
        }
        Ok(())
    }

    /// Writes what waits. Ok(true): all gone.
    pub fn flush(&mut self, fd: impl AsFd) -> Result<bool, Gone> {
        self.untried = false;
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

    /// Forgets what waits, and gives the memory back.
    pub fn clear(&mut self) {
        self.start = 0;
        self.untried = false;
        let mut bytes = std::mem::take(&mut self.bytes);
        if (1..=MOST_LATER).contains(&bytes.capacity()) {
            bytes.clear();
            SPARE.with(|spare| spare.give_back(bytes));
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
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};

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
        out.write(&a, b"head", &big).unwrap();
        assert!(out.refused() > 0 && out.refused() < big.len());
        out.write(&a, b"tail", b"").unwrap();
        let mut got = Vec::new();
        let mut buf = vec![0; 1 << 16];
        loop {
            while let Ok((n, _)) = rustix::net::recv(&b, &mut buf[..], RecvFlags::empty()) {
                got.extend_from_slice(&buf[..n]);
            }
            if out.flush(&a).unwrap() && got.len() == big.len() + 8 {
                break;
            }
        }
        assert!(got.starts_with(b"headx") && got.ends_with(b"xtail"));
        assert_eq!(out.bytes.capacity(), 0);
    }

    #[test]
    fn what_may_wait_counts_as_taken_until_the_socket_refuses_it() {
        let flags = SocketFlags::NONBLOCK;
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let mut buf = vec![0; 1 << 16];
        let mut read = |b: &_| match rustix::net::recv(b, &mut buf[..], RecvFlags::empty()) {
            Ok((n, _)) => buf[..n].to_vec(),
            Err(e) => panic!("{e}"),
        };
        let mut out = OutBuffer::default();
        out.later(5).unwrap().extend_from_slice(b"first");
        out.later(7).unwrap().extend_from_slice(b" second");
        assert!(out.is_untried() && out.refused() == 0);
        assert!(rustix::net::recv(&b, &mut [0; 1], RecvFlags::empty()).is_err());
        // What is written meanwhile goes with it, behind it.
        out.write(&a, b" third", b"").unwrap();
        assert!(!out.is_untried());
        assert_eq!(read(&b), b"first second third");
        assert!(out.later(MOST_LATER + 1).is_none());
        out.later(6).unwrap().extend_from_slice(b"fourth");
        assert!(out.later(MOST_LATER).is_none());
        assert!(out.flush(&a).unwrap() && !out.is_untried());
        assert_eq!(read(&b), b"fourth");
        assert_eq!(out.bytes.capacity(), 0);
        // Behind what the socket has refused there is no waiting.
        out.write(&a, &vec![b'x'; 4 << 20], b"").unwrap();
        assert!(out.refused() > 0 && out.later(1).is_none());
    }

    /// Wherever the socket stops, the rest is kept in its order.
    #[test]
    fn three_parts_in_one_call() {
        let flags = SocketFlags::NONBLOCK;
        for size in [0, 1, 100_000, 4 << 20] {
            let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            let body = vec![b'x'; size];
            let mut out = OutBuffer::default();
            out.write_parts(&a, [b"head", &body, b"tail"]).unwrap();
            assert!(out.refused() < size.max(1));
            let (mut got, mut buf) = (Vec::new(), vec![0; 1 << 16]);
            while got.len() < 8 + size {
                out.flush(&a).unwrap();
                let (n, _) = rustix::net::recv(&b, &mut buf[..], RecvFlags::empty()).unwrap();
                got.extend_from_slice(&buf[..n]);
            }
            assert_eq!(got, [b"head", &body[..], b"tail"].concat());
        }
    }
}
