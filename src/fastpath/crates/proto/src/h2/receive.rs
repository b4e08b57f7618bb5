//! What comes in: bytes to frames. `data`, `blocks` and `control` make events of them.

use super::connection::{Connection, PREFACE};
use super::data::Data;
use super::error::ConnectionError;
use super::event::{Event, StreamId};
use super::frame::{FrameHead, HEAD, flag, kind};

/// Where in the byte stream we are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// Before the client's preface.
    Preface,
    /// At a frame head.
    Frame,
    /// In a DATA frame.
    Data(Data),
    /// In bytes that mean nothing to us.
    Skip(u32),
}

/// What one look at the buffer gave.
pub(super) enum Step {
    /// More bytes are needed.
    More,
    /// So many bytes were used up.
    Used(usize),
    Event(usize, Event),
}

/// What a frame gave.
pub(super) type Frame = Result<Option<Event>, ConnectionError>;

impl Connection {
    /// The next event in `buf`, and how many bytes of `buf` are done with; the indices of
    /// `Event::Data` are indices into `buf`. Answers are appended to `out`.
    ///
    /// What is not done with at `NeedMore` is the start of a frame, at most
    /// `9 + Options::max_frame_size` bytes: keep it and give it again with what follows.
    /// `now_ms`: milliseconds of any clock that does not go back.
    ///
    /// # Errors
    /// The connection is over, and the GOAWAY is in `out`. Every further call says the same.
    pub fn next(
        &mut self,
        buf: &[u8],
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event), ConnectionError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.now_ms = now_ms;
        let mut at = 0usize; // at most buf.len()
        loop {
            let rest = buf.get(at..).unwrap_or_default();
            let step = match self.step(rest, out) {
                Ok(step) => self.flood.check_outbound(&mut self.stats).map(|()| step),
                Err(error) => Err(error),
            };
            match step {
                Ok(Step::More) => return Ok((at, Event::NeedMore)),
                Ok(Step::Used(n)) => at = at.saturating_add(n),
                Ok(Step::Event(n, event)) => {
                    return Ok((at.saturating_add(n), event.shifted(at)));
                }
                Err(error) => {
                    self.fail(out, error);
                    return Err(error);
                }
            }
        }
    }

    /// `next`, if `buf` begins with data of that stream: what is right behind its head can be
    /// handed on together with it. Never `NeedMore`, and no other head is read: `request` and
    /// `response` stay what they are.
    pub fn next_body(
        &mut self,
        buf: &[u8],
        stream: StreamId,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Option<Result<(usize, Event), ConnectionError>> {
        let head = FrameHead::read(buf).filter(|_| matches!(self.reading, Reading::Frame))?;
        let is_data = head.kind == kind::DATA && head.stream == stream;
        // Empty frames are skipped in silence, padding may be all there is.
        let has_data = head.len > 0 && !head.has(flag::PADDED) && buf.len() > HEAD;
        // Of a stream that was reset, too.
        let is_open = self.streams.get(stream).is_some();
        (is_data && has_data && is_open).then(|| self.next(buf, now_ms, out))
    }

    fn step(&mut self, buf: &[u8], out: &mut Vec<u8>) -> Result<Step, ConnectionError> {
        match self.reading {
            Reading::Frame => self.frame(buf, out),
            Reading::Data(data) => Ok(self.payload(data, buf, out)),
            Reading::Skip(left) => Ok(self.skip(left, buf)),
            Reading::Preface => self.preface(buf),
        }
    }

    fn preface(&mut self, buf: &[u8]) -> Result<Step, ConnectionError> {
        if buf.starts_with(PREFACE) {
            self.reading = Reading::Frame;
            Ok(Step::Used(PREFACE.len()))
        } else if PREFACE.starts_with(buf) {
            Ok(Step::More)
        } else {
            Err(ConnectionError::Preface)
        }
    }

    fn skip(&mut self, left: u32, buf: &[u8]) -> Step {
        let n = buf.len().min(left as usize);
        if n == 0 {
            return Step::More;
        }
        self.reading = skipping(left.saturating_sub(n as u32)); // at most `left`
        Step::Used(n)
    }

    fn frame(&mut self, buf: &[u8], out: &mut Vec<u8>) -> Result<Step, ConnectionError> {
        let Some(head) = FrameHead::read(buf) else {
            return Ok(Step::More);
        };
        self.check_head(head)?;
        match head.kind {
            kind::DATA => return self.data(head, buf, out),
            kind::HEADERS
            | kind::PRIORITY
            | kind::RST_STREAM
            | kind::SETTINGS
            | kind::PING
            | kind::GOAWAY
            | kind::WINDOW_UPDATE
            | kind::CONTINUATION => {}
            kind::PUSH_PROMISE => return Err(ConnectionError::PushPromise),
            // RFC 9113 §5.5: unknown types are ignored.
            _ => {
                self.reading = skipping(head.len);
                return Ok(Step::Used(HEAD));
            }
        }
        let size = HEAD.saturating_add(head.len as usize);
        let Some(payload) = buf.get(HEAD..size) else {
            return Ok(Step::More);
        };
        let event = match head.kind {
            kind::HEADERS => self.headers(head, payload, out),
            kind::PRIORITY => self.priority(head, payload, out),
            kind::RST_STREAM => self.rst_stream(head, payload, out),
            kind::SETTINGS => self.settings(head, payload, out),
            kind::PING => self.pinged(head, payload, out),
            kind::GOAWAY => self.goaway_frame(head, payload, out),
            kind::WINDOW_UPDATE => self.window_update(head, payload, out),
            _ => self.continuation(head, payload, out),
        }?;
        Ok(match event {
            Some(event) => Step::Event(size, event),
            None => Step::Used(size),
        })
    }

    /// What can be said before the payload is there.
    fn check_head(&self, head: FrameHead) -> Result<(), ConnectionError> {
        if !self.greeted && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(ConnectionError::FirstFrame);
        }
        if head.len > self.options.max_frame_size {
            return Err(ConnectionError::FrameSize);
        }
        match self.block {
            Some(block) if head.kind != kind::CONTINUATION || head.stream != block.stream => {
                return Err(ConnectionError::ContinuationExpected);
            }
            None if head.kind == kind::CONTINUATION => {
                return Err(ConnectionError::UnexpectedContinuation);
            }
            _ => {}
        }
        let on_stream = match head.kind {
            kind::SETTINGS | kind::PING | kind::GOAWAY => false,
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM => true,
            _ => head.stream != 0,
        };
        if on_stream != (head.stream != 0) {
            return Err(ConnectionError::StreamZero);
        }
        let fits = match head.kind {
            kind::RST_STREAM | kind::WINDOW_UPDATE => head.len == 4,
            kind::PING => head.len == 8,
            kind::GOAWAY => head.len >= 8,
            kind::SETTINGS if head.has(flag::ACK) => head.len == 0,
            kind::SETTINGS => head.len.is_multiple_of(6),
            _ => true,
        };
        if fits {
            Ok(())
        } else {
            Err(ConnectionError::FrameSize)
        }
    }

    /// Nobody opened that stream yet.
    pub(super) fn is_idle(&self, id: StreamId) -> bool {
        let first_idle = if self.is_client {
            self.next_id
        } else {
            self.highest.saturating_add(1)
        };
        id.is_multiple_of(2) || id >= first_idle
    }
}

impl Event {
    /// The same event, found in a buffer that starts `by` bytes earlier.
    fn shifted(mut self, by: usize) -> Event {
        if let Event::Data { start, .. } = &mut self {
            *start = start.saturating_add(by);
        }
        self
    }
}

/// Past `left` bytes to the next frame.
pub(super) fn skipping(left: u32) -> Reading {
    if left == 0 {
        Reading::Frame
    } else {
        Reading::Skip(left)
    }
}
