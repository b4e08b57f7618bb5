//! What goes out: heads, DATA, trailers and what closes things.

use super::connection::{Connection, KEPT_BLOCK};
use super::error::{ErrorCode, Refused};
use super::event::StreamId;
use super::frame::{self, FrameHead, HEAD, ID, flag, kind};
use super::hpack::{Encoder, Pseudo};
use crate::authority::is_authority;
use crate::chars::format_decimal;
use crate::h1::{content_length, is_trailer};
use crate::head::{BodyLength, RequestHead, Scheme};
use crate::headers::HeaderMap;
use crate::hop::has_token;
use crate::known::Known;
use crate::method::Method;

/// The head of a DATA frame: write `bytes`, then `len` bytes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHead {
    pub bytes: [u8; HEAD],
    /// Payload bytes; at most what was asked for.
    pub len: usize,
    /// The frame ends the stream.
    pub end: bool,
}

/// Fields of HTTP/1 connections, and those that only this file writes.
const NEVER: u128 = Known::Connection.bit()
    | Known::KeepAlive.bit()
    | Known::ProxyConnection.bit()
    | Known::TransferEncoding.bit()
    | Known::Upgrade.bit()
    | Known::Http2Settings.bit()
    | Known::ContentLength.bit()
    | Known::Te.bit();

impl Connection {
    /// Opens a stream; the client's. `framing` as for `h1::write_request_head`: only `Length(n)`
    /// makes a `content-length`. `scheme` is what `:scheme` says. `end`: the head is all.
    ///
    /// A CONNECT without `protocol` has neither scheme nor path; one with it is extended
    /// (RFC 8441; see `peer_allows_connect`).
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
        if self.is_closing() || !self.is_client {
            return Err(Refused::Closing);
        }
        if self.can_open() == 0 {
            return Err(Refused::Limit);
        }
        let tunnel = head.kind == Method::Connect && head.protocol().is_empty();
        let star = head.path() == b"*" && head.kind != Method::Options;
        if head.method().is_empty()
            || !is_authority(head.authority())
            || head.headers.count(Known::Host) != 1
            || (!tunnel && (head.path().is_empty() || star))
        {
            return Err(Refused::Head);
        }
        let id = self.next_id;
        self.next_id = id.saturating_add(2);
        let start = begin(&mut self.encoder, out);
        let encoder = &mut self.encoder;
        let mut pseudo = |name: Pseudo, value: &[u8]| {
            let is_secret = head.never_indexed & name.bit() != 0;
            encoder.pseudo_marked(out, name, value, is_secret);
        };
        pseudo(Pseudo::Method, head.method());
        if !tunnel {
            pseudo(Pseudo::Scheme, scheme.as_bytes());
            pseudo(Pseudo::Path, head.path());
        }
        pseudo(Pseudo::Authority, head.authority());
        if !head.protocol().is_empty() && head.kind == Method::Connect {
            pseudo(Pseudo::Protocol, head.protocol());
        }
        let length = match framing {
            BodyLength::Length(n) if head.kind != Method::Connect => Some(n),
            _ => None,
        };
        put_fields(encoder, out, &head.headers, Known::Host.bit(), length);
        if head.headers.contains(Known::Te) && has_token(&head.headers, Known::Te, b"trailers") {
            encoder.field(out, Known::Te, b"te", b"trailers");
        }
        self.finish(out, start, id, end);
        let mut stream = self.new_stream();
        stream.head_sent = true;
        stream.local_closed = end;
        stream.is_head = head.kind == Method::Head;
        stream.is_connect = head.kind == Method::Connect;
        self.open(id, stream);
        Ok(id)
    }

    /// Sends a response's head, made of its parts as for `h1::write_response`. `end`: it is all.
    /// A status outside 200–999 becomes 500. A server that wants no more of the request after the
    /// end of its response resets the stream with `NO_ERROR` (RFC 9113 §8.1). `false`, and nothing is written, if the stream is
    /// gone, ended, or has its head.
    pub fn send_response(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        status: u16,
        headers: &HeaderMap,
        framing: BodyLength,
        end: bool,
    ) -> bool {
        let is_client = self.is_client;
        let Some(s) = self
            .streams
            .get_mut(stream)
            .filter(|s| !s.head_sent && !s.local_closed && !is_client)
        else {
            return false;
        };
        s.head_sent = true;
        s.local_closed = end;
        let status = if (200..1000).contains(&status) {
            status
        } else {
            500
        };
        let unframed = status == 204 || (s.is_connect && status < 300);
        let bodiless = status == 304 || s.is_head;
        let length = match framing {
            _ if unframed => None,
            BodyLength::Length(n) => Some(n),
            // RFC 9110 §8.6: the length of what GET would have sent.
            _ if bodiless => content_length(headers).unwrap_or(None),
            _ => None,
        };
        let start = begin(&mut self.encoder, out);
        self.encoder.status(out, status);
        put_fields(&mut self.encoder, out, headers, 0, length);
        self.finish(out, start, stream, end);
        if end {
            self.side_ended(stream);
        }
        true
    }

    /// Sends an interim response (100 or 102–199), which ends nothing. `false`, and nothing is
    /// written, if it is another status, or the stream is gone, ended, or has its head.
    pub fn send_interim(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        status: u16,
        headers: &HeaderMap,
    ) -> bool {
        let open = self
            .streams
            .get(stream)
            .is_some_and(|s| !s.head_sent && !s.local_closed);
        if !open || self.is_client || !(100..200).contains(&status) || status == 101 {
            return false;
        }
        let start = begin(&mut self.encoder, out);
        self.encoder.status(out, status);
        put_fields(&mut self.encoder, out, headers, 0, None);
        self.finish(out, start, stream, false);
        true
    }

    /// Bytes of DATA that the windows let `stream` send now; 0 if it is gone or we ended it.
    #[must_use]
    pub fn sendable(&self, stream: StreamId) -> usize {
        match self.streams.get(stream) {
            Some(s) if !s.local_closed => s.send.available().min(self.send.available()),
            _ => 0,
        }
    }

    /// Makes the head of one DATA frame with up to `len` bytes, as far as windows and frame size
    /// allow, and counts it as sent. END_STREAM is set if `end` and all of `len` is in it.
    ///
    /// `None`: the stream is gone or has no head yet or we ended it, or `len` is 0 and not `end`, or no window is open; in
    /// that last case `Event::Window` or `Event::Settings` comes when it is time to try again.
    pub fn data_head(&mut self, stream: StreamId, len: usize, end: bool) -> Option<DataHead> {
        let s = self.streams.get_mut(stream)?;
        if s.local_closed || !s.head_sent || (len == 0 && !end) {
            return None;
        }
        let (own, shared) = (s.send.available(), self.send.available());
        let window = own.min(shared);
        let most = self.peer.max_frame_size as usize;
        let take = len.min(window).min(most);
        if take < len && take == window {
            s.blocked = true;
            self.blocked |= shared <= own;
        }
        if take == 0 && len > 0 {
            return None;
        }
        s.send.take(take);
        self.send.take(take);
        let end = end && take == len;
        if end {
            s.local_closed = true;
            self.side_ended(stream);
        }
        self.flood.sent_data(HEAD.saturating_add(take));
        let head = FrameHead {
            len: take as u32, // at most the frame size
            kind: kind::DATA,
            flags: if end { flag::END_STREAM } else { 0 },
            stream,
        };
        Some(DataHead {
            bytes: head.bytes(),
            len: take,
            end,
        })
    }

    /// `data_head` and a copy, frame after frame, of what the windows allow. Returns the number
    /// of bytes taken; END_STREAM went out with the last of them if that is all and `end`, and
    /// then `sendable` is 0.
    pub fn send_data(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        data: &[u8],
        end: bool,
    ) -> usize {
        let mut rest = data;
        while let Some(head) = self.data_head(stream, rest.len(), end) {
            out.extend_from_slice(&head.bytes);
            let (now, later) = rest.split_at_checked(head.len).unwrap_or((rest, &[]));
            out.extend_from_slice(now);
            rest = later;
        }
        data.len().saturating_sub(rest.len())
    }

    /// Ends a message with trailers, without those that must not come after a body. `false`,
    /// and nothing is written, if the stream is gone, ended, or has no head yet.
    pub fn send_trailers(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        trailers: &HeaderMap,
    ) -> bool {
        let Some(s) = self
            .streams
            .get_mut(stream)
            .filter(|s| s.head_sent && !s.local_closed)
        else {
            return false;
        };
        if !trailers
            .iter_known()
            .any(|(k, name, _)| is_trailer(k, name))
        {
            if let Some(head) = self.data_head(stream, 0, true) {
                out.extend_from_slice(&head.bytes);
            }
            return true;
        }
        s.local_closed = true;
        let start = begin(&mut self.encoder, out);
        for (known, name, value, is_secret) in trailers.iter_marked() {
            if is_trailer(known, name) {
                self.encoder
                    .field_marked(out, known, name, value, is_secret);
            }
        }
        self.finish(out, start, stream, true);
        self.side_ended(stream);
        true
    }

    /// Resets a stream; nothing if it is gone. What the peer still sends on it is ignored.
    pub fn reset(&mut self, out: &mut Vec<u8>, stream: StreamId, code: ErrorCode) {
        let Some(s) = self.drop_stream(out, stream) else {
            return;
        };
        if s.is_closed() {
            self.recent.ended_by_peer(stream);
            return;
        }
        self.put_reset(out, stream, code);
        if s.remote_closed {
            self.recent.ended_by_peer(stream);
        } else {
            self.remember_reset(stream);
        }
    }

    /// GOAWAY with the highest stream that was reported: those up to it go on, what the peer
    /// opens beyond it is ignored.
    pub fn goaway(&mut self, out: &mut Vec<u8>, code: ErrorCode) {
        let last = self.processed;
        self.put_goaway(out, last, code);
        self.goaway_sent = Some(last);
        self.stats.goaway_sent = self.stats.goaway_sent.saturating_add(1);
    }

    /// GOAWAY with 2^31-1: please open no more, though what is on its way is taken. `goaway`
    /// follows a round trip or a drain time later (RFC 9113 §6.8).
    pub fn shutdown_notice(&mut self, out: &mut Vec<u8>) {
        if self.goaway_sent.is_some() {
            return;
        }
        self.put_goaway(out, ID, ErrorCode::NO_ERROR);
        self.goaway_sent = Some(ID);
        self.stats.goaway_graceful_sent = self.stats.goaway_graceful_sent.saturating_add(1);
    }

    /// PING; `Event::Pong` answers with the same payload.
    pub fn ping(&mut self, out: &mut Vec<u8>, payload: [u8; 8]) {
        frame::put_ping(out, 0, &payload);
        self.flood.sent(HEAD.saturating_add(8));
    }

    /// The block that began at `start` becomes HEADERS, and CONTINUATIONs if it is long.
    fn finish(&mut self, out: &mut Vec<u8>, start: usize, id: StreamId, end: bool) {
        let len = out.len().saturating_sub(start).saturating_sub(HEAD);
        let most = self.peer.max_frame_size as usize;
        let end = if end { flag::END_STREAM } else { 0 };
        if len > most {
            return self.finish_split(out, start, id, end);
        }
        let head = FrameHead {
            len: len as u32, // at most the frame size
            kind: kind::HEADERS,
            flags: flag::END_HEADERS | end,
            stream: id,
        };
        frame::fill_head(out, start, head);
        self.flood.sent(HEAD.saturating_add(len));
    }

    #[cold]
    fn finish_split(&mut self, out: &mut Vec<u8>, start: usize, id: StreamId, end: u8) {
        let block = out.get(start.saturating_add(HEAD)..).unwrap_or_default();
        self.split.clear();
        self.split.extend_from_slice(block);
        out.truncate(start);
        let mut parts = self.split.chunks(self.peer.max_frame_size as usize);
        let (mut kind, mut flags) = (kind::HEADERS, end);
        while let Some(part) = parts.next() {
            if parts.len() == 0 {
                flags |= flag::END_HEADERS;
            }
            let head = FrameHead {
                len: part.len() as u32, // at most the frame size
                kind,
                flags,
                stream: id,
            };
            out.extend_from_slice(&head.bytes());
            out.extend_from_slice(part);
            self.flood.sent(HEAD.saturating_add(part.len()));
            (kind, flags) = (kind::CONTINUATION, 0);
        }
        if self.split.capacity() > KEPT_BLOCK {
            self.split = Vec::new();
        }
    }
}

/// Leaves room for the frame head and begins a header block.
fn begin(encoder: &mut Encoder, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    encoder.begin(out);
    start
}

/// All fields but those of `NEVER` and `without`, and one `content-length`.
fn put_fields(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    without: u128,
    length: Option<u64>,
) {
    for (known, name, value, is_secret) in headers.iter_marked() {
        if known.bit() & (NEVER | without) == 0 {
            encoder.field_marked(out, known, name, value, is_secret);
        }
    }
    if let Some(n) = length {
        let mut digits = [0u8; 20];
        let digits = format_decimal(n, &mut digits);
        encoder.field(out, Known::ContentLength, b"content-length", digits);
    }
}
