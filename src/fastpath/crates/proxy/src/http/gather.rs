//! A request's body that a filter wants to see before the request goes on. It is only looked at: its
//! bytes stay where they wait for the host, and go there as they came.

use proto::HeaderMap;
use proto::h1::{BodyDecoder, BodyError, BodyEvent, BodyLimits};

use super::downstream::Downstream;
use super::filters::Reply;
use super::stream::Stream;
use super::upgrade::Tunnel;
use crate::http2::carrier::Carrier;
use crate::telemetry::stats::HcmCounter;
use crate::upstream::upload::{Outcome, Taken};
use crate::worker::Worker;

/// Bytes of framing that are held for each byte of a body, and for all of it.
const MOST_FRAMING: usize = 8;
const FRAMING_OF_ALL: usize = 128 * 1024;

#[derive(Debug)]
pub struct Gather {
    decoder: BodyDecoder,
    /// Bytes of the client's that were looked at.
    seen: usize,
    /// What they say.
    pub body: Vec<u8>,
    most: usize,
    allow_partial: bool,
    is_done: bool,
}

/// Whether more of the body is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathered {
    More,
    Done,
}

#[derive(Debug, PartialEq, Eq)]
enum Look {
    More,
    /// All of it is here, or as much as is wanted.
    Done,
    TooLarge,
    Bad(BodyError),
}

impl Gather {
    /// Up to `most` bytes. A longer body is cut if it may be, else its request is refused.
    pub fn new(s: &Stream, most: usize, allow_partial: bool) -> Self {
        Self {
            decoder: s.request_decoder,
            seen: 0,
            body: Vec::new(),
            most,
            allow_partial,
            is_done: false,
        }
    }

    /// `bytes`: of the body and its framing, from the start.
    fn look(&mut self, carrier: &Carrier, bytes: &[u8]) -> Look {
        let is_whole = match carrier {
            Carrier::Socket(_) => match self.decode(bytes) {
                Ok(is_whole) => is_whole,
                Err(error) => return Look::Bad(error),
            },
            Carrier::Stream(carrier) => {
                let new = bytes.get(self.seen..).unwrap_or_default();
                self.body.extend_from_slice(new);
                self.seen = bytes.len();
                carrier.ended
            }
        };
        let framing = self.most.saturating_mul(MOST_FRAMING);
        let most_raw = framing.saturating_add(FRAMING_OF_ALL).max(self.most);
        let look = match (self.body.len(), self.allow_partial) {
            (len, false) if len > self.most => Look::TooLarge,
            (len, true) if len >= self.most => Look::Done,
            _ if is_whole => Look::Done,
            _ if bytes.len() > most_raw => Look::TooLarge,
            _ => Look::More,
        };
        self.is_done = look != Look::More;
        look
    }

    /// HTTP/1.1. True: the body is complete.
    fn decode(&mut self, bytes: &[u8]) -> Result<bool, BodyError> {
        let limits = BodyLimits::default();
        // The router reads them again.
        let mut trailers = HeaderMap::new();
        loop {
            let rest = bytes.get(self.seen..).unwrap_or_default();
            let (used, event) = self.decoder.next(rest, Some(&mut trailers), &limits)?;
            self.seen = self.seen.saturating_add(used);
            match event {
                BodyEvent::Data { start, len } => {
                    let data = rest.get(start..start.saturating_add(len));
                    self.body.extend_from_slice(data.unwrap_or_default());
                    if self.decoder.is_done() {
                        return Ok(true);
                    }
                }
                BodyEvent::Trailers => {}
                BodyEvent::End => return Ok(true),
                BodyEvent::NeedMore => return Ok(false),
            }
        }
    }
}

impl Stream {
    /// A filter waits for its body.
    pub fn is_gathering(&self) -> bool {
        self.gather.as_ref().is_some_and(|gather| !gather.is_done)
    }
}

impl Worker {
    /// A filter answers in the place of whoever the body was for: what has come of it is counted, and
    /// a request of which all is here does not end its connection.
    pub fn skip_body(&mut self, d: &mut Downstream, s: &mut Stream) {
        if s.request_complete || s.tunnel != Tunnel::No {
            return;
        }
        let mut skipped = Gather::new(s, usize::MAX, true);
        let (used, is_whole) = match &d.carrier {
            Carrier::Socket(_) => {
                // A body that is none ends with the connection.
                let is_whole = skipped.decode(&d.inbuf).unwrap_or(false);
                (skipped.seen, is_whole)
            }
            Carrier::Stream(carrier) => (d.inbuf.len(), carrier.ended),
        };
        let looked_at = s.gather.take().map_or(0, |gather| gather.body.len());
        let len = match &d.carrier {
            Carrier::Socket(_) => skipped.body.len(),
            Carrier::Stream(_) => used,
        };
        s.info.bytes_received = looked_at.max(len) as u64;
        if is_whole {
            s.request_complete = true;
            if !d.carrier.is_stream() {
                d.inbuf.drain(..used);
            }
        }
    }

    /// Looks at what there is of the body; `bytes` are not taken. The stream is back in its place, or
    /// over.
    pub fn gather_body(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        bytes: &[u8],
    ) -> Gathered {
        s.last_activity = self.clock.now_ms();
        let look = match &mut s.gather {
            Some(gather) => gather.look(&d.carrier, bytes),
            None => Look::Done,
        };
        match look {
            Look::More => {
                d.stream = Some(s);
                return Gathered::More;
            }
            Look::Done => self.resume_request(d, s, None),
            Look::TooLarge => {
                let stats = d.client.http.stats();
                stats.inc(HcmCounter::DownstreamRqTooLarge);
                self.reply_of_filter(d, s, Reply::too_large());
            }
            Look::Bad(error) => {
                let outcome = Outcome::BadBody(error);
                // It was answered, and the connection ends after that.
                let _ = self.after_upload(d, s, Taken { bytes: 0, outcome });
            }
        }
        Gathered::Done
    }
}

#[cfg(test)]
mod tests {
    use proto::h1::BodyLength;

    use super::*;
    use crate::http2::carrier::StreamCarrier;
    use crate::worker::slots::Key;

    fn gather(length: BodyLength, most: usize, allow_partial: bool) -> Gather {
        let s = Stream {
            request_decoder: BodyDecoder::new(length),
            ..Stream::default()
        };
        Gather::new(&s, most, allow_partial)
    }

    fn stream(ended: bool) -> Carrier {
        let mut carrier = StreamCarrier::new(Key::NOBODY, 1);
        carrier.ended = ended;
        Carrier::Stream(carrier)
    }

    #[test]
    fn chunks_are_read_as_they_come() {
        let body = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let mut gather = gather(BodyLength::Chunked, 10, false);
        for len in 0..body.len() {
            assert_eq!(gather.decode(&body[..len]), Ok(false), "{len}");
        }
        assert_eq!(gather.decode(body), Ok(true));
        assert_eq!(gather.body, b"abcde");
        assert!(
            self::gather(BodyLength::Chunked, 10, false)
                .decode(b"x")
                .is_err()
        );
    }

    #[test]
    fn what_is_too_long_is_cut_or_refused() {
        for (most, allow_partial, want) in [
            (5, false, Look::Done),
            (4, false, Look::TooLarge),
            (4, true, Look::Done),
        ] {
            let mut gather = gather(BodyLength::None, most, allow_partial);
            assert_eq!(gather.look(&stream(false), b"ab"), Look::More);
            assert_eq!(gather.look(&stream(true), b"abcde"), want, "{most}");
            assert!(gather.is_done);
            assert_eq!(gather.body, b"abcde");
        }
    }

    #[test]
    fn framing_has_a_bound() {
        let mut gather = gather(BodyLength::None, 1, false);
        let look = gather.look(&stream(false), &[]);
        assert_eq!(look, Look::More);
        let long = vec![0; FRAMING_OF_ALL + MOST_FRAMING + 1];
        gather.seen = long.len();
        assert_eq!(gather.look(&stream(false), &long), Look::TooLarge);
    }
}
