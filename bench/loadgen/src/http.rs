//! Just enough of HTTP/1.1 for both ends; neither end is under test.

use memchr::memmem::find;

/// Length of the head with its blank line, once all of it is there.
pub fn head_len(bytes: &[u8]) -> Option<usize> {
    find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The value of the first header called `name` (lower case).
pub fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&b| b == b'\n').skip(1).find_map(|line| {
        let (field, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        field.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

pub fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

/// `HTTP/1.1 200 OK` → 200
pub fn status(head: &[u8]) -> Option<u16> {
    if !head.starts_with(b"HTTP/1.") {
        return None;
    }
    number(head.get(9..12)?)?.try_into().ok()
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Framing {
    None,
    Length(usize),
    Chunked,
}

pub fn framing(head: &[u8]) -> Option<Framing> {
    if let Some(length) = header(head, b"content-length") {
        return number(length).map(Framing::Length);
    }
    match header(head, b"transfer-encoding") {
        Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => Some(Framing::Chunked),
        Some(_) => None,
        None => Some(Framing::None),
    }
}

pub fn says_close(head: &[u8]) -> bool {
    header(head, b"connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"))
}

/// Takes chunked framing off a body that comes in pieces.
#[derive(Default)]
pub struct Dechunker {
    size_line: Vec<u8>,
    state: Chunk,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    #[default]
    Size,
    Data(usize),
    DataEnd(usize),
    Trailer,
    Done,
}

impl Dechunker {
    /// Feeds `bytes`, calls `on_data` for each piece of body; `Ok(true)` once the body is complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut on_data: impl FnMut(&[u8])) -> Result<bool, ()> {
        while !bytes.is_empty() {
            match self.state {
                Chunk::Size | Chunk::Trailer => {
                    let Some((line, rest)) = self.take_line(bytes) else { return Ok(false) };
                    bytes = rest;
                    self.state = match self.state {
                        Chunk::Trailer if line.is_empty() => Chunk::Done,
                        Chunk::Trailer => Chunk::Trailer,
                        _ => match hex(&line)? {
                            0 => Chunk::Trailer,
                            size => Chunk::Data(size),
                        },
                    };
                }
                Chunk::Data(left) => {
                    let (now, rest) = bytes.split_at(left.min(bytes.len()));
                    on_data(now);
                    bytes = rest;
                    self.state = match left - now.len() {
                        0 => Chunk::DataEnd(2),
                        left => Chunk::Data(left),
                    };
                }
                Chunk::DataEnd(left) => {
                    bytes = bytes.get(1..).unwrap_or_default();
                    self.state = if left == 1 { Chunk::Size } else { Chunk::DataEnd(1) };
                }
                Chunk::Done => return Err(()),
            }
        }
        Ok(self.state == Chunk::Done)
    }

    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.size_line.extend_from_slice(bytes);
            return None;
        };
        let (line, rest) = bytes.split_at(end + 1);
        self.size_line.extend_from_slice(line);
        let line = self.size_line.trim_ascii_end().to_vec();
        self.size_line.clear();
        Some((line, rest))
    }
}

fn hex(line: &[u8]) -> Result<usize, ()> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default();
    let digits = std::str::from_utf8(digits).map_err(|_| ())?;
    usize::from_str_radix(digits.trim(), 16).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = b"HTTP/1.1 204 No Content\r\nContent-Length:  12 \r\nConnection: Close\r\n\r\nx";
        assert_eq!(head_len(head), Some(head.len() - 1));
        assert_eq!(status(head), Some(204));
        assert_eq!(framing(head), Some(Framing::Length(12)));
        assert!(says_close(head));
        assert_eq!(framing(b"GET / HTTP/1.1\r\n\r\n"), Some(Framing::None));
        assert_eq!(framing(b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n"), None);
    }

    #[test]
    fn chunks_in_any_cut() {
        let wire = b"5\r\nhello\r\n7;ext=1\r\n, chunk\r\n0\r\nt: 1\r\n\r\n";
        for cut in 0..wire.len() {
            let (mut body, mut dechunker) = (Vec::new(), Dechunker::default());
            let (first, second) = wire.split_at(cut);
            assert_eq!(dechunker.feed(first, |b| body.extend_from_slice(b)), Ok(false));
            assert_eq!(dechunker.feed(second, |b| body.extend_from_slice(b)), Ok(true));
            assert_eq!(body, b"hello, chunk");
        }
    }
}
