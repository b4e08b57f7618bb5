//! Protection of one direction's records: RFC 8446 §5.2 (TLS 1.3), RFC 5246 §6.2.3 with RFC 5288
//! (AES-GCM) and RFC 7905 (ChaCha20-Poly1305) for TLS 1.2.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;

use crate::error::{TlsError, reason};

/// Type, version, length.
pub(super) const HEADER: usize = 5;
/// Most plaintext of one record (RFC 8446 §5.1).
pub(super) const MAX_PLAINTEXT: usize = 1 << 14;
/// Most that a peer may put in a record: the expansion that TLS 1.2 allows, more than TLS 1.3's.
pub(super) const MAX_BODY: usize = MAX_PLAINTEXT + 2048;
const TAG: usize = 16;
const EXPLICIT_NONCE: usize = 8;
/// Both versions say TLS 1.2 on the wire.
pub(super) const VERSION: [u8; 2] = [3, 3];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    ChangeCipherSpec,
    Alert,
    Handshake,
    Data,
}

impl Content {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            20 => Some(Self::ChangeCipherSpec),
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::Data),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::ChangeCipherSpec => 20,
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::Data => 23,
        }
    }
}

/// How the nonce and the additional data are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Tls13,
    /// 4 bytes of salt, 8 explicit bytes in each record.
    Tls12Gcm,
    Tls12Chacha,
}

/// The key of one direction, and how often it was used.
pub(super) struct Protection {
    key: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    sequence: u64,
    scheme: Scheme,
}

impl Protection {
    pub(super) fn new(
        tls13: bool,
        sequence: u64,
        secrets: &ConnectionTrafficSecrets,
    ) -> Result<Self, TlsError> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&aead::CHACHA20_POLY1305, key, iv)
            }
            _ => return Err(TlsError::internal("a cipher that the record layer has not")),
        };
        let chacha = matches!(secrets, ConnectionTrafficSecrets::Chacha20Poly1305 { .. });
        let unbound = UnboundKey::new(algorithm, key.as_ref())
            .map_err(|_| TlsError::internal("a traffic key of the wrong length"))?;
        let iv = iv
            .as_ref()
            .try_into()
            .map_err(|_| TlsError::internal("a nonce of the wrong length"))?;
        Ok(Self {
            key: LessSafeKey::new(unbound),
            iv,
            sequence,
            scheme: match (tls13, chacha) {
                (true, _) => Scheme::Tls13,
                (false, true) => Scheme::Tls12Chacha,
                (false, false) => Scheme::Tls12Gcm,
            },
        })
    }

    pub(super) fn is_tls13(&self) -> bool {
        self.scheme == Scheme::Tls13
    }

    /// Records protected so far.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    #[cfg(test)]
    pub(super) fn set_sequence(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Appends one record with `len` bytes that `fill` appends to `out`.
    pub(super) fn seal(
        &mut self,
        content: Content,
        len: usize,
        fill: impl FnOnce(&mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        let (nonce, explicit) = self.nonce_to_send();
        let inner_type = usize::from(self.is_tls13());
        let explicit_len = if explicit.is_some() {
            EXPLICIT_NONCE
        } else {
            0
        };
        let body = len
            .saturating_add(explicit_len)
            .saturating_add(inner_type)
            .saturating_add(TAG);
        let header = self.header(content, body)?;
        let aad = self.additional_data(content, len, header);
        out.reserve(body.saturating_add(HEADER));
        out.extend_from_slice(&header);
        if let Some(explicit) = explicit {
            out.extend_from_slice(&explicit);
        }
        let start = out.len();
        fill(out);
        if self.is_tls13() {
            out.push(content.byte());
        }
        let text = out.get_mut(start..).unwrap_or_default();
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), text)
            .map_err(|_| TlsError::internal("encryption failed"))?;
        out.extend_from_slice(tag.as_ref());
        self.advance()
    }

    /// Decrypts the body of one record in place. `Err`: the record is forged or malformed.
    pub(super) fn open<'a>(
        &mut self,
        header: [u8; HEADER],
        body: &'a mut [u8],
    ) -> Result<(Content, &'a [u8]), OpenError> {
        let content = Content::from_byte(header[0]).ok_or(OpenError::Unexpected)?;
        if self.is_tls13() && content != Content::Data {
            return Err(OpenError::Unexpected);
        }
        let (nonce, text) = self.nonce_received(body)?;
        let len = text.len().checked_sub(TAG).ok_or(OpenError::BadMac)?;
        let aad = self.additional_data(content, len, header);
        let text = self
            .key
            .open_in_place(nonce, Aad::from(aad), text)
            .map_err(|_| OpenError::BadMac)?;
        self.advance().map_err(|_| OpenError::Exhausted)?;
        if self.is_tls13() {
            return inner(text);
        }
        if text.len() > MAX_PLAINTEXT {
            return Err(OpenError::TooLong);
        }
        Ok((content, text))
    }

    fn advance(&mut self) -> Result<(), TlsError> {
        // The nonce must not repeat; nobody sends 2^64 records.
        self.sequence = self
            .sequence
            .checked_add(1)
            .ok_or_else(|| TlsError::internal("the sequence number is used up"))?;
        Ok(())
    }

    fn header(&self, content: Content, body: usize) -> Result<[u8; HEADER], TlsError> {
        let outer = if self.is_tls13() {
            Content::Data
        } else {
            content
        };
        let [high, low] = u16::try_from(body)
            .map_err(|_| TlsError::internal("a record that is too long"))?
            .to_be_bytes();
        Ok([outer.byte(), VERSION[0], VERSION[1], high, low])
    }

    /// The nonce, and its part that goes into the record.
    fn nonce_to_send(&self) -> (Nonce, Option<[u8; EXPLICIT_NONCE]>) {
        let nonce = xor_sequence(self.iv, self.sequence);
        let explicit = (self.scheme == Scheme::Tls12Gcm).then(|| {
            let [_, _, _, _, explicit @ ..] = nonce;
            explicit
        });
        (Nonce::assume_unique_for_key(nonce), explicit)
    }

    fn nonce_received<'a>(&self, body: &'a mut [u8]) -> Result<(Nonce, &'a mut [u8]), OpenError> {
        if self.scheme != Scheme::Tls12Gcm {
            let nonce = xor_sequence(self.iv, self.sequence);
            return Ok((Nonce::assume_unique_for_key(nonce), body));
        }
        let (explicit, text) = body
            .split_first_chunk_mut::<EXPLICIT_NONCE>()
            .ok_or(OpenError::BadMac)?;
        let mut nonce = self.iv;
        nonce[4..].copy_from_slice(explicit);
        Ok((Nonce::assume_unique_for_key(nonce), text))
    }

    /// RFC 8446 §5.2: the header. RFC 5246 §6.2.3.3: sequence number, type, version, length.
    fn additional_data(
        &self,
        content: Content,
        len: usize,
        header: [u8; HEADER],
    ) -> AdditionalData {
        let mut bytes = [0; 13];
        if self.is_tls13() {
            bytes[..HEADER].copy_from_slice(&header);
            return AdditionalData { bytes, len: HEADER };
        }
        bytes[..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8] = content.byte();
        bytes[9..11].copy_from_slice(&VERSION);
        // At most MAX_BODY, which fits.
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        bytes[11..].copy_from_slice(&len.to_be_bytes());
        AdditionalData { bytes, len: 13 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenError {
    BadMac,
    TooLong,
    Unexpected,
    Exhausted,
}

impl OpenError {
    pub(super) fn alert(self) -> u8 {
        match self {
            Self::BadMac => 20,
            Self::TooLong => 22,
            Self::Unexpected => 10,
            Self::Exhausted => 80,
        }
    }

    pub(super) fn error(self) -> TlsError {
        TlsError::protocol(match self {
            Self::BadMac => reason::DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
            Self::TooLong => reason::DATA_LENGTH_TOO_LONG,
            Self::Unexpected => reason::UNEXPECTED_RECORD,
            Self::Exhausted => reason::INTERNAL_ERROR,
        })
    }
}

struct AdditionalData {
    bytes: [u8; 13],
    len: usize,
}

impl AsRef<[u8]> for AdditionalData {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// TLSInnerPlaintext (RFC 8446 §5.2): content, type, zeros.
fn inner(text: &[u8]) -> Result<(Content, &[u8]), OpenError> {
    let end = text
        .iter()
        .rposition(|byte| *byte != 0)
        .ok_or(OpenError::Unexpected)?;
    if end > MAX_PLAINTEXT {
        return Err(OpenError::TooLong);
    }
    let (text, kind) = text.split_at_checked(end).ok_or(OpenError::Unexpected)?;
    let kind = kind.first().copied().and_then(Content::from_byte);
    match kind {
        // Never encrypted (RFC 8446 §5).
        None | Some(Content::ChangeCipherSpec) => Err(OpenError::Unexpected),
        Some(kind) => Ok((kind, text)),
    }
}

/// RFC 8446 §5.3, RFC 7905 §2.
fn xor_sequence(mut iv: [u8; aead::NONCE_LEN], sequence: u64) -> [u8; aead::NONCE_LEN] {
    let [_, _, _, _, low @ ..] = &mut iv;
    for (byte, sequence) in low.iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= sequence;
    }
    iv
}
