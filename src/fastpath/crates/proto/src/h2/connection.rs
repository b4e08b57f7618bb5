//! A connection: what both sides agreed on, its streams, and what is common to both directions.
//! `receive` and `send` are the directions.

use super::blocks::Block;
use super::error::{ConnectionError, ErrorCode, StreamFault};
use super::event::{Event, StreamId};
use super::flood::Flood;
use super::flow::{INITIAL_WINDOW, ReceiveWindow, SendWindow};
use super::frame::{self, HEAD, ID};
use super::hpack::{Decoder, Encoder};
use super::options::Options;
use super::receive::Reading;
use super::settings::{self, INITIAL_TABLE_SIZE, PeerSettings};
use super::stats::Stats;
use super::streams::{ANY_LENGTH, Recent, Stream, Streams};
use crate::head::{RequestHead, ResponseHead};
use crate::headers::HeaderMap;

/// What a client sends first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams that a client opens before it knows how many it may, as nghttp2 does.
const UNGREETED_STREAMS: usize = 100;

/// Capacities up to these are kept by `shrink` and after a large block.
const KEPT_HEAD: usize = 4096;
pub(super) const KEPT_BLOCK: usize = 65_536;

/// One side of an HTTP/2 connection.
///
/// Streams live from their head on until both sides ended and all DATA was consumed, or until
/// one side reset them. A stream that is gone is never an error to name: calls say so or do
/// nothing.
#[derive(Debug)]
pub struct Connection {
    /// The head of the last `Event::Request`. Swap it out: the memory put in is used again.
    pub request: RequestHead,
    /// The head of the last `Event::Response`.
    pub response: ResponseHead,
    /// Of the last `Event::Trailers`.
    pub trailers: HeaderMap,
    /// Wire bytes of the header block that the last head or trailers came from, frame heads
    /// included.
    pub head_bytes: u32,
    /// Counted since the owner took them.
    pub stats: Stats,
    pub(super) is_client: bool,
    pub(super) options: Options,
    pub(super) peer: PeerSettings,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) streams: Streams,
    pub(super) recent: Recent,
    /// Streams that are open or half closed, and what the heads of their requests take.
    pub(super) active: usize,
    pub(super) open_head_bytes: usize,
    pub(super) flood: Flood,
    /// DATA of all streams together.
    pub(super) send: SendWindow,
    pub(super) receive: ReceiveWindow,
    /// `data_head` could not take all because of `send`.
    pub(super) blocked: bool,
    pub(super) reading: Reading,
    /// A header block that CONTINUATIONs must complete, and its bytes so far.
    pub(super) block: Option<Block>,
    pub(super) fragments: Vec<u8>,
    pub(super) cookie: Vec<u8>,
    /// A header block that is being split into frames.
    pub(super) split: Vec<u8>,
    /// The peer's first SETTINGS came; ours were acknowledged.
    pub(super) greeted: bool,
    pub(super) acknowledged: bool,
    /// Server: the highest stream that the peer opened, and that was reported.
    pub(super) highest: StreamId,
    pub(super) processed: StreamId,
    /// Client: the id of the next stream.
    pub(super) next_id: StreamId,
    /// The last stream by our GOAWAY, and by the peer's.
    pub(super) goaway_sent: Option<StreamId>,
    pub(super) goaway_received: Option<StreamId>,
    pub(super) failed: Option<ConnectionError>,
    pub(super) has_lost_head: bool,
    pub(super) now_ms: u64,
}

impl Connection {
    /// A connection that a client opened.
    #[must_use]
    pub fn server(options: Options) -> Connection {
        Connection::new(options, false)
    }

    /// A connection to an upstream.
    #[must_use]
    pub fn client(options: Options) -> Connection {
        Connection::new(options, true)
    }

    fn new(options: Options, is_client: bool) -> Connection {
        let options = options.clamped();
        // Until the peer acknowledges our SETTINGS it may use what HTTP/2 begins with.
        let mut decoder = Decoder::new(options.header_table_size.max(INITIAL_TABLE_SIZE));
        decoder.set_max_string(options.max_header_field_bytes);
        Connection {
            request: RequestHead::new(),
            response: ResponseHead::new(),
            trailers: HeaderMap::new(),
            head_bytes: 0,
            stats: Stats::default(),
            is_client,
            peer: PeerSettings::default(),
            decoder,
            encoder: Encoder::with_cap(options.header_table_size),
            streams: Streams::default(),
            recent: Recent::default(),
            active: 0,
            open_head_bytes: 0,
            flood: Flood::new(&options),
            send: SendWindow::new(INITIAL_WINDOW),
            receive: ReceiveWindow::new(options.initial_connection_window),
            blocked: false,
            reading: if is_client {
                Reading::Frame
            } else {
                Reading::Preface
            },
            block: None,
            fragments: Vec::new(),
            cookie: Vec::new(),
            split: Vec::new(),
            greeted: false,
            acknowledged: false,
            highest: 0,
            processed: 0,
            next_id: 1,
            goaway_sent: None,
            goaway_received: None,
            failed: None,
            has_lost_head: false,
            now_ms: 0,
            options,
        }
    }

    /// Appends what goes first: the client's preface, SETTINGS, the connection's window. To be
    /// called once, before all else.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        if self.is_client {
            out.extend_from_slice(PREFACE);
        }
        settings::put(out, &self.options, self.is_client);
        let more = self
            .options
            .initial_connection_window
            .saturating_sub(INITIAL_WINDOW);
        if more > 0 {
            frame::put_window_update(out, 0, more);
        }
        self.flood.sent(out.len().saturating_sub(before));
    }

    /// Says how many of the bytes that this connection produced (what it appended, and the
    /// payloads that `data_head` announced) are not sent yet. To be called after writing to the
    /// socket: the limits of outbound frames are about what the peer does not read, and without
    /// this call nothing is ever read.
    pub fn set_unsent(&mut self, bytes: usize) {
        self.flood.set_unsent(bytes);
    }

    /// Streams that are open or half closed.
    #[must_use]
    pub fn active_streams(&self) -> usize {
        self.active
    }

    /// How many more streams `send_request` would open now: what the peer allows, 100 until its
    /// SETTINGS came.
    #[must_use]
    pub fn can_open(&self) -> usize {
        if self.is_closing() || !self.is_client {
            return 0;
        }
        let most = if self.greeted {
            usize::try_from(self.peer.max_concurrent_streams).unwrap_or(usize::MAX)
        } else {
            UNGREETED_STREAMS
        };
        let ids = (ID.saturating_sub(self.next_id) / 2).saturating_add(1) as usize;
        most.saturating_sub(self.active).min(ids)
    }

    /// No new streams any more: the peer or we said GOAWAY, the connection failed, or the ids
    /// are used up.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.goaway_sent.is_some()
            || self.goaway_received.is_some()
            || self.failed.is_some()
            || self.next_id > ID
    }

    /// The peer said GOAWAY: it opens no new streams.
    #[must_use]
    pub fn is_peer_leaving(&self) -> bool {
        self.goaway_received.is_some()
    }

    /// The connection failed in the head of a request, of which nothing was reported.
    #[must_use]
    pub fn has_lost_head(&self) -> bool {
        self.has_lost_head
    }

    /// The peer's SETTINGS came.
    #[must_use]
    pub fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// The peer takes extended CONNECT (RFC 8441).
    #[must_use]
    pub fn peer_allows_connect(&self) -> bool {
        self.peer.connect_protocol
    }

    /// Whether the stream is there: opened, and not forgotten.
    #[must_use]
    pub fn has_stream(&self, stream: StreamId) -> bool {
        self.streams.get(stream).is_some()
    }

    /// `n` bytes of received DATA are done with: gives window back, in batches of half a window.
    ///
    /// To be called for every byte of every `Event::Data`, also after the stream ended. What is
    /// open when a stream is reset (`reset`, `Event::Reset`, `Event::StreamError`,
    /// `Event::Goaway`) is given back by itself.
    pub fn consumed(&mut self, out: &mut Vec<u8>, stream: StreamId, n: usize) {
        let Some(s) = self.streams.get_mut(stream) else {
            return;
        };
        let n = u32::try_from(n).unwrap_or(u32::MAX).min(s.outstanding);
        s.outstanding = s.outstanding.saturating_sub(n);
        let over = s.outstanding == 0 && s.is_closed();
        self.free_stream(out, stream, n);
        self.free_connection(out, n);
        if over {
            self.streams.remove(stream);
            self.recent.ended_by_peer(stream);
        }
    }

    /// Gives memory back that an idle connection does not need.
    pub fn shrink(&mut self) {
        self.request.shrink(KEPT_HEAD);
        self.response.shrink(KEPT_HEAD);
        self.trailers.shrink(KEPT_HEAD);
        if self.block.is_none() {
            self.fragments = Vec::new();
        }
        self.cookie = Vec::new();
        self.split = Vec::new();
        self.streams.shrink();
        if self.streams.len() == 0 {
            self.recent.shrink();
        }
    }

    /// A stream as it is at its start.
    pub(super) fn new_stream(&self) -> Stream {
        Stream {
            send: SendWindow::new(self.peer.initial_window),
            receive: ReceiveWindow::new(self.stream_window()),
            outstanding: 0,
            head_bytes: 0,
            remaining: ANY_LENGTH,
            opened_ms: self.now_ms,
            local_closed: false,
            remote_closed: false,
            head_received: false,
            head_sent: false,
            is_head: false,
            is_connect: false,
            blocked: false,
        }
    }

    /// The window of new streams. Until it acknowledges ours the peer may use the initial one.
    fn stream_window(&self) -> u32 {
        let ours = self.options.initial_stream_window;
        if self.acknowledged {
            ours
        } else {
            ours.max(INITIAL_WINDOW)
        }
    }

    pub(super) fn open(&mut self, id: StreamId, stream: Stream) {
        self.streams.insert(id, stream);
        self.active = self.active.saturating_add(1);
        self.flood.stream_opened();
    }

    /// To be called when one side of a stream has ended: are both?
    pub(super) fn side_ended(&mut self, id: StreamId) {
        let Some(s) = self.streams.get(id).filter(|s| s.is_closed()) else {
            return;
        };
        let drained = s.outstanding == 0;
        let head_bytes = s.head_bytes;
        self.no_longer_active(head_bytes);
        self.flood.completed();
        if drained {
            self.streams.remove(id);
            self.recent.ended_by_peer(id);
        }
    }

    /// Removes a stream that did not come to its end.
    pub(super) fn drop_stream(&mut self, out: &mut Vec<u8>, id: StreamId) -> Option<Stream> {
        let stream = self.streams.remove(id)?;
        if !stream.is_closed() {
            self.no_longer_active(stream.head_bytes);
        }
        self.free_connection(out, stream.outstanding);
        Some(stream)
    }

    fn no_longer_active(&mut self, head_bytes: u32) {
        self.active = self.active.saturating_sub(1);
        self.open_head_bytes = self.open_head_bytes.saturating_sub(head_bytes as usize);
        self.flood.stream_gone(self.active);
    }

    /// `n` bytes of DATA need no more room on the connection.
    pub(super) fn free_connection(&mut self, out: &mut Vec<u8>, n: u32) {
        let size = self.options.initial_connection_window;
        if let Some(increment) = self.receive.free(n, size) {
            self.put_window_update(out, 0, increment);
        }
    }

    /// The same on a stream; nothing once the peer ended it.
    pub(super) fn free_stream(&mut self, out: &mut Vec<u8>, id: StreamId, n: u32) {
        let size = self.options.initial_stream_window;
        let Some(s) = self.streams.get_mut(id).filter(|s| !s.remote_closed) else {
            return;
        };
        if let Some(increment) = s.receive.free(n, size) {
            self.put_window_update(out, id, increment);
        }
    }

    fn put_window_update(&mut self, out: &mut Vec<u8>, id: StreamId, increment: u32) {
        frame::put_window_update(out, id, increment);
        self.flood.sent(HEAD.saturating_add(4));
    }

    pub(super) fn put_reset(&mut self, out: &mut Vec<u8>, id: StreamId, code: ErrorCode) {
        frame::put_reset(out, id, code);
        self.stats.tx_reset = self.stats.tx_reset.saturating_add(1);
        self.flood.sent_control(HEAD.saturating_add(4));
    }

    pub(super) fn put_goaway(&mut self, out: &mut Vec<u8>, last: StreamId, code: ErrorCode) {
        frame::put_goaway(out, last, code);
        self.flood.sent(HEAD.saturating_add(8));
    }

    /// Resets ours that are remembered: as many as can be in flight.
    pub(super) fn remember_reset(&mut self, id: StreamId) {
        let limit = self.options.max_concurrent_streams as usize;
        self.recent.reset_by_us(id, limit.clamp(16, 1024));
    }

    /// Resets a stream for what the peer sent on it.
    pub(super) fn fault(
        &mut self,
        out: &mut Vec<u8>,
        id: StreamId,
        fault: StreamFault,
    ) -> Result<Option<Event>, ConnectionError> {
        self.stats.count_fault(fault);
        if fault.is_malformed() && !self.options.stream_error_on_invalid_message {
            return Err(ConnectionError::InvalidMessage { stream: id, fault });
        }
        self.put_reset(out, id, fault.code());
        let stream = self.drop_stream(out, id);
        self.remember_reset(id);
        if fault == StreamFault::Refused {
            self.count_reset()?;
        } else {
            self.count_premature(stream.as_ref())?;
        }
        Ok(Some(Event::StreamError { stream: id, fault }))
    }

    /// A client reset a stream, or made us do it.
    pub(super) fn count_reset(&mut self) -> Result<(), ConnectionError> {
        if self.is_client {
            return Ok(());
        }
        self.flood.reset(self.now_ms, &mut self.stats)
    }

    /// The same for a stream that ends with it (`None`: before its head was whole).
    pub(super) fn count_premature(
        &mut self,
        stream: Option<&Stream>,
    ) -> Result<(), ConnectionError> {
        if self.is_client {
            return Ok(());
        }
        let age_ms = match stream {
            Some(s) if s.head_sent => None,
            Some(s) => Some(self.now_ms.saturating_sub(s.opened_ms)),
            None => Some(0),
        };
        self.count_reset()?;
        self.flood.ended(age_ms, &mut self.stats)
    }

    /// The connection is over.
    pub(super) fn fail(&mut self, out: &mut Vec<u8>, error: ConnectionError) {
        self.put_goaway(out, self.processed, error.code());
        self.failed = Some(error);
    }
}
