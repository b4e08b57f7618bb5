//! The HTTP/2 codec (RFC 9113) for both roles: bytes to events and calls to bytes, no I/O.
//!
//! The owner reads bytes and gives them to `Connection::next` until it says `NeedMore`; all
//! calls append what is to be sent to a `Vec` of the owner's. Bodies are not copied: received
//! ones are ranges of the owner's buffer, for sent ones `data_head` makes the frame head.

mod blocks;
mod connection;
mod control;
mod data;
mod error;
mod event;
mod fields;
mod flood;
mod flow;
mod frame;
mod heads;
pub mod hpack;
mod options;
mod receive;
mod send;
mod settings;
mod stats;
mod streams;

pub use connection::Connection;
pub use error::{ConnectionError, ErrorCode, Refused, StreamFault};
pub use event::{Event, StreamId};
pub use options::Options;
pub use send::DataHead;
pub use stats::Stats;
