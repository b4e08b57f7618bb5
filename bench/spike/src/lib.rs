//! What the three loops share: the arguments, and just enough of HTTP/1.1 to see where a message
//! ends.

use std::net::SocketAddr;

use memchr::{memchr_iter, memmem::find};

/// `<binary> LISTEN UPSTREAM`
pub fn addresses() -> Result<(SocketAddr, SocketAddr), String> {
    let mut words = std::env::args().skip(1);
    let mut next = |what| {
        let word: String = words.next().ok_or(format!("missing {what} address"))?;
        word.parse().map_err(|_| format!("not an address: {word}"))
    };
    Ok((next("listen")?, next("upstream")?))
}

/// The whole length of the message that `bytes` begin with, once its head is there.
pub fn message_len(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    Some(head + content_length(&bytes[..head]).unwrap_or(0))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    memchr_iter(b'\n', head).find_map(|newline| {
        let line = &head[newline + 1..];
        let value = line.get(NAME.len()..)?;
        if !line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            return None;
        }
        let end = memchr::memchr(b'\r', value)?;
        std::str::from_utf8(&value[..end]).ok()?.trim().parse().ok()
    })
}

/// How much of the current message is still to come.
#[derive(Default)]
pub struct Framer {
    partial: Vec<u8>,
    left: usize,
}

pub enum Piece {
    /// The head is not complete yet.
    Wait,
    /// Forward these bytes; `true`: they end the message.
    Forward(Vec<u8>, bool),
    /// The same, for the bytes that were given.
    ForwardGiven(bool),
    /// More bytes than the message has.
    Bad,
}

impl Framer {
    pub fn feed(&mut self, bytes: &[u8]) -> Piece {
        if self.left > 0 {
            let Some(left) = self.left.checked_sub(bytes.len()) else { return Piece::Bad };
            self.left = left;
            return Piece::ForwardGiven(left == 0);
        }
        if self.partial.is_empty() {
            return match self.begin(bytes) {
                Ok(Some(done)) => Piece::ForwardGiven(done),
                Ok(None) => {
                    self.partial.extend_from_slice(bytes);
                    Piece::Wait
                }
                Err(()) => Piece::Bad,
            };
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        match self.begin(&whole) {
            Ok(Some(done)) => Piece::Forward(whole, done),
            Ok(None) => {
                self.partial = whole;
                Piece::Wait
            }
            Err(()) => Piece::Bad,
        }
    }

    fn begin(&mut self, bytes: &[u8]) -> Result<Option<bool>, ()> {
        let Some(len) = message_len(bytes) else { return Ok(None) };
        self.left = len.checked_sub(bytes.len()).ok_or(())?;
        Ok(Some(self.left == 0))
    }
}
