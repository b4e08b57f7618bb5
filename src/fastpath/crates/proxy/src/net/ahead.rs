//! What was read of a socket before its turn came, together with what other sockets had.

use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::spare;

/// Read ahead at most: messages of more are not, as they are worth a call of their own. Not a power
/// of two, so that many buffers do not fall into the same lines of the cache.
const ROOM: usize = 2000;
/// Small reads in a row, after a large one, before the next may be ahead of its turn.
const WARY: u8 = 8;

/// Bytes that wait for `Io::read`, or how reading ended.
#[derive(Debug, Default)]
pub struct Ahead {
    bytes: Vec<u8>,
    /// Of these, what has been taken.
    start: usize,
    /// The read took all there was.
    drained: bool,
    end: Option<Result<(), Errno>>,
    /// Reads that are still left to `read` itself.
    wary: u8,
}

impl Ahead {
    /// Reads ahead, unless the last messages were large or something waits already.
    pub fn fill(&mut self, fd: impl AsFd) {
        if self.wary > 0 || self.end.is_some() || !self.bytes.is_empty() {
            return;
        }
        let mut bytes = spare::take();
        bytes.reserve(ROOM);
        let room = bytes.capacity();
        match rustix::net::recv(fd, spare_capacity(&mut bytes), RecvFlags::empty()) {
            Ok((_, 0)) => self.end = Some(Ok(())),
            Ok((_, n)) => self.drained = n < room,
            // The read whose turn comes finds the same.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(e) => self.end = Some(Err(e)),
        }
        if bytes.is_empty() {
            return spare::give_back(bytes);
        }
        self.bytes = bytes;
        if !self.drained {
            self.wary = WARY;
        }
    }

    /// A read without it gave this many bytes.
    pub fn note_read(&mut self, n: usize) {
        self.wary = if n > ROOM {
            WARY
        } else {
            self.wary.saturating_sub(1)
        };
    }

    /// Moves what there is to `room`, as a read would: how many bytes, and whether these were all
    /// there were. `None`: nothing was read ahead.
    pub fn take(&mut self, room: &mut [u8]) -> Option<Result<(usize, bool), Errno>> {
        if let Some(rest) = self.bytes.get(self.start..).filter(|r| !r.is_empty()) {
            let n = rest.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..n), rest.get(..n)) {
                to.copy_from_slice(from);
            }
            self.start = self.start.saturating_add(n);
            if self.start < self.bytes.len() {
                return Some(Ok((n, false)));
            }
            self.start = 0;
            spare::give_back(std::mem::take(&mut self.bytes));
            return Some(Ok((n, self.drained)));
        }
        Some(self.end.take()?.map(|()| (0, true)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    fn pair() -> (std::os::fd::OwnedFd, UnixStream) {
        let flags = SocketFlags::NONBLOCK;
        let (ours, peer) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        (ours, UnixStream::from(peer))
    }

    #[test]
    fn what_was_read_is_given_once_and_in_parts_if_need_be() {
        let (ours, mut peer) = pair();
        peer.write_all(b"hello").unwrap();
        let mut ahead = Ahead::default();
        ahead.fill(&ours);
        peer.write_all(b"later").unwrap();
        // What waits is not added to.
        ahead.fill(&ours);
        let mut room = [0; 3];
        assert_eq!(ahead.take(&mut room), Some(Ok((3, false))));
        assert_eq!(&room, b"hel");
        assert_eq!(ahead.take(&mut room), Some(Ok((2, true))));
        assert_eq!(&room[..2], b"lo");
        assert_eq!(ahead.take(&mut room), None);
    }

    #[test]
    fn the_end_and_an_empty_socket_are_told_apart() {
        let (ours, peer) = pair();
        let mut ahead = Ahead::default();
        ahead.fill(&ours);
        assert_eq!(ahead.take(&mut [0; 8]), None);
        drop(peer);
        ahead.fill(&ours);
        assert_eq!(ahead.take(&mut [0; 8]), Some(Ok((0, true))));
        assert_eq!(ahead.take(&mut [0; 8]), None);
    }

    /// An error is told once by the kernel, so it is kept.
    #[test]
    fn an_error_is_kept() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        let linger = Some(std::time::Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&peer, linger).unwrap();
        drop(peer);
        let mut ahead = Ahead::default();
        ahead.fill(&ours);
        assert_eq!(ahead.take(&mut [0; 8]), Some(Err(Errno::CONNRESET)));
    }

    #[test]
    fn large_messages_are_left_to_reads_of_their_own_for_a_while() {
        let (ours, mut peer) = pair();
        let mut ahead = Ahead::default();
        let mut room = vec![0; 3 * ROOM];
        peer.write_all(&vec![b'x'; 3 * ROOM]).unwrap();
        ahead.fill(&ours);
        let (n, drained) = ahead.take(&mut room).unwrap().unwrap();
        assert!((ROOM..3 * ROOM).contains(&n) && !drained);
        ahead.fill(&ours);
        assert_eq!(ahead.take(&mut room), None);
        for _ in 0..WARY {
            ahead.note_read(10);
        }
        ahead.fill(&ours);
        assert!(ahead.take(&mut room).is_some());
        ahead.note_read(ROOM + 1);
        ahead.fill(&ours);
        assert_eq!(ahead.take(&mut room), None);
    }
}
