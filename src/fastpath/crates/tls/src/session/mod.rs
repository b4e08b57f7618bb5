//! One TLS connection, either side.

use std::sync::Arc;

use crate::error::TlsError;
use crate::info::Info;

/// What a call to [`Session::receive`] met besides data.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The handshake ended in this call: [`Session::info`] is filled.
    pub handshake_done: bool,
    /// The peer sent close_notify: no more plaintext will come.
    pub closed: bool,
}

#[derive(Debug, Default)]
pub struct Session {
    info: Arc<Info>,
}

impl Session {
    /// Client: the ClientHello. Nothing for a server.
    ///
    /// # Errors
    /// The handshake cannot begin.
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), TlsError> {
        let _ = out;
        Ok(())
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
        let _ = (cipher, plain, out);
        Ok(Received::default())
    }

    /// Encrypts; parts share records (head and body).
    ///
    /// # Errors
    /// Before the end of the handshake, after [`Session::close`], or when keys are used up.
    pub fn send(&mut self, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), TlsError> {
        let _ = (parts, out);
        Ok(())
    }

    /// Appends close_notify, once.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        true
    }

    #[must_use]
    pub fn info(&self) -> &Arc<Info> {
        &self.info
    }
}
