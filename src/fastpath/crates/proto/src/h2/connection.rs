//! SKETCH of the API; the bodies come with the next commits.
#![allow(clippy::todo, unused_variables, clippy::new_without_default)]

use super::error::{ConnectionError, ErrorCode, Refused};
use super::event::{Event, StreamId};
use super::options::Options;
use super::stats::Stats;
use crate::head::{BodyLength, RequestHead, ResponseHead, Scheme};
use crate::headers::HeaderMap;

/// The head of a DATA frame: write `bytes`, then `len` bytes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHead {
    pub bytes: [u8; 9],
    /// Payload bytes; at most what was asked for.
    pub len: usize,
    /// The frame ends the stream.
    pub end: bool,
}

pub struct Connection {
    /// The head of the last `Event::Request`. Swap it out; its memory is used again.
    pub request: RequestHead,
    /// The head of the last `Event::Response`.
    pub response: ResponseHead,
    /// Of the last `Event::Trailers`.
    pub trailers: HeaderMap,
    /// Wire bytes of the header block that `request`, `response` or `trailers` came from, frame
    /// heads included.
    pub head_bytes: u32,
    /// Counted since the owner took them.
    pub stats: Stats,
}

impl Connection {
    /// A connection that a client opened.
    #[must_use]
    pub fn server(options: Options) -> Connection {
        todo!()
    }

    /// A connection to an upstream.
    #[must_use]
    pub fn client(options: Options) -> Connection {
        todo!()
    }

    /// Appends what goes first: the client's preface, SETTINGS, the connection's window.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        todo!()
    }

    /// The next event in `buf`, and how many bytes of `buf` it used up; the indices of `Data`
    /// are indices into `buf`. Answers (acknowledgements, resets, windows) are appended to `out`.
    ///
    /// With `NeedMore` at most a frame that is not whole is left over, which is at most
    /// `9 + max_frame_size` bytes. `now_ms` is any monotonic clock.
    ///
    /// # Errors
    /// The connection is over; the GOAWAY is in `out`. Every further call says the same.
    pub fn next(
        &mut self,
        buf: &[u8],
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Event), ConnectionError> {
        todo!()
    }

    /// Says how many of the bytes that this connection produced (what it appended, and the
    /// payloads announced by `data_head`) still wait to be sent. Call it after writing: the limits of
    /// outbound frames count what was appended since all before it was sent. Never calling it makes a
    /// busy connection fail with `OutboundFlood`.
    pub fn set_unsent(&mut self, bytes: usize) {
        todo!()
    }

    /// Opens a stream; the client's. `framing` as for `h1::write_request_head`: `Length(n)` is the one
    /// thing that makes a `content-length`. `head.scheme` is not looked at. `end`: no body follows.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn send_request(
        &mut self,
        out: &mut Vec<u8>,
        head: &RequestHead,
        scheme: Scheme,
        framing: BodyLength,
        end: bool,
    ) -> Result<StreamId, Refused> {
        todo!()
    }

    /// Sends a response head (not 1xx) with its parts as for `h1::write_response`; `false` if the stream is gone
    /// or has its head already.
    pub fn send_response(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        status: u16,
        headers: &HeaderMap,
        framing: BodyLength,
        end: bool,
    ) -> bool {
        todo!()
    }

    /// Sends an interim response (100, 102–199), which has no body and ends nothing; `false` as above.
    pub fn send_interim(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        status: u16,
        headers: &HeaderMap,
    ) -> bool {
        todo!()
    }

    /// Bytes of DATA that may be sent on `stream` now; 0 if it is gone.
    #[must_use]
    pub fn sendable(&self, stream: StreamId) -> usize {
        todo!()
    }

    /// Accounts for one DATA frame with up to `len` bytes (as windows and frame size allow).
    /// END_STREAM is set if `end` and all of `len` fits. `None` if the stream is gone or nothing can
    /// be sent now; in the latter case `Event::Window` will come. A `len` of 0 is for `end` only.
    pub fn data_head(&mut self, stream: StreamId, len: usize, end: bool) -> Option<DataHead> {
        todo!()
    }

    /// `data_head` and a copy, frame after frame, until all or what the windows allow is taken. Returns the number of
    /// bytes taken; END_STREAM went out if it is all of `data` and `end`.
    pub fn send_data(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        data: &[u8],
        end: bool,
    ) -> usize {
        todo!()
    }

    /// Ends a message with trailers; fields that must not be trailers are left out. `false` if the stream is gone or ended.
    pub fn send_trailers(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        trailers: &HeaderMap,
    ) -> bool {
        todo!()
    }

    /// `n` bytes of received DATA are done with: gives window back, in batches of half a
    /// window. Call it for every byte of every `Event::Data`, also after the stream's end; what is still
    /// open when the stream is reset (by `reset`, `Event::Reset`, `Event::StreamError`) is given back by itself.
    pub fn consumed(&mut self, out: &mut Vec<u8>, stream: StreamId, n: usize) {
        todo!()
    }

    /// Resets a stream; nothing if it is gone. What the peer still sends on it is ignored.
    pub fn reset(&mut self, out: &mut Vec<u8>, stream: StreamId, code: ErrorCode) {
        todo!()
    }

    /// GOAWAY with the highest stream of the peer that was reported: later ones are ignored, those
    /// that are open go on.
    pub fn goaway(&mut self, out: &mut Vec<u8>, code: ErrorCode) {
        todo!()
    }

    /// GOAWAY with 2^31-1: please open no more, but what is on its way is taken. `goaway` follows later.
    pub fn shutdown_notice(&mut self, out: &mut Vec<u8>) {
        todo!()
    }

    /// PING; `Event::Pong` answers.
    pub fn ping(&mut self, out: &mut Vec<u8>, payload: [u8; 8]) {
        todo!()
    }

    /// Streams that are open or half closed.
    #[must_use]
    pub fn active_streams(&self) -> usize {
        todo!()
    }

    /// How many more streams `send_request` would open now.
    #[must_use]
    pub fn can_open(&self) -> usize {
        todo!()
    }

    /// The peer, or we, said GOAWAY, or the connection failed, or ids are used up: no new streams.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        todo!()
    }

    /// The peer takes extended CONNECT (RFC 8441).
    #[must_use]
    pub fn peer_allows_connect(&self) -> bool {
        todo!()
    }

    /// A number of the owner's for a stream, such as the place where it keeps it; 0 at first. `false` if it is gone.
    pub fn set_tag(&mut self, stream: StreamId, tag: u32) -> bool {
        todo!()
    }

    /// What `set_tag` said last; `None` if the stream is gone. A stream is gone once both sides have ended
    /// and all its DATA was consumed, or once it was reset.
    #[must_use]
    pub fn tag(&self, stream: StreamId) -> Option<u32> {
        todo!()
    }

    /// Gives memory back that a connection without streams does not need.
    pub fn shrink(&mut self) {
        todo!()
    }
}
