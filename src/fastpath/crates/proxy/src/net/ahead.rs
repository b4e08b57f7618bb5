//! What was read of a socket before its turn came, together with what other sockets had.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::spare::Spare;

/// Read ahead at most: messages of more are not, as they are worth a call of their own. Not a power
/// of two, so that many buffers do not fall into the same lines of the cache.
const ROOM: usize = 2000;
/// Reads, after one of a large message, before the next may be ahead of its turn.
const WARY: u8 = 8;

thread_local! {
    static SPARE: Spare<Box<Waiting>> = const { Spare::new() };
}

/// What waits for `Io::read`, if anything does.
#[derive(Debug, Default)]
pub struct Ahead {
    waiting: Option<Box<Waiting>>,
    /// Reads that are still left to `Io::read` alone.
    wary: u8,
}

#[derive(Debug)]
struct Waiting {
    bytes: [u8; ROOM],
    start: usize,
    /// The end of the bytes, or how reading ended: 0 for the end of the stream.
    read: Result<usize, Errno>,
}

impl Ahead {
    /// Reads ahead, unless the last messages were large or something waits already.
    pub fn fill(&mut self, fd: impl AsFd) {
        if self.wary > 0 || self.waiting.is_some() {
            return;
        }
        let mut waiting = SPARE.with(Spare::take).unwrap_or_else(|| {
            Box::new(Waiting {
                bytes: [0; ROOM],
                start: 0,
                read: Ok(0),
            })
        });
        let read = rustix::net::recv(fd, &mut waiting.bytes, RecvFlags::empty());
        waiting.read = read.map(|(n, _)| n);
        match waiting.read {
            // The read whose turn comes finds the same.
            Err(Errno::AGAIN | Errno::INTR) => SPARE.with(|spare| spare.give_back(waiting)),
            read => {
                if read == Ok(ROOM) {
                    self.wary = WARY;
                }
                self.waiting = Some(waiting);
            }
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
        let waiting = self.waiting.as_mut()?;
        let taken = waiting.read.map(|end| {
            let rest = waiting.bytes.get(waiting.start..end).unwrap_or_default();
            let n = rest.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..n), rest.get(..n)) {
                to.copy_from_slice(from);
            }
            waiting.start = waiting.start.saturating_add(n);
            (n, waiting.start == end && end < ROOM)
        });
        let is_empty = waiting.read.map_or(true, |end| waiting.start >= end);
        if is_empty && let Some(mut waiting) = self.waiting.take() {
            waiting.start = 0;
            SPARE.with(|spare| spare.give_back(waiting));
        }
        Some(taken)
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
