//! What comes in: bytes to frames, frames to events.

use super::connection::{Connection, KEPT_BLOCK, PREFACE};
use super::error::{ConnectionError, ErrorCode, StreamFault};
use super::event::{Event, StreamId};
use super::fields::{Check, Discard};
use super::frame::{self, FrameHead, HEAD, ID, flag, kind};
use super::heads::{Asked, RequestBlock, ResponseBlock, TrailerBlock};
use super::hpack::{FieldSink, HpackError};
use super::streams::{ANY_LENGTH, Closed, Stream};

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

/// What is left of a DATA frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    stream: StreamId,
    left: u32,
    /// After the data.
    padding: u32,
    end: bool,
}

/// A header block of which END_HEADERS has not come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    stream: StreamId,
    end: bool,
    self_dependent: bool,
    /// On the wire, with frame heads.
    bytes: u32,
    continuations: u32,
}

/// What one look at the buffer gave.
enum Step {
    /// More bytes are needed.
    More,
    /// So many bytes were used up.
    Used(usize),
    Event(usize, Event),
}

/// Whom a header block is for.
enum Destination {
    /// A stream that it opens.
    Request,
    Response,
    Trailers,
    /// A stream that must be reset for it.
    Fault(StreamFault),
    /// A stream that we reset.
    Nobody,
}

type Frame = Result<Option<Event>, ConnectionError>;

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
            kind::SETTINGS => head.len % 6 == 0,
            _ => true,
        };
        if fits {
            Ok(())
        } else {
            Err(ConnectionError::FrameSize)
        }
    }

    /// Nobody opened that stream yet.
    fn is_idle(&self, id: StreamId) -> bool {
        let first_idle = if self.is_client {
            self.next_id
        } else {
            self.highest.saturating_add(1)
        };
        id % 2 == 0 || id >= first_idle
    }

    /// The head of a DATA frame (RFC 9113 §6.1).
    fn data(
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
                self.count_reset(None)?;
            }
        }
        Ok(None)
    }

    /// As much of the data as is there.
    fn payload(&mut self, mut data: Data, buf: &[u8], out: &mut Vec<u8>) -> Step {
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

    /// RFC 9113 §6.2.
    fn headers(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        let mut fragment = unpad(head, payload)?;
        let mut self_dependent = false;
        if head.has(flag::PRIORITY) {
            let (priority, rest) = fragment
                .split_at_checked(5)
                .ok_or(ConnectionError::FrameSize)?;
            self_dependent = depends_on(priority) == Some(head.stream);
            fragment = rest;
        }
        let end = head.has(flag::END_STREAM);
        self.flood
            .payload(fragment.is_empty() && !end, &mut self.stats)?;
        let block = Block {
            stream: head.stream,
            end,
            self_dependent,
            bytes: head.len.saturating_add(HEAD as u32),
            continuations: 0,
        };
        if head.has(flag::END_HEADERS) {
            return self.header_block(block, fragment, out);
        }
        self.block = Some(block);
        self.fragments.clear();
        self.fragments.extend_from_slice(fragment);
        Ok(None)
    }

    /// RFC 9113 §6.10. Bounded in frames, and so in bytes (CVE-2024-30255).
    fn continuation(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        let Some(block) = self.block.as_mut() else {
            return Err(ConnectionError::UnexpectedContinuation);
        };
        block.continuations = block.continuations.saturating_add(1);
        block.bytes = block
            .bytes
            .saturating_add(head.len)
            .saturating_add(HEAD as u32);
        if block.continuations > self.options.max_continuations {
            let counter = &mut self.stats.too_many_header_frames;
            *counter = counter.saturating_add(1);
            return Err(ConnectionError::ContinuationFlood);
        }
        self.flood.payload(payload.is_empty(), &mut self.stats)?;
        let block = *block;
        self.fragments.extend_from_slice(payload);
        if !head.has(flag::END_HEADERS) {
            return Ok(None);
        }
        self.block = None;
        let mut fragments = std::mem::take(&mut self.fragments);
        let event = self.header_block(block, &fragments, out);
        if fragments.capacity() <= KEPT_BLOCK {
            fragments.clear();
            self.fragments = fragments;
        }
        event
    }

    /// A whole header block. It is decoded whomever it is for: the table depends on it.
    fn header_block(&mut self, block: Block, fragment: &[u8], out: &mut Vec<u8>) -> Frame {
        self.head_bytes = block.bytes;
        match self.destination(&block)? {
            Destination::Request => self.request_block(block, fragment, out),
            Destination::Response => self.response_block(block, fragment, out),
            Destination::Trailers => self.trailer_block(block, fragment, out),
            Destination::Fault(fault) => {
                self.decode(fragment, &mut Discard)?;
                self.fault(out, block.stream, fault)
            }
            Destination::Nobody => {
                let counter = &mut self.stats.headers_cb_no_stream;
                *counter = counter.saturating_add(1);
                if block.end {
                    self.recent.forget_reset(block.stream);
                }
                self.decode(fragment, &mut Discard)?;
                Ok(None)
            }
        }
    }

    /// RFC 9113 §5.1, §5.1.1.
    fn destination(&mut self, block: &Block) -> Result<Destination, ConnectionError> {
        let id = block.stream;
        if let Some(s) = self.streams.get(id) {
            return match s {
                s if s.is_closed() => Err(ConnectionError::ClosedStream),
                s if s.remote_closed => Ok(Destination::Fault(StreamFault::StreamClosed)),
                s if s.head_received => Ok(Destination::Trailers),
                _ => Ok(Destination::Response),
            };
        }
        if self.is_idle(id) {
            if self.is_client {
                return Err(ConnectionError::IdleStream);
            }
            return self.new_stream_id(block);
        }
        match self.recent.of(id) {
            Closed::ByUs => Ok(Destination::Nobody),
            Closed::ByPeer => Err(ConnectionError::ClosedStream),
            // A server: below the highest id, so never opened or closed long ago.
            Closed::Unknown => Err(ConnectionError::StreamId),
        }
    }

    /// A stream that a client opens: may it?
    fn new_stream_id(&mut self, block: &Block) -> Result<Destination, ConnectionError> {
        let id = block.stream;
        if id % 2 == 0 {
            return Err(ConnectionError::StreamId);
        }
        self.highest = id;
        if self.goaway_sent.is_some_and(|last| id > last) {
            // RFC 9113 §6.8: opened before it knew; it will try elsewhere.
            self.remember_reset(id);
            return Ok(Destination::Nobody);
        }
        let most = self.options.max_concurrent_streams as usize;
        // Closed streams whose DATA nobody consumed yet count as well, but less.
        if self.active >= most || self.streams.len() / 2 >= most {
            return Ok(Destination::Fault(StreamFault::Refused));
        }
        if block.self_dependent {
            return Ok(Destination::Fault(StreamFault::SelfDependency));
        }
        Ok(Destination::Request)
    }

    fn decode(
        &mut self,
        fragment: &[u8],
        sink: &mut impl FieldSink,
    ) -> Result<(), ConnectionError> {
        self.decoder
            .decode(fragment, sink)
            .map_err(|error| self.stats.count_hpack(error))
    }

    fn request_block(&mut self, block: Block, fragment: &[u8], out: &mut Vec<u8>) -> Frame {
        let check = Check::new(&self.options, &mut self.stats);
        let mut sink = RequestBlock::new(&mut self.request, &mut self.cookie, check);
        let decoded = self.decoder.decode(fragment, &mut sink);
        let finished = sink.finish(block.end);
        decoded.map_err(|error| self.stats.count_hpack(error))?;
        let remaining = match finished {
            Ok(remaining) => remaining,
            Err(fault) => return self.fault(out, block.stream, fault),
        };
        let mut stream = self.new_stream();
        stream.head_received = true;
        stream.remote_closed = block.end;
        stream.remaining = remaining;
        stream.is_head = self.request.kind == crate::Method::Head;
        stream.is_connect = self.request.kind == crate::Method::Connect;
        self.open(block.stream, stream);
        self.processed = block.stream;
        Ok(Some(Event::Request {
            stream: block.stream,
            end: block.end,
        }))
    }

    fn response_block(&mut self, block: Block, fragment: &[u8], out: &mut Vec<u8>) -> Frame {
        let asked = self
            .streams
            .get(block.stream)
            .map_or(Asked::default(), |s| Asked {
                is_head: s.is_head,
                is_connect: s.is_connect,
            });
        let check = Check::new(&self.options, &mut self.stats);
        let mut sink = ResponseBlock::new(&mut self.response, check);
        let decoded = self.decoder.decode(fragment, &mut sink);
        let finished = sink.finish(asked, block.end);
        decoded.map_err(|error| self.stats.count_hpack(error))?;
        let remaining = match finished {
            Ok(_) if block.self_dependent => Err(StreamFault::SelfDependency),
            finished => finished,
        };
        let interim = self.response.is_interim();
        match (remaining, self.streams.get_mut(block.stream)) {
            (Err(fault), _) => return self.fault(out, block.stream, fault),
            (Ok(remaining), Some(s)) if !interim => {
                s.head_received = true;
                s.remaining = remaining;
                s.remote_closed = block.end;
            }
            _ => {}
        }
        self.side_ended(block.stream);
        Ok(Some(Event::Response {
            stream: block.stream,
            end: block.end,
        }))
    }

    fn trailer_block(&mut self, block: Block, fragment: &[u8], out: &mut Vec<u8>) -> Frame {
        let check = Check::new(&self.options, &mut self.stats);
        let mut sink = TrailerBlock::new(&mut self.trailers, check);
        let decoded = self.decoder.decode(fragment, &mut sink);
        let finished = sink.finish();
        decoded.map_err(|error| self.stats.count_hpack(error))?;
        let open = self.streams.get(block.stream).map_or(0, |s| s.remaining);
        let fault = match finished {
            Err(fault) => Some(fault),
            // RFC 9113 §8.1: a message has one head and ends with its trailers.
            Ok(()) if !block.end => Some(StreamFault::Sequence),
            Ok(()) if block.self_dependent => Some(StreamFault::SelfDependency),
            Ok(()) if open != 0 && open != ANY_LENGTH => Some(StreamFault::ContentLength),
            Ok(()) => None,
        };
        if let Some(fault) = fault {
            return self.fault(out, block.stream, fault);
        }
        if let Some(s) = self.streams.get_mut(block.stream) {
            s.remote_closed = true;
        }
        self.side_ended(block.stream);
        self.stats.trailers = self.stats.trailers.saturating_add(1);
        Ok(Some(Event::Trailers {
            stream: block.stream,
        }))
    }

    /// RFC 9113 §6.3: priorities are not used, but counted and checked.
    fn priority(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        self.flood.priority(&mut self.stats)?;
        let (fault, error) = if head.len != 5 {
            (StreamFault::FrameSize, ConnectionError::FrameSize)
        } else if depends_on(payload) == Some(head.stream) {
            (StreamFault::SelfDependency, ConnectionError::SelfDependency)
        } else {
            return Ok(None);
        };
        // A stream that is not there cannot be reset.
        match self.streams.get(head.stream) {
            Some(s) if !s.is_closed() => self.fault(out, head.stream, fault),
            _ => Err(error),
        }
    }

    /// RFC 9113 §6.4.
    fn rst_stream(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        let id = head.stream;
        if self.is_idle(id) {
            return Err(ConnectionError::IdleStream);
        }
        let code = ErrorCode(frame::number(payload).unwrap_or_default());
        let Some(s) = self.streams.get(id).copied() else {
            self.recent.forget_reset(id);
            if !self.is_client {
                self.flood.reset(self.now_ms, &mut self.stats)?;
            }
            return Ok(None);
        };
        if s.is_closed() {
            // It is complete; what is left of it is the owner's.
            return Ok(None);
        }
        self.stats.rx_reset = self.stats.rx_reset.saturating_add(1);
        self.drop_stream(out, id);
        self.recent.ended_by_peer(id);
        self.count_reset(Some(&s))?;
        Ok(Some(Event::Reset { stream: id, code }))
    }

    /// RFC 9113 §6.5.
    fn settings(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        if head.has(flag::ACK) {
            self.settings_acknowledged();
            return Ok(None);
        }
        let before = self.peer;
        self.peer.apply(payload, self.is_client)?;
        if self.peer.header_table_size != before.header_table_size {
            self.encoder.set_max_table_size(self.peer.header_table_size);
        }
        let change =
            i64::from(self.peer.initial_window).saturating_sub(i64::from(before.initial_window));
        if change != 0 && !self.streams.iter_mut().all(|s| s.send.change(change)) {
            return Err(ConnectionError::WindowOverflow);
        }
        frame::put_settings_ack(out);
        self.flood.sent_control(HEAD);
        self.greeted = true;
        Ok(Some(Event::Settings))
    }

    /// From now on the peer keeps to ours.
    fn settings_acknowledged(&mut self) {
        if std::mem::replace(&mut self.acknowledged, true) {
            return;
        }
        self.decoder
            .set_max_table_size(self.options.header_table_size);
        let ours = i64::from(self.options.initial_stream_window);
        let change = ours.saturating_sub(i64::from(super::flow::INITIAL_WINDOW));
        if change < 0 {
            for s in self.streams.iter_mut() {
                s.receive.shift(change);
            }
        }
    }

    /// RFC 9113 §6.7.
    fn pinged(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        let payload = payload.first_chunk().copied().unwrap_or_default();
        if head.has(flag::ACK) {
            return Ok(Some(Event::Pong { payload }));
        }
        frame::put_ping(out, flag::ACK, &payload);
        self.flood.sent_control(HEAD.saturating_add(8));
        Ok(None)
    }

    /// RFC 9113 §6.8.
    fn goaway_frame(&mut self, _head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        let last = frame::number(payload).unwrap_or_default() & ID;
        let code = payload.get(4..).and_then(frame::number).unwrap_or_default();
        // It may only fall.
        let last = self.goaway_received.map_or(last, |before| before.min(last));
        self.goaway_received = Some(last);
        if self.is_client {
            while let Some(id) = self.streams.any_above(last) {
                self.drop_stream(out, id);
                self.remember_reset(id);
            }
        }
        Ok(Some(Event::Goaway {
            last,
            code: ErrorCode(code),
        }))
    }

    /// RFC 9113 §6.9.
    fn window_update(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        self.flood.window_update(&mut self.stats)?;
        let increment = frame::number(payload).unwrap_or_default() & ID;
        let (id, by) = (head.stream, i64::from(increment));
        if id == 0 {
            if increment == 0 {
                return Err(ConnectionError::ZeroIncrement);
            }
            if !self.send.change(by) {
                return Err(ConnectionError::WindowOverflow);
            }
            let reopened = std::mem::take(&mut self.blocked);
            return Ok(reopened.then_some(Event::Window { stream: 0 }));
        }
        let connection = self.send.available();
        let Some(s) = self.streams.get_mut(id) else {
            return if self.is_idle(id) {
                Err(ConnectionError::IdleStream)
            } else {
                Ok(None)
            };
        };
        if s.is_closed() {
            return Ok(None);
        }
        if increment == 0 {
            return self.fault(out, id, StreamFault::ZeroIncrement);
        }
        if !s.send.change(by) {
            return self.fault(out, id, StreamFault::WindowOverflow);
        }
        let reopened = s.blocked && s.send.available() > 0 && connection > 0;
        s.blocked &= !reopened;
        Ok(reopened.then_some(Event::Window { stream: id }))
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
            _ => return Err(StreamFault::ContentLength),
        }
        Ok(())
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

impl super::stats::Stats {
    fn count_hpack(&mut self, error: HpackError) -> ConnectionError {
        if error == HpackError::TooLong {
            self.header_overflow = self.header_overflow.saturating_add(1);
        }
        ConnectionError::Compression
    }
}

fn skipping(left: u32) -> Reading {
    if left == 0 {
        Reading::Frame
    } else {
        Reading::Skip(left)
    }
}

/// The payload of HEADERS without padding.
fn unpad(head: FrameHead, payload: &[u8]) -> Result<&[u8], ConnectionError> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or(ConnectionError::FrameSize)?;
    let len = rest
        .len()
        .checked_sub(usize::from(*padding))
        .ok_or(ConnectionError::Padding)?;
    Ok(rest.get(..len).unwrap_or_default())
}

/// The stream that a priority names.
fn depends_on(priority: &[u8]) -> Option<StreamId> {
    frame::number(priority).map(|id| id & ID)
}
