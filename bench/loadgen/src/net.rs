//! Sockets and epoll: every socket is registered once, edge-triggered, under a caller's token.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::time::Timespec;

pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(512) })
    }

    pub fn add(&self, fd: &OwnedFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), flags)?)
    }

    /// Level-triggered, for a listener or the standard input.
    pub fn add_level(&self, fd: impl std::os::fd::AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Fills `ready` with (token, readable, writable).
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<(u64, bool, bool)>,
    ) -> io::Result<()> {
        self.events.clear();
        ready.clear();
        let timeout = timeout.map(|t| Timespec {
            tv_sec: t.as_secs().cast_signed(),
            tv_nsec: t.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let readable = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        ready.extend(self.events.iter().map(|event| {
            let flags = event.flags;
            (event.data.u64(), flags.intersects(readable), flags.contains(EventFlags::OUT))
        }));
        Ok(())
    }
}

pub fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let fd = stream_socket()?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    net::bind(&fd, &address)?;
    net::listen(&fd, 4096)?;
    Ok(fd)
}

pub fn local_port(fd: &OwnedFd) -> io::Result<u16> {
    Ok(SocketAddr::try_from(net::getsockname(fd)?)?.port())
}

pub fn accept(listener: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    match net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(fd) => {
            sockopt::set_tcp_nodelay(&fd, true)?;
            Ok(Some(fd))
        }
        Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Starts to connect; the socket is writable once that is done.
pub fn connect(address: SocketAddr) -> io::Result<OwnedFd> {
    let fd = stream_socket()?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    match net::connect(&fd, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(error) => Err(error.into()),
    }
}

fn stream_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?)
}

/// `None`: would block. `Some(0)`: end of stream.
pub fn recv(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    would_block(net::recv(fd, buffer, RecvFlags::empty()).map(|(_, got)| got))
}

pub fn send(fd: &OwnedFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    would_block(net::send(fd, bytes, SendFlags::NOSIGNAL))
}

fn would_block(result: Result<usize, Errno>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
