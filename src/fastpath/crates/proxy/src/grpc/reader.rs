//! Messages out of a body: five bytes of head (is it compressed, how long is it), then the message.

/// Why a body is no sequence of messages that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody asked for compression.
    Compressed,
    TooLarge(u32),
}

#[derive(Debug)]
pub struct Reader {
    limit: u32,
    head: [u8; 5],
    head_len: usize,
    /// Of the message; known once its head is whole.
    size: usize,
    message: Vec<u8>,
}

/// Memory is taken as bytes come, whatever a head promises.
const RESERVE: usize = 64 * 1024;

impl Reader {
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            head: [0; 5],
            head_len: 0,
            size: 0,
            message: Vec::new(),
        }
    }

    /// Takes bytes up to the end of a message, which is returned with how many those were; `None`:
    /// all of them, and it is not whole.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<(usize, Vec<u8>)>, Fault> {
        let mut used = 0_usize;
        while let Some(slot) = self.head.get_mut(self.head_len) {
            let Some(byte) = bytes.get(used) else {
                return Ok(None);
            };
            *slot = *byte;
            used = used.saturating_add(1);
            self.head_len = self.head_len.saturating_add(1);
            if self.head_len == self.head.len() {
                let [flags, a, b, c, d] = self.head;
                let size = u32::from_be_bytes([a, b, c, d]);
                if size > self.limit {
                    return Err(Fault::TooLarge(size));
                }
                if flags != 0 && size > 0 {
                    return Err(Fault::Compressed);
                }
                self.size = usize::try_from(size).unwrap_or(usize::MAX);
                self.message = Vec::with_capacity(self.size.min(RESERVE));
            }
        }
        let rest = bytes.get(used..).unwrap_or_default();
        let missing = self.size.saturating_sub(self.message.len());
        let taken = rest.len().min(missing);
        self.message
            .extend_from_slice(rest.get(..taken).unwrap_or_default());
        used = used.saturating_add(taken);
        if taken < missing {
            return Ok(None);
        }
        self.head_len = 0;
        self.size = 0;
        Ok(Some((used, std::mem::take(&mut self.message))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(messages: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        for message in messages {
            body.push(0);
            body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            body.extend_from_slice(message);
        }
        body
    }

    fn read(reader: &mut Reader, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let mut messages = Vec::new();
        while let Some((used, message)) = reader.next(bytes)? {
            messages.push(message);
            bytes = bytes.get(used..).unwrap();
        }
        Ok(messages)
    }

    #[test]
    fn messages_come_out_however_they_are_cut() {
        let long = vec![7; 70_000];
        let sent: [&[u8]; 4] = [b"", b"a", &long, b""];
        let body = framed(&sent);
        for cut in [1, 2, 5, 6, 7, 69_999, 70_000, body.len()] {
            let mut reader = Reader::new(100_000);
            let mut got = Vec::new();
            for piece in body.chunks(cut) {
                got.extend(read(&mut reader, piece).unwrap());
            }
            assert_eq!(got, sent, "{cut}");
        }
    }

    #[test]
    fn what_is_too_large_or_compressed_is_refused_by_its_head() {
        let mut reader = Reader::new(10);
        assert_eq!(
            read(&mut reader, &framed(&[b"0123456789"])).unwrap().len(),
            1
        );
        assert_eq!(
            read(&mut reader, &[0, 0, 0, 0, 11]),
            Err(Fault::TooLarge(11))
        );
        let mut reader = Reader::new(10);
        assert_eq!(
            read(&mut reader, &[1, 0, 0, 0, 1, 0]),
            Err(Fault::Compressed)
        );
    }

    #[test]
    fn a_promise_takes_no_memory() {
        let mut reader = Reader::new(u32::MAX);
        assert_eq!(read(&mut reader, &[0, 0xff, 0xff, 0xff, 0xfe]), Ok(vec![]));
        assert!(reader.message.capacity() <= RESERVE);
    }
}
