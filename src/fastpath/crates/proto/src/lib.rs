//! Bytes to events and events to bytes: no sockets, no Python, no clock.

mod authority;
mod chars;
pub mod client_hello;
pub mod h1;
pub mod h2;
mod head;
mod headers;
mod hop;
pub mod http_inspector;
mod known;
pub mod masque;
mod method;
pub mod proxy_protocol;
mod reader;
mod swar;

pub use authority::is_authority;
pub use head::{BodyLength, RequestHead, ResponseHead, Scheme, Underscores, Version};
pub use headers::HeaderMap;
pub use hop::{Nominations, has_token, strip_for_upgrade, strip_hop_by_hop, tokens};
pub use known::Known;
pub use method::Method;
