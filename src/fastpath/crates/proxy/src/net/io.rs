//! A connected socket as the protocols see it: plaintext in, plaintext out, whether or not TLS is
//! spoken under them.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use model::resources::address::Address;
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown};
use tls::{Info, Ocsp, Received, Session, TlsError};

use super::ahead::Ahead;
use super::out_buffer::{Gone, OutBuffer};

/// The read buffer, one a worker. 128 KiB moves large bodies with few calls and stays in L2.
const SCRATCH_BYTES: usize = 128 * 1024;
/// Ciphertext buffers above this are given back after a write.
const KEEP_CIPHER: usize = 256 * 1024;

thread_local! {
    /// What was encrypted and is about to be written: one a worker.
    static CIPHER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What reads fill: one a worker, taken out for the time of a read and what follows from it.
#[derive(Debug)]
pub struct Scratch {
    raw: Box<[u8]>,
    plain: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            raw: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            plain: Vec::new(),
        }
    }
}

impl Scratch {
    /// Stands in while the real one is taken out. Whoever reads in the meantime, which is rare,
    /// makes a real one of it: a read into no room at all would look like the end.
    pub fn none() -> Self {
        Self {
            raw: Box::default(),
            plain: Vec::new(),
        }
    }

    /// The room that a read fills; more than any datagram takes.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.raw.is_empty() {
            *self = Self::default();
        }
        &mut self.raw
    }
}

/// What a read gave.
#[derive(Debug)]
pub enum Input<'a> {
    /// `drained`: the read took all there was; what comes later brings an event (epoll(7)). The
    /// bytes may be none: half a record.
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
    ahead: Ahead,
    out: OutBuffer,
    tls: Option<Box<Tls>>,
    /// Our side ends when all that waits is written.
    finishing: bool,
    refused: Option<Errno>,
}

#[derive(Debug)]
struct Tls {
    session: Session,
    /// close_notify has come.
    closed: bool,
    failure: Option<TlsError>,
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
            ahead: Ahead::default(),
            out: OutBuffer::default(),
            tls: None,
            finishing: false,
            refused: None,
        }
    }

    /// A connection under way, as `socket::connect` has it: with the error that was there at once.
    pub fn connecting((fd, refused): (OwnedFd, Option<Errno>)) -> Self {
        let mut io = Self::plain(fd);
        io.refused = refused;
        io
    }

    /// Why there is no connection, if that was known at once. Like any other end of connecting it
    /// is told by an event: epoll has one for a socket that is not connected.
    pub fn refused(&self) -> Option<Errno> {
        self.refused
    }

    /// From here on TLS is spoken. A client's first bytes leave at once.
    pub fn start_tls(&mut self, mut session: Session) -> Result<(), Gone> {
        let mut first = Vec::new();
        let failure = session.start(&mut first).err();
        self.tls = Some(Box::new(Tls {
            session,
            closed: false,
            failure,
        }));
        if first.is_empty() {
            return Ok(());
        }
        self.out.write(&self.fd, &first, b"")
    }

    pub fn is_handshaking(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|t| t.session.is_handshaking())
    }

    /// Why TLS failed, if it did.
    pub fn tls_failure(&self) -> Option<&TlsError> {
        self.tls.as_ref()?.failure.as_ref()
    }

    /// What became of the OCSP response that a client has asked for.
    pub fn tls_ocsp(&self) -> Option<Ocsp> {
        self.tls.as_ref()?.session.ocsp()
    }

    /// What the handshake agreed on; `None`: plain.
    pub fn tls_info(&self) -> Option<&Arc<Info>> {
        self.tls.as_ref().map(|t| t.session.info())
    }

    /// Whether bytes go as they are.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Reads before it is this connection's turn, for the `read` that will come.
    pub fn read_ahead(&mut self) {
        self.ahead.fill(&self.fd);
    }

    pub fn read<'a>(&mut self, scratch: &'a mut Scratch) -> Input<'a> {
        self.read_into(&[], usize::MAX, scratch)
    }

    /// Reads at most that many bytes from the socket; a whole TLS record may come of the last.
    pub fn read_at_most<'a>(&mut self, most: usize, scratch: &'a mut Scratch) -> Input<'a> {
        self.read_into(&[], most, scratch)
    }

    /// What is read is given behind `held`, which is less than half of the read buffer.
    pub fn read_behind<'a>(&mut self, held: &[u8], scratch: &'a mut Scratch) -> Input<'a> {
        self.read_into(held, usize::MAX, scratch)
    }

    fn read_into<'a>(&mut self, held: &[u8], most: usize, scratch: &'a mut Scratch) -> Input<'a> {
        if self.tls.as_ref().is_some_and(|t| t.closed) {
            return Input::Eof;
        }
        let start = if self.tls.is_none() { held.len() } else { 0 };
        let Some((front, room)) = scratch.room().split_at_mut_checked(start) else {
            return Input::Broken;
        };
        let most = room.len().min(most);
        let room = room.get_mut(..most).unwrap_or_default();
        let read = match self.ahead.take(room) {
            Some(read) => read,
            None => rustix::net::recv(&self.fd, &mut *room, RecvFlags::empty()).map(|(n, _)| {
                self.ahead.note_read(n);
                (n, n < room.len())
            }),
        };
        let (n, drained) = match read {
            Ok((0, _)) => return Input::Eof,
            Ok(read) => read,
            Err(Errno::AGAIN) => return Input::Empty,
            Err(Errno::INTR) => return Input::Interrupted,
            Err(_) => return Input::Broken,
        };
        if self.tls.is_none() {
            front.copy_from_slice(held);
            let bytes = scratch.raw.get(..start.saturating_add(n));
            return Input::Data {
                bytes: bytes.unwrap_or_default(),
                drained,
            };
        }
        let Some(raw) = scratch.raw.get_mut(..n) else {
            return Input::Broken;
        };
        scratch.plain.clear();
        scratch.plain.extend_from_slice(held);
        match self.decrypt(raw, &mut scratch.plain) {
            None => Input::Broken,
            Some(received) if received.closed && scratch.plain.len() == held.len() => Input::Eof,
            Some(received) => Input::Data {
                bytes: &scratch.plain,
                // The end is told by the next read.
                drained: drained && !received.closed,
            },
        }
    }

    /// Takes ciphertext that was read before TLS was known to be spoken.
    pub fn feed_tls(&mut self, cipher: &mut [u8], plain: &mut Vec<u8>) -> bool {
        self.decrypt(cipher, plain).is_some()
    }

    /// `None`: the session is over, and why is kept.
    fn decrypt(&mut self, cipher: &mut [u8], plain: &mut Vec<u8>) -> Option<Received> {
        let Self { fd, out, tls, .. } = self;
        let tls = tls.as_mut()?;
        CIPHER.with_borrow_mut(|answer| {
            answer.clear();
            let result = tls.session.receive(cipher, plain, answer);
            // An alert, too, is to be sent. Whether it arrives shows in the next read.
            if !answer.is_empty() && out.write(&*fd, answer, b"").is_err() {
                return None;
            }
            match result {
                Ok(received) => {
                    tls.closed |= received.closed;
                    Some(received)
                }
                Err(error) => {
                    tls.failure = Some(error);
                    None
                }
            }
        })
    }

    /// Writes `head` then `body` (after whatever waits); keeps what the socket does not take.
    pub fn write(&mut self, head: &[u8], body: &[u8]) -> Result<(), Gone> {
        self.write_parts([head, body, b""])
    }

    /// The same of three parts.
    pub fn write_parts(&mut self, parts: [&[u8]; 3]) -> Result<(), Gone> {
        let Some(tls) = &mut self.tls else {
            return self.out.write_parts(&self.fd, parts);
        };
        CIPHER.with_borrow_mut(|cipher| {
            cipher.clear();
            if let Err(error) = tls.session.send(&parts, cipher) {
                tls.failure = Some(error);
                return Err(Gone(Errno::PROTO));
            }
            let written = self.out.write(&self.fd, cipher, b"");
            if cipher.capacity() > KEEP_CIPHER {
                *cipher = Vec::new();
            }
            written
        })
    }

    /// `write_parts`, but what is small waits for `send_waiting`, which the caller must see to:
    /// `Ok(true)` says so, once.
    pub fn write_later(&mut self, parts: [&[u8]; 3]) -> Result<bool, Gone> {
        let waited = self.out.is_untried();
        let bytes = parts.iter().map(|part| part.len()).sum();
        let Some(out) = self.out.later(bytes) else {
            return self.write_parts(parts).map(|()| false);
        };
        match &mut self.tls {
            None => parts.iter().for_each(|part| out.extend_from_slice(part)),
            Some(tls) => {
                if let Err(error) = tls.session.send(&parts, out) {
                    tls.failure = Some(error);
                    return Err(Gone(Errno::PROTO));
                }
            }
        }
        Ok(!waited)
    }

    /// Sends what `write_later` kept. What the socket does not take becomes backlog.
    pub fn send_waiting(&mut self) -> Result<(), Gone> {
        if self.out.is_untried() {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what waits. Ok(true): all gone.
    pub fn flush(&mut self) -> Result<bool, Gone> {
        let is_empty = self.out.flush(&self.fd)?;
        if is_empty && self.finishing {
            self.end_side()?;
        }
        Ok(is_empty)
    }

    /// Ends our side, as soon as all that waits is written. The peer's side goes on.
    pub fn finish(&mut self) -> Result<(), Gone> {
        self.say_goodbye();
        self.send_waiting()?;
        self.finishing = true;
        if self.out.refused() == 0 {
            self.end_side()?;
        }
        Ok(())
    }

    fn end_side(&mut self) -> Result<(), Gone> {
        self.finishing = false;
        rustix::net::shutdown(&self.fd, Shutdown::Write).map_err(Gone)
    }

    /// Bytes that the socket has not taken yet; what waits for the end of the turn is not among
    /// them.
    pub fn backlog(&self) -> usize {
        self.out.refused()
    }

    /// Forgets what waits: the peer is gone.
    pub fn forget(&mut self) {
        self.out.clear();
    }

    pub fn local_address(&self) -> Option<Address> {
        super::socket::local_address(&self.fd)
    }

    /// Tells a TLS peer that no more will come, so that it can tell an end from a cut. Our side
    /// must end right after.
    pub fn say_goodbye(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        let mut bye = Vec::new();
        tls.session.close(&mut bye);
        if !bye.is_empty() {
            // The peer may be gone already, and then nobody misses it.
            let _ = self.out.write_last(&self.fd, &bye);
        }
    }

    /// The peer gets a reset when this is dropped, and what it has not taken is gone.
    pub fn cut_on_close(&self) {
        // Fails if the peer has reset it first: there is nobody to tell.
        let _ = rustix::net::sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
    }

    /// Ends our side. False: the peer is gone already.
    pub fn shutdown(&mut self) -> bool {
        self.say_goodbye();
        self.send_waiting().is_ok() && rustix::net::shutdown(&self.fd, Shutdown::Write).is_ok()
    }
}

impl Drop for Io {
    /// What was given to a connection leaves, even if it closes in the same turn.
    fn drop(&mut self) {
        // The peer may be gone already, and then nobody misses it.
        let _ = self.send_waiting();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_read_while_the_buffer_is_taken_out_is_not_the_end() {
        let flags = SocketFlags::NONBLOCK;
        let (ours, peer) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let mut io = Io::plain(ours);
        UnixStream::from(peer).write_all(b"hello").unwrap();
        let mut stand_in = Scratch::none();
        match io.read(&mut stand_in) {
            Input::Data { bytes, drained } => assert_eq!((bytes, drained), (&b"hello"[..], true)),
            other => panic!("{other:?}"),
        }
        assert!(matches!(io.read(&mut stand_in), Input::Eof));
    }

    /// What was given to a connection leaves before its end, and if it is closed in the same turn.
    #[test]
    fn what_may_wait_leaves_before_the_end() {
        type Close = fn(Io);
        let ways: [Close; 4] = [
            drop,
            |mut io| assert!(io.shutdown()),
            |mut io| io.finish().unwrap(),
            |mut io| io.send_waiting().unwrap(),
        ];
        for close in ways {
            let flags = SocketFlags::NONBLOCK;
            let (ours, peer) =
                socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            let mut io = Io::plain(ours);
            assert_eq!(io.write_later([b"one", b" ", b"two"]), Ok(true));
            assert_eq!(io.write_later([b" three", b"", b""]), Ok(false));
            assert_eq!(io.backlog(), 0);
            let mut peer = UnixStream::from(peer);
            assert!(peer.read(&mut [0; 1]).is_err());
            close(io);
            let mut got = Vec::new();
            peer.read_to_end(&mut got).unwrap();
            assert_eq!(got, b"one two three");
        }
    }

    #[test]
    fn what_was_read_ahead_comes_first() {
        let flags = SocketFlags::NONBLOCK;
        let (ours, peer) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let (mut io, mut peer) = (Io::plain(ours), UnixStream::from(peer));
        let mut scratch = Scratch::default();
        peer.write_all(b"ahead").unwrap();
        io.read_ahead();
        peer.write_all(b", behind").unwrap();
        drop(peer);
        for (most, expected, was_all) in [
            (2, &b"ah"[..], false),
            (9, b"ead", true),
            (99, b", behind", true),
        ] {
            match io.read_at_most(most, &mut scratch) {
                Input::Data { bytes, drained } => assert_eq!((bytes, drained), (expected, was_all)),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(io.read(&mut scratch), Input::Eof));
    }
}
