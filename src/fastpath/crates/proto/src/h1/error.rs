//! What can be wrong with a message, and what the peer is told.

use std::fmt;

/// Why a head was refused. The connection cannot be used further: its framing is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    BareLf,
    BareCr,
    ObsFold,
    RequestLine,
    MethodNotToken,
    UnknownMethod,
    Target,
    TargetTooLong,
    Scheme,
    Version,
    VersionNotSupported,
    Http10Refused,
    StatusLine,
    EmptyFieldName,
    FieldName,
    SpaceBeforeColon,
    FramingLookalike,
    Underscore,
    FieldValue,
    HeadTooLarge,
    TooManyHeaders,
    MissingHost,
    MultipleHosts,
    Host,
    ContentLength,
    LengthAndTransferEncoding,
    TransferEncoding,
    TransferEncodingNotAllowed,
    ContentLengthNotAllowed,
    BodyNotAllowed,
    ConnectionNominations,
}

/// One row of the table of errors.
struct Row {
    status: u16,
    details: &'static str,
    message: &'static str,
}

impl HeadError {
    /// Details as in Envoy's `Http1ResponseCodeDetails` and HCM where Envoy knows the case.
    const fn row(self) -> Row {
        const CODEC: &str = "http1.codec_error";
        let (status, details, message) = match self {
            HeadError::BareLf => (400, CODEC, "line ends in LF without CR"),
            HeadError::BareCr => (400, CODEC, "CR without LF"),
            HeadError::ObsFold => (400, CODEC, "folded field line"),
            HeadError::RequestLine => (400, CODEC, "malformed request line"),
            HeadError::MethodNotToken => (400, CODEC, "method is not a token"),
            HeadError::UnknownMethod => (400, CODEC, "unknown method"),
            HeadError::Target => (400, "http1.invalid_url", "invalid request target"),
            HeadError::TargetTooLong => (414, "http1.target_too_long", "request target too long"),
            HeadError::Scheme => (
                400,
                "http1.invalid_scheme",
                "scheme of the target is not http or https",
            ),
            HeadError::Version => (400, CODEC, "malformed HTTP version"),
            HeadError::VersionNotSupported => (505, CODEC, "HTTP version not supported"),
            HeadError::Http10Refused => (426, "low_version", "HTTP/1.0 is not accepted"),
            HeadError::StatusLine => (400, CODEC, "malformed status line"),
            HeadError::EmptyFieldName => (400, CODEC, "empty field name"),
            HeadError::FieldName => (400, CODEC, "field name is not a token"),
            HeadError::SpaceBeforeColon => (400, CODEC, "whitespace between field name and colon"),
            HeadError::FramingLookalike => (
                400,
                "http1.unexpected_underscore",
                "field name imitates a framing field",
            ),
            HeadError::Underscore => (
                400,
                "http1.unexpected_underscore",
                "underscore in field name",
            ),
            HeadError::FieldValue => (
                400,
                "http1.invalid_characters",
                "control character in field value",
            ),
            HeadError::HeadTooLarge => (431, "http1.headers_too_large", "head too large"),
            HeadError::TooManyHeaders => (431, "http1.too_many_headers", "too many header fields"),
            HeadError::MissingHost => (400, "missing_host_header", "no host"),
            HeadError::MultipleHosts => (400, "http.invalid_authority", "more than one host field"),
            HeadError::Host => (400, "http.invalid_authority", "invalid host"),
            HeadError::ContentLength => (400, CODEC, "invalid content-length"),
            HeadError::LengthAndTransferEncoding => (
                400,
                "http1.content_length_and_chunked_not_allowed",
                "both content-length and transfer-encoding",
            ),
            HeadError::TransferEncoding => (
                501,
                "http1.invalid_transfer_encoding",
                "unsupported transfer-encoding",
            ),
            HeadError::TransferEncodingNotAllowed => (
                400,
                "http1.transfer_encoding_not_allowed",
                "transfer-encoding not allowed here",
            ),
            HeadError::ContentLengthNotAllowed => (
                400,
                "http1.content_length_not_allowed",
                "content-length not allowed here",
            ),
            HeadError::BodyNotAllowed => (
                400,
                "http1.body_disallowed",
                "body not allowed with this method",
            ),
            HeadError::ConnectionNominations => (
                400,
                "http1.connection_header_rejected",
                "connection nominates too many or protected fields",
            ),
        };
        Row {
            status,
            details,
            message,
        }
    }

    /// The status that answers a request with this fault.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// Envoy's `response_code_details`.
    #[must_use]
    pub const fn details(self) -> &'static str {
        self.row().details
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().message)
    }
}

impl std::error::Error for HeadError {}

/// Why a body was refused. The connection cannot be used further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    ChunkSize,
    ChunkTooLarge,
    ChunkExtension,
    ChunkLineTooLong,
    ChunkEnd,
    Trailer(HeadError),
    ForbiddenTrailer,
    TrailersTooLarge,
    TooManyTrailers,
    /// The peer closed before the body was complete.
    Truncated,
}

impl BodyError {
    /// The status that answers a request with this fault.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            BodyError::TrailersTooLarge | BodyError::TooManyTrailers => 431,
            _ => 400,
        }
    }

    /// Envoy's `response_code_details`.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            BodyError::Trailer(e) => e.details(),
            BodyError::TrailersTooLarge => "http1.trailers_too_large",
            BodyError::TooManyTrailers => "http1.too_many_trailers",
            _ => "http1.codec_error",
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::ChunkSize => "malformed chunk size",
            BodyError::ChunkTooLarge => "chunk size of more than 16 digits",
            BodyError::ChunkExtension => "malformed chunk extension",
            BodyError::ChunkLineTooLong => "chunk extensions too long",
            BodyError::ChunkEnd => "chunk data is not followed by CRLF",
            BodyError::Trailer(e) => return write!(f, "in a trailer: {e}"),
            BodyError::ForbiddenTrailer => "framing field in the trailers",
            BodyError::TrailersTooLarge => "trailers too large",
            BodyError::TooManyTrailers => "too many trailers",
            BodyError::Truncated => "connection closed within the body",
        })
    }
}

impl std::error::Error for BodyError {}
