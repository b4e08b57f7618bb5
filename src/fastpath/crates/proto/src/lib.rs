//! Bytes to events and events to bytes: no sockets, no Python, no clock.

mod chars;
pub mod h1;
pub mod h2;
mod headers;
mod hop;
mod known;
mod swar;

pub use headers::HeaderMap;
pub use hop::{Nominations, has_token, strip_for_upgrade, strip_hop_by_hop, tokens};
pub use known::Known;
