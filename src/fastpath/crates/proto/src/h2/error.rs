//! Error codes (RFC 9113 §7), and what can be wrong with a connection or a stream.

use std::fmt;

use super::event::StreamId;

/// An error code on the wire. Codes that are not known are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    pub const NO_ERROR: ErrorCode = ErrorCode(0);
    pub const PROTOCOL_ERROR: ErrorCode = ErrorCode(1);
    pub const INTERNAL_ERROR: ErrorCode = ErrorCode(2);
    pub const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode(3);
    pub const SETTINGS_TIMEOUT: ErrorCode = ErrorCode(4);
    pub const STREAM_CLOSED: ErrorCode = ErrorCode(5);
    pub const FRAME_SIZE_ERROR: ErrorCode = ErrorCode(6);
    pub const REFUSED_STREAM: ErrorCode = ErrorCode(7);
    pub const CANCEL: ErrorCode = ErrorCode(8);
    pub const COMPRESSION_ERROR: ErrorCode = ErrorCode(9);
    pub const CONNECT_ERROR: ErrorCode = ErrorCode(10);
    pub const ENHANCE_YOUR_CALM: ErrorCode = ErrorCode(11);
    pub const INADEQUATE_SECURITY: ErrorCode = ErrorCode(12);
    pub const HTTP_1_1_REQUIRED: ErrorCode = ErrorCode(13);

    /// The name in RFC 9113, `UNKNOWN` for others.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "NO_ERROR",
            1 => "PROTOCOL_ERROR",
            2 => "INTERNAL_ERROR",
            3 => "FLOW_CONTROL_ERROR",
            4 => "SETTINGS_TIMEOUT",
            5 => "STREAM_CLOSED",
            6 => "FRAME_SIZE_ERROR",
            7 => "REFUSED_STREAM",
            8 => "CANCEL",
            9 => "COMPRESSION_ERROR",
            10 => "CONNECT_ERROR",
            11 => "ENHANCE_YOUR_CALM",
            12 => "INADEQUATE_SECURITY",
            13 => "HTTP_1_1_REQUIRED",
            _ => "UNKNOWN",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "UNKNOWN" => write!(f, "error {}", self.0),
            name => f.write_str(name),
        }
    }
}

/// Why a connection is over. The GOAWAY that says so is in `out` already: write it if that is
/// possible at once, and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The first bytes are no HTTP/2 preface (server).
    Preface,
    /// The first frame is not SETTINGS.
    FirstFrame,
    /// A frame longer than we allow, or of a length that its type cannot have.
    FrameSize,
    /// A frame of a stream kind on stream 0, or the other way round.
    StreamZero,
    /// A frame other than the CONTINUATION that had to come.
    ContinuationExpected,
    /// CONTINUATION without HEADERS.
    UnexpectedContinuation,
    /// A frame on a stream that nobody opened.
    IdleStream,
    /// HEADERS with an id that the peer may not open.
    StreamId,
    /// A frame on a stream that the peer ended.
    ClosedStream,
    /// More padding than payload.
    Padding,
    /// A setting out of its range.
    Setting,
    /// A stream depends on itself.
    SelfDependency,
    /// PUSH_PROMISE, which we never allow.
    PushPromise,
    /// More DATA than the connection's window.
    FlowControl,
    /// WINDOW_UPDATE of 0 on the connection.
    ZeroIncrement,
    /// A window, or the change of all windows by SETTINGS, beyond 2^31-1.
    WindowOverflow,
    /// A header block that is not HPACK.
    Compression,
    /// A malformed message, and `stream_error_on_invalid_message` is off. If it is a request's
    /// head, no `Request` was reported before.
    InvalidMessage {
        stream: StreamId,
        fault: StreamFault,
    },
    /// More CONTINUATION frames or bytes than a header block may have.
    ContinuationFlood,
    /// Frames that carry nothing.
    EmptyFramesFlood,
    PriorityFlood,
    WindowUpdateFlood,
    /// The peer makes us answer and does not read the answers: acknowledgements and resets.
    OutboundControlFlood,
    /// The same for all frames.
    OutboundFlood,
    /// Streams are reset faster than any client needs.
    ResetFlood,
    /// Envoy's premature resets: mostly requests that are taken back at once.
    PrematureResets,
}

impl ConnectionError {
    /// The code of our GOAWAY.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            ConnectionError::FrameSize => ErrorCode::FRAME_SIZE_ERROR,
            ConnectionError::ClosedStream => ErrorCode::STREAM_CLOSED,
            ConnectionError::FlowControl | ConnectionError::WindowOverflow => {
                ErrorCode::FLOW_CONTROL_ERROR
            }
            ConnectionError::Compression => ErrorCode::COMPRESSION_ERROR,
            error if error.is_flood() => ErrorCode::ENHANCE_YOUR_CALM,
            _ => ErrorCode::PROTOCOL_ERROR,
        }
    }

    /// A limit was passed, rather than a rule of the protocol broken.
    #[must_use]
    pub const fn is_flood(self) -> bool {
        matches!(
            self,
            ConnectionError::ContinuationFlood
                | ConnectionError::EmptyFramesFlood
                | ConnectionError::PriorityFlood
                | ConnectionError::WindowUpdateFlood
                | ConnectionError::OutboundControlFlood
                | ConnectionError::OutboundFlood
                | ConnectionError::ResetFlood
                | ConnectionError::PrematureResets
        )
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionError::Preface => "no HTTP/2 connection preface",
            ConnectionError::FirstFrame => "first frame is not SETTINGS",
            ConnectionError::FrameSize => "invalid frame length",
            ConnectionError::StreamZero => "frame type does not belong on this stream id",
            ConnectionError::ContinuationExpected => "header block is interrupted",
            ConnectionError::UnexpectedContinuation => "CONTINUATION without HEADERS",
            ConnectionError::IdleStream => "frame on an idle stream",
            ConnectionError::StreamId => "invalid id of a new stream",
            ConnectionError::ClosedStream => "frame on a closed stream",
            ConnectionError::Padding => "padding is longer than the frame",
            ConnectionError::Setting => "invalid value of a setting",
            ConnectionError::SelfDependency => "stream depends on itself",
            ConnectionError::PushPromise => "PUSH_PROMISE is not allowed",
            ConnectionError::FlowControl => "more DATA than the connection window",
            ConnectionError::ZeroIncrement => "WINDOW_UPDATE of 0",
            ConnectionError::WindowOverflow => "window beyond 2^31-1",
            ConnectionError::Compression => "invalid header block",
            ConnectionError::InvalidMessage { .. } => "malformed message",
            ConnectionError::ContinuationFlood => "too many CONTINUATION frames",
            ConnectionError::EmptyFramesFlood => "too many empty frames",
            ConnectionError::PriorityFlood => "too many PRIORITY frames",
            ConnectionError::WindowUpdateFlood => "too many WINDOW_UPDATE frames",
            ConnectionError::OutboundControlFlood => "too many control frames wait to be sent",
            ConnectionError::OutboundFlood => "too many frames wait to be sent",
            ConnectionError::ResetFlood => "too many stream resets",
            ConnectionError::PrematureResets => "too many premature stream resets",
        })
    }
}

impl std::error::Error for ConnectionError {}

/// Why we reset a stream because of what the peer sent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamFault {
    /// A field name that is not a lower-case token, or imitates a framing name.
    FieldName,
    /// A field value with a control character, or with whitespace around it.
    FieldValue,
    /// A field of HTTP/1 connections: `connection`, `transfer-encoding`, `te: gzip`, …
    ConnectionField,
    /// A name with `_`, and the options reject those.
    Underscore,
    /// A pseudo-header that is unknown, double, late, or in the wrong kind of message.
    PseudoField,
    /// A pseudo-header that had to be there is not.
    MissingPseudoField,
    /// An invalid method, scheme, path or status.
    PseudoValue,
    /// A path that does not begin with `/`.
    PathForm,
    /// No valid host, or `host` and `:authority` differ.
    Authority,
    /// `content-length` that is no number, or is there twice.
    ContentLength,
    /// `content-length` that is not the length of the body.
    BodyLength,
    /// HEADERS in the middle of a message that do not end it, or END_STREAM on a 1xx.
    Sequence,
    /// DATA before the head, or a body where none can be.
    UnexpectedData,
    /// More fields in a head or trailers than the limit.
    TooManyHeaders,
    /// More bytes in them than the limit.
    HeaderOverflow,
    /// More DATA than the stream's window.
    FlowControl,
    /// WINDOW_UPDATE of 0.
    ZeroIncrement,
    /// A window beyond 2^31-1.
    WindowOverflow,
    /// A frame after END_STREAM.
    StreamClosed,
    /// PRIORITY with a wrong length.
    FrameSize,
    /// A stream depends on itself.
    SelfDependency,
    /// More streams than we allow; nothing was done for it.
    Refused,
}

impl StreamFault {
    /// The code of our RST_STREAM.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            StreamFault::FlowControl | StreamFault::WindowOverflow => ErrorCode::FLOW_CONTROL_ERROR,
            StreamFault::StreamClosed => ErrorCode::STREAM_CLOSED,
            StreamFault::FrameSize => ErrorCode::FRAME_SIZE_ERROR,
            StreamFault::Refused => ErrorCode::REFUSED_STREAM,
            // As Envoy: these are rules of ours, not of the protocol.
            StreamFault::TooManyHeaders | StreamFault::HeaderOverflow | StreamFault::Underscore => {
                ErrorCode::INTERNAL_ERROR
            }
            _ => ErrorCode::PROTOCOL_ERROR,
        }
    }

    /// The message breaks the rules of HTTP (RFC 9113 §8.1.1), rather than those of frames.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        matches!(
            self,
            StreamFault::FieldName
                | StreamFault::FieldValue
                | StreamFault::ConnectionField
                | StreamFault::PseudoField
                | StreamFault::MissingPseudoField
                | StreamFault::PseudoValue
                | StreamFault::PathForm
                | StreamFault::Authority
                | StreamFault::ContentLength
                | StreamFault::BodyLength
                | StreamFault::Sequence
                | StreamFault::UnexpectedData
        )
    }

    /// Envoy's `response_code_details`.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            StreamFault::FieldName
            | StreamFault::FieldValue
            | StreamFault::ConnectionField
            | StreamFault::PseudoField
            | StreamFault::PseudoValue
            | StreamFault::ContentLength
            | StreamFault::Authority => "http2.invalid.header.field",
            StreamFault::Underscore => "http2.unexpected_underscore",
            StreamFault::MissingPseudoField
            | StreamFault::PathForm
            | StreamFault::BodyLength
            | StreamFault::Sequence
            | StreamFault::UnexpectedData => "http2.violation.of.messaging.rule",
            StreamFault::TooManyHeaders => "http2.too_many_headers",
            StreamFault::HeaderOverflow => "http2.header_list_size_too_large",
            StreamFault::Refused => "http2.remote_refuse",
            _ => "http2.unknown.nghttp2.error",
        }
    }
}

impl fmt::Display for StreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamFault::FieldName => "invalid field name",
            StreamFault::FieldValue => "invalid field value",
            StreamFault::ConnectionField => "field of HTTP/1 connections",
            StreamFault::Underscore => "underscore in field name",
            StreamFault::PseudoField => "unexpected pseudo-header",
            StreamFault::MissingPseudoField => "missing pseudo-header",
            StreamFault::PseudoValue => "invalid method, scheme, path or status",
            StreamFault::PathForm => "path does not begin with /",
            StreamFault::Authority => "invalid host",
            StreamFault::ContentLength => "invalid content-length",
            StreamFault::BodyLength => "content-length is not the length of the body",
            StreamFault::Sequence => "frames of a message out of order",
            StreamFault::UnexpectedData => "DATA where there can be none",
            StreamFault::TooManyHeaders => "too many header fields",
            StreamFault::HeaderOverflow => "head too large",
            StreamFault::FlowControl => "more DATA than the stream window",
            StreamFault::ZeroIncrement => "WINDOW_UPDATE of 0",
            StreamFault::WindowOverflow => "window beyond 2^31-1",
            StreamFault::StreamClosed => "frame after the end of the stream",
            StreamFault::FrameSize => "invalid frame length",
            StreamFault::SelfDependency => "stream depends on itself",
            StreamFault::Refused => "too many streams",
        })
    }
}

/// Why no stream can be opened now. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The peer lets us have no more at once; wait for one to end.
    Limit,
    /// The peer, or we, said GOAWAY, or the connection failed, or its ids are used up: take
    /// another connection.
    Closing,
    /// The head cannot be sent in HTTP/2: no method, no valid host, no path.
    Head,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Limit => "the peer allows no more streams at once",
            Refused::Closing => "the connection takes no more streams",
            Refused::Head => "the request has no valid method, host or path",
        })
    }
}

impl std::error::Error for Refused {}
