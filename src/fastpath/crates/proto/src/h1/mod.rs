//! The HTTP/1.1 codec (RFC 9112): strict on what comes in, canonical on what goes out.

mod body;
mod error;
mod framing;
mod head;
mod line;
mod method;
mod reader;
mod reason;
mod target;
mod write;

pub use body::{BodyDecoder, BodyEvent, BodyLimits};
pub use error::{BodyError, HeadError};
pub use head::{
    BodyLength, HeadLimits, RequestHead, RequestPolicy, ResponseHead, Scheme, Underscores, Version,
};
pub use method::Method;
pub use reader::HeadReader;
pub use reason::reason_phrase;
pub use target::is_authority;
pub use write::{
    CONTINUE, CRLF, LAST_CHUNK, ResponseOptions, write_chunk_size, write_continue,
    write_request_head, write_response, write_response_head, write_trailers,
};
