//! Just enough of RFC 6455 for both ends: the opening handshake, and frames that are whole messages.

use std::io;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::head_len;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
/// Nobody here sends more.
const MAX_PAYLOAD: usize = 1 << 20;

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
pub fn accept(key: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    STANDARD.encode(context.finish())
}

/// A message, or what stands in for one: opcode and payload without its mask.
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// Reads heads and frames; keeps what came early.
pub struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    pub fn new() -> Self {
        Self { buffer: Vec::with_capacity(4096) }
    }

    /// An HTTP head with its blank line; `None`: the other side closed.
    pub async fn head(&mut self, socket: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = head_len(&self.buffer) {
                return Ok(Some(self.buffer.drain(..end).collect()));
            }
            if self.buffer.len() > MAX_PAYLOAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if socket.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next frame; `None`: the other side closed. `masked`: whether it must be.
    pub async fn frame(
        &mut self,
        socket: &mut TcpStream,
        masked: bool,
    ) -> io::Result<Option<Frame>> {
        loop {
            if let Some((frame, used)) = decode(&self.buffer, masked)? {
                self.buffer.drain(..used);
                return Ok(Some(frame));
            }
            if socket.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

pub async fn write(
    socket: &mut TcpStream,
    scratch: &mut Vec<u8>,
    opcode: u8,
    payload: &[u8],
    mask: Option<[u8; 4]>,
) -> io::Result<()> {
    scratch.clear();
    encode(scratch, opcode, payload, mask);
    socket.write_all(scratch).await
}

fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let bit = if mask.is_some() { MASKED } else { 0 };
    out.push(FINAL | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(bit | length as u8),
        length @ 126..=0xFFFF => {
            out.push(bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let start = match mask {
        Some(key) => {
            out.extend_from_slice(&key);
            out.len()
        }
        None => out.len(),
    };
    out.extend_from_slice(payload);
    if let (Some(key), Some(bytes)) = (mask, out.get_mut(start..)) {
        apply(key, bytes);
    }
}

/// The frame at the start of `bytes` and its length, once all of it is there.
fn decode(bytes: &[u8], masked: bool) -> io::Result<Option<(Frame, usize)>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    if first & 0xF0 != FINAL || (second & MASKED != 0) != masked {
        return Err(invalid());
    }
    let (length, rest) = match second & 0x7F {
        126 => match rest.split_first_chunk::<2>() {
            Some((&length, rest)) => (u64::from(u16::from_be_bytes(length)), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((&length, rest)) => (u64::from_be_bytes(length), rest),
            None => return Ok(None),
        },
        length => (u64::from(length), rest),
    };
    let length = usize::try_from(length).ok().filter(|&length| length <= MAX_PAYLOAD);
    let length = length.ok_or_else(invalid)?;
    let (key, rest) = if masked {
        let Some((&key, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        (Some(key), rest)
    } else {
        (None, rest)
    };
    let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    let mut payload = payload.to_vec();
    if let Some(key) = key {
        apply(key, &mut payload);
    }
    Ok(Some((Frame { opcode: first & 0x0F, payload }, bytes.len() - rest.len())))
}

fn apply(key: [u8; 4], bytes: &mut [u8]) {
    for (byte, key) in bytes.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_rfc_6455_section_1_3() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn frames_of_every_length_form() {
        for (length, mask) in
            [(0, None), (125, Some([1, 2, 3, 4])), (126, None), (0x1_0000, Some([9, 0, 255, 7]))]
        {
            let payload: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut wire = Vec::new();
            encode(&mut wire, BINARY, &payload, mask);
            for cut in [0, 1, wire.len() - 1] {
                assert!(decode(&wire[..cut], mask.is_some()).unwrap().is_none());
            }
            let (frame, used) = decode(&wire, mask.is_some()).unwrap().unwrap();
            assert_eq!((frame.opcode, used), (BINARY, wire.len()));
            assert_eq!(frame.payload, payload);
            assert!(decode(&wire, mask.is_none()).is_err());
        }
    }
}
