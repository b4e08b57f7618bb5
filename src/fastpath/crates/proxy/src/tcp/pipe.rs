//! Pipes that bytes are spliced through: from one socket to another without passing through our
//! memory (splice(2)). See docs/adr/0004 for when that pays.
//!
//! A pipe belongs to a flow only while it holds bytes or is being filled; then it goes back here.
//! So their number follows the flows that move much at the moment, not the tunnels, and it is
//! bounded: the kernel counts the pages of all pipes of a user (pipe(7), pipe-user-pages-soft).

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// Bytes that a pipe can hold: the most that an unprivileged process may ask for.
const PIPE_BYTES: usize = 1024 * 1024;

/// Below this a pipe is not better than a buffer (a user that has used up its pages gets 8 KiB).
const LEAST_BYTES: usize = 64 * 1024;

/// Pipes of a worker, in use or spare. Two workers stay within the 64 MiB that a user has.
const MAX_PIPES: usize = 24;

#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    capacity: usize,
    held: usize,
}

/// What a splice did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spliced {
    Bytes(usize),
    End,
    /// The socket has nothing, or the pipe no room; the socket takes no more.
    Blocked,
    Broken,
}

impl Pipe {
    fn new() -> Option<Self> {
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (read, write) = rustix::pipe::pipe_with(flags).ok()?;
        // Refused where the user has no pages left; then it is as large as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_BYTES);
        let capacity = rustix::pipe::fcntl_getpipe_size(&write).ok()?;
        (capacity >= LEAST_BYTES).then_some(Self {
            read,
            write,
            capacity,
            held: 0,
        })
    }

    /// Bytes in it.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes what a socket has, so that no more than `limit` bytes are held.
    pub fn fill(&mut self, from: impl AsFd, limit: usize) -> Spliced {
        let room = self.capacity.min(limit).saturating_sub(self.held);
        if room == 0 {
            return Spliced::Blocked;
        }
        let spliced = splice(from, &self.write, room);
        if let Spliced::Bytes(n) = spliced {
            self.held = self.held.saturating_add(n);
        }
        spliced
    }

    /// Gives a socket what it takes.
    pub fn drain(&mut self, to: impl AsFd) -> Spliced {
        let spliced = splice(&self.read, to, self.held);
        if let Spliced::Bytes(n) = spliced {
            self.held = self.held.saturating_sub(n);
        }
        spliced
    }
}

fn splice(from: impl AsFd, to: impl AsFd, length: usize) -> Spliced {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        return match rustix::pipe::splice(&from, None, &to, None, length, flags) {
            Ok(0) => Spliced::End,
            Ok(n) => Spliced::Bytes(n),
            Err(Errno::AGAIN) => Spliced::Blocked,
            Err(Errno::INTR) => continue,
            Err(_) => Spliced::Broken,
        };
    }
}

/// The pipes of a worker.
#[derive(Debug, Default)]
pub struct Pipes {
    spare: Vec<Pipe>,
    in_use: usize,
}

impl Pipes {
    /// A pipe; `None`: there are enough, or the system gives no more.
    pub fn take(&mut self) -> Option<Pipe> {
        if self.in_use >= MAX_PIPES {
            return None;
        }
        let pipe = self.spare.pop().or_else(Pipe::new)?;
        self.in_use = self.in_use.saturating_add(1);
        Some(pipe)
    }

    /// Takes a pipe back; one with bytes in it is of no use to others.
    pub fn give_back(&mut self, pipe: Pipe) {
        self.in_use = self.in_use.saturating_sub(1);
        if pipe.held == 0 {
            self.spare.push(pipe);
        }
    }

    /// Nobody needs any at the moment.
    pub fn free_spare(&mut self) {
        self.spare = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn pair() -> (UnixStream, UnixStream) {
        let flags = SocketFlags::NONBLOCK;
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        (a.into(), b.into())
    }

    #[test]
    fn bytes_pass_and_the_limit_holds() {
        let (mut client, client_end) = pair();
        let (server_end, mut server) = pair();
        let mut pipe = Pipe::new().unwrap();
        client.write_all(b"0123456789").unwrap();
        assert_eq!(pipe.fill(&client_end, 4), Spliced::Bytes(4));
        assert_eq!(pipe.fill(&client_end, 4), Spliced::Blocked);
        assert_eq!(pipe.drain(&server_end), Spliced::Bytes(4));
        assert_eq!(pipe.fill(&client_end, 100), Spliced::Bytes(6));
        assert_eq!(pipe.fill(&client_end, 100), Spliced::Blocked);
        drop(client);
        assert_eq!(pipe.fill(&client_end, 100), Spliced::End);
        assert_eq!(pipe.drain(&server_end), Spliced::Bytes(6));
        assert_eq!(pipe.held(), 0);
        let mut got = [0; 10];
        server.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"0123456789");
        drop(server);
        assert_eq!(pipe.fill(&server_end, 1), Spliced::End);
    }

    #[test]
    fn their_number_is_bounded_and_only_empty_ones_are_used_again() {
        let mut pipes = Pipes::default();
        let mut taken: Vec<Pipe> = (0..MAX_PIPES).map(|_| pipes.take().unwrap()).collect();
        assert!(pipes.take().is_none());
        let (mut a, b) = pair();
        a.write_all(b"x").unwrap();
        let mut full = taken.pop().unwrap();
        assert_eq!(full.fill(&b, 9), Spliced::Bytes(1));
        pipes.give_back(full);
        pipes.give_back(taken.pop().unwrap());
        assert_eq!((pipes.spare.len(), pipes.in_use), (1, MAX_PIPES - 2));
        assert!(pipes.take().is_some());
        pipes.free_spare();
        assert!(pipes.spare.is_empty());
    }
}
