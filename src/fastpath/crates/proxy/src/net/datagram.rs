//! A UDP socket that talks with one peer: a datagram a call.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use model::resources::address::Address;
use rustix::io::{Errno, Result};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

use super::io::Scratch;
use super::socket::family;

/// Errors of earlier datagrams (ICMP) that one look may find before what is there.
const MAX_ERRORS: usize = 8;

#[derive(Debug)]
pub struct DatagramSocket(OwnedFd);

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl DatagramSocket {
    /// Nothing is sent by this; it fails where there is no way to the peer.
    pub fn connect(peer: &Address) -> Result<Self> {
        let peer = peer.socket_addr().ok_or(Errno::AFNOSUPPORT)?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let kind = SocketType::DGRAM;
        let fd = rustix::net::socket_with(family(&peer), kind, flags, Some(ipproto::UDP))?;
        rustix::net::connect(&fd, &peer)?;
        Ok(Self(fd))
    }

    /// An error says that this datagram is lost.
    pub fn send(&self, payload: &[u8]) -> Result<()> {
        match self.send_once(payload) {
            // Of an earlier one: nobody was there. Perhaps somebody is now.
            Err(Errno::CONNREFUSED | Errno::INTR) => self.send_once(payload),
            sent => sent,
        }
    }

    fn send_once(&self, payload: &[u8]) -> Result<()> {
        rustix::net::send(&self.0, payload, SendFlags::NOSIGNAL).map(|_| ())
    }

    /// The next datagram, which may be empty; `None`: no more are there, the next one brings an
    /// event.
    pub fn receive<'a>(&self, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
        let room = scratch.room();
        for _ in 0..MAX_ERRORS {
            match rustix::net::recv(&self.0, &mut *room, RecvFlags::empty()) {
                Ok((n, _)) => return room.get(..n),
                Err(Errno::AGAIN) => return None,
                // What became of datagrams that we sent: they are lost, which UDP is free to do.
                Err(_) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn pair() -> (UdpSocket, DatagramSocket) {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(peer.local_addr().unwrap());
        (peer, DatagramSocket::connect(&address).unwrap())
    }

    #[test]
    fn datagrams_there_and_back() {
        let (peer, ours) = pair();
        let mut scratch = Scratch::none();
        assert_eq!(ours.receive(&mut scratch), None);
        for payload in [&b""[..], b"hello", &[7; 65_507]] {
            ours.send(payload).unwrap();
            let mut got = vec![0; 70_000];
            let (n, from) = peer.recv_from(&mut got).unwrap();
            assert_eq!(got.get(..n), Some(payload));
            peer.send_to(payload, from).unwrap();
            assert_eq!(ours.receive(&mut scratch), Some(payload));
        }
        assert_eq!(ours.send(&[0; 65_508]), Err(Errno::MSGSIZE));
        assert_eq!(ours.receive(&mut scratch), None);
    }

    #[test]
    fn nobody_there_is_no_error_of_the_next_datagram() {
        let (peer, ours) = pair();
        let address = peer.local_addr().unwrap();
        drop(peer);
        ours.send(b"to nobody").unwrap();
        let peer = UdpSocket::bind(address).unwrap();
        ours.send(b"hello").unwrap();
        let mut got = [0; 16];
        assert_eq!(peer.recv(&mut got).unwrap(), 5);
    }

    #[test]
    fn a_pipe_takes_no_datagrams_of_ours() {
        let pipe = Address::Pipe("/run/a.sock".into());
        let failed = DatagramSocket::connect(&pipe).err();
        assert_eq!(failed, Some(Errno::AFNOSUPPORT));
    }
}
