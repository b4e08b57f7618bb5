//! The loop on plain epoll: every socket registered once and edge-triggered, no read after a short
//! read, one write per message, one scratch buffer for the worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, sockopt,
};
use spike::{Framer, Piece};

const LISTENER: u64 = u64::MAX;
const SCRATCH: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (listen, upstream) = spike::addresses()?;
    let listener = stream_socket()?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    bind(&listener, &listen)?;
    net::listen(&listener, 4096)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut worker = Worker {
        epoll,
        upstream,
        sockets: Vec::new(),
        free: Vec::new(),
        closed: Vec::new(),
        pool: Vec::new(),
    };
    let mut events = Vec::with_capacity(256);
    let mut scratch = vec![0; SCRATCH];
    loop {
        events.clear();
        match epoll::wait(&worker.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let (token, flags) = (event.data.u64(), event.flags);
            if token == LISTENER {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                while let Ok(fd) = net::accept_with(&listener, flags) {
                    worker.add(fd, None)?;
                }
                continue;
            }
            let slot = token as usize;
            if flags.contains(EventFlags::OUT) {
                worker.flush(slot);
            }
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP) {
                worker.read(slot, &mut scratch)?;
            }
        }
        // Slots are reused only now, so that no event of this batch meets a stranger.
        worker.free.append(&mut worker.closed);
    }
}

struct Worker {
    epoll: OwnedFd,
    upstream: SocketAddr,
    sockets: Vec<Option<Socket>>,
    free: Vec<usize>,
    closed: Vec<usize>,
    /// Idle upstream sockets.
    pool: Vec<usize>,
}

struct Socket {
    fd: OwnedFd,
    is_upstream: bool,
    /// The other end of the exchange under way.
    peer: Option<usize>,
    framer: Framer,
    /// What the kernel did not take.
    unsent: Vec<u8>,
}

impl Worker {
    fn add(&mut self, fd: OwnedFd, upstream_of: Option<usize>) -> io::Result<usize> {
        sockopt::set_tcp_nodelay(&fd, true)?;
        let slot = self.free.pop().unwrap_or(self.sockets.len());
        if slot == self.sockets.len() {
            self.sockets.push(None);
        }
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &fd, EventData::new_u64(slot as u64), flags)?;
        self.sockets[slot] = Some(Socket {
            fd,
            is_upstream: upstream_of.is_some(),
            peer: upstream_of,
            framer: Framer::default(),
            unsent: Vec::new(),
        });
        Ok(slot)
    }

    fn read(&mut self, slot: usize, scratch: &mut [u8]) -> io::Result<()> {
        loop {
            let Some(socket) = &mut self.sockets[slot] else { return Ok(()) };
            let got = match net::recv(&socket.fd, &mut *scratch, RecvFlags::empty()) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => {
                    self.close(slot);
                    return Ok(());
                }
                Ok((_, got)) => got,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            match socket.framer.feed(&scratch[..got]) {
                Piece::Wait => {}
                Piece::ForwardGiven(done) => self.forward(slot, &scratch[..got], done)?,
                Piece::Forward(bytes, done) => self.forward(slot, &bytes, done)?,
                Piece::Bad => self.close(slot),
            }
            if got < scratch.len() {
                return Ok(());
            }
        }
    }

    fn forward(&mut self, from: usize, bytes: &[u8], done: bool) -> io::Result<()> {
        let Some(socket) = &self.sockets[from] else { return Ok(()) };
        let is_upstream = socket.is_upstream;
        let to = match socket.peer {
            Some(peer) => peer,
            None if is_upstream => return Ok(()),
            None => self.take_upstream(from)?,
        };
        self.send(to, bytes);
        if is_upstream && done {
            for slot in [from, to] {
                if let Some(socket) = &mut self.sockets[slot] {
                    socket.peer = None;
                }
            }
            self.pool.push(from);
        }
        Ok(())
    }

    fn take_upstream(&mut self, downstream: usize) -> io::Result<usize> {
        let slot = match self.pool.pop() {
            Some(slot) => slot,
            None => {
                let fd = stream_socket()?;
                match connect(&fd, &self.upstream) {
                    Ok(()) | Err(Errno::INPROGRESS) => {}
                    Err(error) => return Err(error.into()),
                }
                self.add(fd, Some(downstream))?
            }
        };
        if let Some(upstream) = &mut self.sockets[slot] {
            upstream.peer = Some(downstream);
        }
        if let Some(socket) = &mut self.sockets[downstream] {
            socket.peer = Some(slot);
        }
        Ok(slot)
    }

    fn send(&mut self, slot: usize, bytes: &[u8]) {
        let Some(socket) = &mut self.sockets[slot] else { return };
        let mut sent = 0;
        while socket.unsent.is_empty() && sent < bytes.len() {
            match net::send(&socket.fd, &bytes[sent..], SendFlags::NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::AGAIN) => break,
                Err(_) => return self.close(slot),
            }
        }
        socket.unsent.extend_from_slice(&bytes[sent..]);
    }

    fn flush(&mut self, slot: usize) {
        let Some(socket) = &mut self.sockets[slot] else { return };
        if !socket.unsent.is_empty() {
            let bytes = std::mem::take(&mut socket.unsent);
            self.send(slot, &bytes);
        }
    }

    fn close(&mut self, slot: usize) {
        let Some(socket) = self.sockets[slot].take() else { return };
        self.closed.push(slot);
        self.pool.retain(|&pooled| pooled != slot);
        if let Some(peer) = socket.peer {
            self.close(peer);
        }
    }
}

fn stream_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?)
}
