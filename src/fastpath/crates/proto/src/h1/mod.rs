//! The HTTP/1.1 codec (RFC 9112): strict on what comes in, canonical on what goes out.

mod body;
mod error;
mod framing;
mod line;
mod policy;
mod reader;
mod reason;
mod request_line;
mod target;
mod write;

pub use crate::authority::is_authority;
pub use crate::head::{BodyLength, RequestHead, ResponseHead, Scheme, Underscores, Version};
pub use crate::method::Method;
pub(crate) use body::is_trailer;
pub use body::{BodyDecoder, BodyEvent, BodyLimits};
pub use error::{BodyError, HeadError};
pub(crate) use framing::content_length;
pub use policy::{HeadLimits, RequestPolicy};
pub use reader::HeadReader;
pub use reason::reason_phrase;
pub use write::{
    CONTINUE, CRLF, LAST_CHUNK, ResponseOptions, write_chunk_size, write_continue,
    write_request_head, write_response, write_response_head, write_trailers,
};
