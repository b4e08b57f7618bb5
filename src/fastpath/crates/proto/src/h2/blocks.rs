//! HEADERS and CONTINUATION as they come in (RFC 9113 §6.2, §6.10): whom a header block is for,
//! and what becomes of it.

use super::connection::{Connection, KEPT_BLOCK};
use super::error::{ConnectionError, StreamFault};
use super::event::{Event, StreamId};
use super::fields::{Check, Discard};
use super::frame::{FrameHead, HEAD, depends_on, flag};
use super::heads::{Asked, RequestBlock, ResponseBlock, TrailerBlock};
use super::hpack::FieldSink;
use super::receive::Frame;
use super::streams::{ANY_LENGTH, Closed};

/// What a field takes beside its name and value.
const FIELD: usize = 16;
/// Heads longer than this are kept without spare room.
const LONG_HEAD: usize = 16 * 1024;

/// A header block of which END_HEADERS has not come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub stream: StreamId,
    end: bool,
    self_dependent: bool,
    /// On the wire, with frame heads.
    bytes: u32,
    continuations: u32,
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

impl Connection {
    /// RFC 9113 §6.2.
    pub(super) fn headers(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
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
    pub(super) fn continuation(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Frame {
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
        if id.is_multiple_of(2) {
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
        if let Err(error) = decoded {
            self.has_lost_head = true;
            return Err(self.stats.count_hpack(error));
        }
        let remaining = match finished {
            Ok(remaining) => remaining,
            Err(fault) => return self.fault(out, block.stream, fault),
        };
        let Some(head_bytes) = self.admit_head() else {
            return self.fault(out, block.stream, StreamFault::Refused);
        };
        let mut stream = self.new_stream();
        stream.head_bytes = head_bytes;
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

    /// Counts the head of a request that opens a stream; `None`: those that are open take too
    /// much already.
    fn admit_head(&mut self) -> Option<u32> {
        let headers = &self.request.headers;
        let fields = headers.len().saturating_mul(FIELD);
        let bytes = headers.byte_size().saturating_add(fields);
        let open = self.open_head_bytes.saturating_add(bytes);
        if self.active > 0 && open > self.options.max_open_head_bytes {
            return None;
        }
        self.open_head_bytes = open;
        if bytes > LONG_HEAD {
            // It may have grown to twice what it needs.
            self.request.shrink(bytes.saturating_add(LONG_HEAD / 8));
            self.cookie = Vec::new();
        }
        Some(u32::try_from(bytes).unwrap_or(u32::MAX))
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
            Ok(()) if open != 0 && open != ANY_LENGTH => Some(StreamFault::BodyLength),
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
