//! DATA as it comes in (RFC 9113 §6.1), piece by piece.

use super::connection::Connection;
use super::error::{ConnectionError, ErrorCode, StreamFault};
use super::event::{Event, StreamId};
use super::frame::{FrameHead, HEAD, flag};
use super::receive::{Frame, Reading, Step, skipping};
use super::streams::{ANY_LENGTH, Closed, Stream};

/// What is left of a DATA frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    stream: StreamId,
    left: u32,
    /// After the data.
    padding: u32,
    end: bool,
}

impl Connection {
    /// The head of a DATA frame (RFC 9113 §6.1).
    pub(super) fn data(
        &mut self,
        head: FrameHead,
        buf: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, ConnectionError> {
        // The length of the padding, if there is any, belongs to the head.
        let (mut used, mut padding) = (HEAD, 0u32);
        if head.has(flag::PADDED) {
            if head.len == 0 {
                return Err(ConnectionError::FrameSize);
            }
            let Some(length) = buf.get(HEAD) else {
                return Ok(Step::More);
            };
            padding = u32::from(*length);
            used = HEAD.saturating_add(1);
        }
        let head_len = (used as u32).saturating_sub(HEAD as u32); // 0 or 1
        let left = head.len.saturating_sub(head_len);
        let Some(body) = left.checked_sub(padding) else {
            return Err(ConnectionError::Padding);
        };
        let end = head.has(flag::END_STREAM);
        if !self.receive.receive(head.len) {
            return Err(ConnectionError::FlowControl);
        }
        self.flood.payload(body == 0 && !end, &mut self.stats)?;
        let event = match self.streams.get_mut(head.stream) {
            Some(s) if s.is_closed() => return Err(ConnectionError::ClosedStream),
            Some(s) => match s.receive_data(head.len, body, end) {
                Ok(()) => {
                    let overhead = padding.saturating_add(head_len);
                    self.free_connection(out, overhead);
                    self.free_stream(out, head.stream, overhead);
                    self.reading = if body == 0 && !end {
                        skipping(padding)
                    } else {
                        Reading::Data(Data {
                            stream: head.stream,
                            left: body,
                            padding,
                            end,
                        })
                    };
                    return Ok(Step::Used(used));
                }
                Err(fault) => self.fault(out, head.stream, fault)?,
            },
            None => self.data_for_nobody(head, out)?,
        };
        self.free_connection(out, head.len);
        self.reading = skipping(left);
        Ok(match event {
            Some(event) => Step::Event(used, event),
            None => Step::Used(used),
        })
    }

    fn data_for_nobody(&mut self, head: FrameHead, out: &mut Vec<u8>) -> Frame {
        if self.is_idle(head.stream) {
            return Err(ConnectionError::IdleStream);
        }
        match self.recent.of(head.stream) {
            Closed::ByUs if head.has(flag::END_STREAM) => self.recent.forget_reset(head.stream),
            Closed::ByUs => {}
            Closed::ByPeer => return Err(ConnectionError::ClosedStream),
            Closed::Unknown => {
                self.put_reset(out, head.stream, ErrorCode::STREAM_CLOSED);
                self.count_reset()?;
            }
        }
        Ok(None)
    }

    /// As much of the data as is there.
    pub(super) fn payload(&mut self, mut data: Data, buf: &[u8], out: &mut Vec<u8>) -> Step {
        let n = buf.len().min(data.left as usize);
        if n == 0 && data.left > 0 {
            return Step::More;
        }
        let len = n as u32; // at most `data.left`
        data.left = data.left.saturating_sub(len);
        let over = data.left == 0;
        self.reading = if over {
            skipping(data.padding)
        } else {
            Reading::Data(data)
        };
        let Some(s) = self.streams.get_mut(data.stream) else {
            // The owner reset the stream in the middle of the frame.
            self.free_connection(out, len);
            return Step::Used(n);
        };
        s.outstanding = s.outstanding.saturating_add(len);
        let end = over && data.end;
        if end {
            s.remote_closed = true;
            self.side_ended(data.stream);
        }
        let event = Event::Data {
            stream: data.stream,
            start: 0,
            len: n,
            end,
        };
        Step::Event(n, event)
    }
}

impl Stream {
    /// A DATA frame of `len` bytes, `body` of which are no padding: counts it.
    fn receive_data(&mut self, len: u32, body: u32, end: bool) -> Result<(), StreamFault> {
        if self.remote_closed {
            return Err(StreamFault::StreamClosed);
        }
        if !self.head_received {
            return Err(StreamFault::UnexpectedData);
        }
        if !self.receive.receive(len) {
            return Err(StreamFault::FlowControl);
        }
        if self.remaining == ANY_LENGTH {
            return Ok(());
        }
        match self.remaining.checked_sub(u64::from(body)) {
            Some(left) if !end || left == 0 => self.remaining = left,
            _ => return Err(StreamFault::BodyLength),
        }
        Ok(())
    }
}
