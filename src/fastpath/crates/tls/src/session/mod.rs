//! One TLS connection, either side.

mod handshake;
mod record;
#[cfg(test)]
mod tests;
mod traffic;

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use self::handshake::{Handshake, Step};
use self::traffic::Traffic;
use crate::client::Variant;
use crate::error::TlsError;
use crate::info::{Info, LocalCertificate, Version};
use crate::key_log::LogFile;
use crate::ocsp::Ocsp;
use crate::server::ServerContext;

/// What a call to [`Session::receive`] met besides data.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The handshake ended in this call: [`Session::info`] is filled.
    pub handshake_done: bool,
    /// The peer sent close_notify: no more plaintext will come.
    pub closed: bool,
}

/// A connection. Without bytes in flight it holds two keys and its [`Info`].
pub struct Session {
    state: State,
    info: Arc<Info>,
    ocsp: Option<Ocsp>,
    close_sent: bool,
    /// A server's tickets leave with what it says first, as BoringSSL's do: that saves a write,
    /// and a client that does not read cannot stop a handshake with them.
    tickets: Vec<u8>,
}

enum State {
    Handshake(Box<Handshake>),
    Traffic(Box<Traffic>),
    /// After an error.
    Over,
}

impl Session {
    pub(crate) fn server(context: Arc<ServerContext>, key_log: Option<Arc<LogFile>>) -> Self {
        Self::new(Handshake::server(context, key_log))
    }

    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        alpn: Vec<Vec<u8>>,
        variant: Arc<Variant>,
        local: Option<Arc<LocalCertificate>>,
    ) -> Result<Self, TlsError> {
        let handshake = Handshake::client(config, name, alpn, variant, local)?;
        Ok(Self::new(handshake))
    }

    fn new(handshake: Handshake) -> Self {
        Self {
            state: State::Handshake(Box::new(handshake)),
            info: Arc::default(),
            ocsp: None,
            close_sent: false,
            tickets: Vec::new(),
        }
    }

    /// Client: the ClientHello. Nothing for a server.
    ///
    /// # Errors
    /// The handshake cannot begin.
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), TlsError> {
        self.receive(&mut [], &mut Vec::new(), out).map(|_| ())
    }

    /// Takes ciphertext that was read (all of it: a partial record is kept), appends plaintext to
    /// `plain` and what must be sent to `out`. `cipher` is overwritten.
    ///
    /// # Errors
    /// The connection is over; `out` may have an alert for the peer, which should still be sent.
    pub fn receive(
        &mut self,
        cipher: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        let start = out.len();
        let result = match &mut self.state {
            State::Traffic(traffic) => traffic.receive(cipher, plain, out),
            State::Handshake(_) => self.shake_hands(cipher, plain, out),
            State::Over => Err(TlsError::over()),
        };
        if result.is_err() {
            self.state = State::Over;
        }
        self.send_tickets(start, out);
        result
    }

    /// Encrypts; parts share records (head and body).
    ///
    /// # Errors
    /// Before the end of the handshake, after [`Session::close`], or after an error.
    pub fn send(&mut self, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), TlsError> {
        let start = out.len();
        let result = match &mut self.state {
            State::Traffic(traffic) if !self.close_sent => traffic.send(parts, out),
            State::Handshake(_) => Err(TlsError::internal("the handshake is not over")),
            _ => Err(TlsError::over()),
        };
        self.send_tickets(start, out);
        result
    }

    /// Appends close_notify, once.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        if let State::Traffic(traffic) = &mut self.state
            && !self.close_sent
            // It cannot fail but for a bug of AWS-LC's; then the peer sees a close without it.
            && traffic.close(out).is_err()
        {
            self.state = State::Over;
        }
        self.close_sent = true;
        self.send_tickets(start, out);
    }

    /// Puts tickets that wait before what was appended from `start` on, if anything was.
    fn send_tickets(&mut self, start: usize, out: &mut Vec<u8>) {
        if !self.tickets.is_empty() && out.len() > start {
            let tickets = std::mem::take(&mut self.tickets);
            out.splice(start..start, tickets);
        }
    }

    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshake(_))
    }

    #[must_use]
    pub fn info(&self) -> &Arc<Info> {
        &self.info
    }

    /// What became of the OCSP response that a client has asked for; from its ClientHello on.
    #[must_use]
    pub fn ocsp(&self) -> Option<Ocsp> {
        self.ocsp
    }

    fn shake_hands(
        &mut self,
        cipher: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        let State::Handshake(mut handshake) = std::mem::replace(&mut self.state, State::Over)
        else {
            return Err(TlsError::over());
        };
        let start = out.len();
        let step = handshake.receive(cipher, out);
        self.ocsp = handshake.ocsp;
        match step? {
            Step::More => {
                self.state = State::Handshake(handshake);
                Ok(Received::default())
            }
            Step::Closed => Ok(Received {
                handshake_done: false,
                closed: true,
            }),
            Step::Done => {
                let mut done = handshake.finish()?;
                self.info = Arc::new(done.info);
                if done.is_server && self.info.version == Some(Version::V1_3) {
                    // It has had its Finished with the first flight, so there is nothing else.
                    self.tickets = out.split_off(start);
                }
                // What came behind the handshake's last record.
                let received = done.traffic.receive(&mut done.rest, plain, out)?;
                self.state = State::Traffic(Box::new(done.traffic));
                Ok(Received {
                    handshake_done: true,
                    ..received
                })
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Handshake(_) => "handshake",
            State::Traffic(_) => "traffic",
            State::Over => "over",
        };
        f.debug_tuple("Session").field(&state).finish()
    }
}
