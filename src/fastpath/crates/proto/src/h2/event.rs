//! What `Connection::next` reports.

use super::error::{ErrorCode, StreamFault};

/// Id of a stream, 1 to 2^31-1: odd, as only clients open streams.
pub type StreamId = u32;

/// One event. Heads and trailers are not in it but in `Connection::{request, response,
/// trailers}`, to be swapped out before the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All is read that can be: give the bytes that were not consumed again, with more.
    NeedMore,
    /// A client's request, in `request`. `end`: it has neither body nor trailers.
    Request { stream: StreamId, end: bool },
    /// An upstream's response, in `response`; any number of interim ones (`is_interim`) first.
    Response { stream: StreamId, end: bool },
    /// Body: `len` bytes of `buf` from `start` on, perhaps 0 if `end`. They count against the
    /// windows until `Connection::consumed` gives them back.
    Data {
        stream: StreamId,
        start: usize,
        len: usize,
        end: bool,
    },
    /// The end of a message that has trailers, in `trailers`.
    Trailers { stream: StreamId },
    /// The peer reset the stream, which is gone.
    Reset { stream: StreamId, code: ErrorCode },
    /// We reset the stream, which is gone, for what the peer sent. If `fault` is found in the
    /// request's head, no `Request` was reported before.
    StreamError {
        stream: StreamId,
        fault: StreamFault,
    },
    /// A stream that could not send all it wanted to (`data_head` took less than was there)
    /// may send more; stream 0: all of those may.
    Window { stream: StreamId },
    /// The peer's settings came or changed: windows and `can_open` may have.
    Settings,
    /// The answer to `Connection::ping`.
    Pong { payload: [u8; 8] },
    /// The peer opens no more and takes no more streams. Ours above `last` are gone from this
    /// connection and were not processed: they can be sent again elsewhere (RFC 9113 §6.8). A
    /// peer that shuts down in two steps says it twice, first with 2^31-1.
    Goaway { last: StreamId, code: ErrorCode },
}
