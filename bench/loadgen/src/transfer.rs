//! What client and origin speak over plain TCP: one byte that says the way, eight with the length,
//! then so many bytes of the pattern that way. Those who send up get one byte back: was it good?

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::pattern::Pattern;

pub const BUFFER: usize = 256 * 1024;
pub const GOOD: u8 = b'+';
pub const BAD: u8 = b'-';
const PIECE: usize = 64_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Down,
    Up,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    pub way: Way,
    pub size: usize,
}

impl Transfer {
    pub fn request(self) -> [u8; 9] {
        let mut bytes = [0; 9];
        let (way, size) = bytes.split_at_mut(1);
        way.copy_from_slice(match self.way {
            Way::Down => b"d",
            Way::Up => b"u",
        });
        size.copy_from_slice(&(self.size as u64).to_be_bytes());
        bytes
    }

    pub fn parse(request: [u8; 9]) -> Option<Self> {
        let [way, size @ ..] = request;
        let way = match way {
            b'd' => Way::Down,
            b'u' => Way::Up,
            _ => return None,
        };
        Some(Self { way, size: u64::from_be_bytes(size).try_into().ok()? })
    }
}

pub async fn send(socket: &mut TcpStream, pattern: &Pattern, size: usize) -> io::Result<()> {
    let mut sent = 0;
    while sent < size {
        let piece = pattern.slice(sent, PIECE.min(size - sent));
        socket.write_all(piece).await?;
        sent += piece.len();
    }
    Ok(())
}

/// Were they the right bytes?
pub async fn receive(
    socket: &mut TcpStream,
    pattern: &Pattern,
    size: usize,
    buffer: &mut [u8],
) -> io::Result<bool> {
    let (mut got, mut good) = (0, true);
    while got < size {
        let room = buffer.len().min(size - got);
        let count = socket.read(buffer.get_mut(..room).unwrap_or_default()).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        good &= pattern.matches(got, buffer.get(..count).unwrap_or_default());
        got += count;
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        for way in [Way::Down, Way::Up] {
            let transfer = Transfer { way, size: 1 << 40 };
            assert_eq!(Transfer::parse(transfer.request()), Some(transfer));
        }
        assert_eq!(Transfer::parse(*b"x12345678"), None);
    }
}
