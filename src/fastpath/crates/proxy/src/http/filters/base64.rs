//! Base64 (RFC 4648 §4) as it comes, in pieces of any size, into and out of gRPC-Web's text.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes text whose padding is mandatory. More may follow it: whoever sends messages one by one
/// pads each of them.
#[derive(Debug, Default)]
pub struct Decoder {
    bits: u32,
    digits: u8,
    padding: u8,
}

/// No base64, or cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

impl Decoder {
    pub fn decode(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
        for byte in text {
            let value = match byte {
                b'A'..=b'Z' => byte.wrapping_sub(b'A'),
                b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
                b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
                b'+' => 62,
                b'/' => 63,
                b'=' if self.digits >= 2 => {
                    self.padding = self.padding.saturating_add(1);
                    0
                }
                _ => return Err(Invalid),
            };
            if self.padding > 0 && *byte != b'=' {
                return Err(Invalid);
            }
            self.bits = (self.bits << 6) | u32::from(value);
            self.digits = self.digits.saturating_add(1);
            if self.digits == 4 {
                let [_, bytes @ ..] = self.bits.to_be_bytes();
                let kept = 3_usize.saturating_sub(usize::from(self.padding));
                let (kept, unused) = bytes.split_at_checked(kept).unwrap_or((&bytes, &[]));
                if unused.iter().any(|b| *b != 0) {
                    return Err(Invalid);
                }
                out.extend_from_slice(kept);
                *self = Self::default();
            }
        }
        Ok(())
    }

    /// Whether a group of four is complete, after which the text may end.
    pub fn is_whole(&self) -> bool {
        self.digits == 0
    }
}

/// Encodes pieces; `finish` pads.
#[derive(Debug, Default)]
pub struct Encoder {
    held: [u8; 3],
    len: usize,
}

impl Encoder {
    pub fn encode(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            if let Some(slot) = self.held.get_mut(self.len) {
                *slot = *byte;
            }
            self.len = self.len.saturating_add(1);
            if self.len == 3 {
                self.put(out);
            }
        }
    }

    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.len > 0 {
            self.put(out);
        }
    }

    fn put(&mut self, out: &mut Vec<u8>) {
        let [a, b, c] = self.held;
        let bits = u32::from_be_bytes([0, a, b, c]);
        for at in 0..4_usize {
            if at > self.len {
                out.push(b'=');
                continue;
            }
            let shift = [18, 12, 6, 0].get(at).copied().unwrap_or(0);
            let digit = usize::try_from((bits >> shift) & 63).unwrap_or(0);
            out.push(ALPHABET.get(digit).copied().unwrap_or(b'A'));
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &[u8], cut: usize) -> Result<Vec<u8>, Invalid> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in text.chunks(cut.max(1)) {
            decoder.decode(piece, &mut out)?;
        }
        if decoder.is_whole() {
            Ok(out)
        } else {
            Err(Invalid)
        }
    }

    #[test]
    fn both_ways() {
        for (plain, text) in [
            (&b""[..], &b""[..]),
            (b"f", b"Zg=="),
            (b"fo", b"Zm8="),
            (b"foo", b"Zm9v"),
            (b"foobar", b"Zm9vYmFy"),
            (b"\xff\xef\xbe", b"/+++"),
        ] {
            for cut in 1..=8 {
                assert_eq!(decode(text, cut).as_deref(), Ok(plain));
                let twice = (text.repeat(2), plain.repeat(2));
                assert_eq!(decode(&twice.0, cut), Ok(twice.1));
                let (mut encoder, mut out) = (Encoder::default(), Vec::new());
                for piece in plain.chunks(cut) {
                    encoder.encode(piece, &mut out);
                }
                encoder.finish(&mut out);
                assert_eq!(out, text);
            }
        }
    }

    #[test]
    fn refused() {
        for text in [
            &b"Zg="[..],
            b"Zg",
            b"!!!!",
            b"=AAA",
            b"Z===",
            b"Zh==",
            b"Zg=A",
        ] {
            assert_eq!(decode(text, 4), Err(Invalid), "{text:?}");
        }
    }
}
