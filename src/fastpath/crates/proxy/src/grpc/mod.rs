//! A gRPC client over the clusters of the configuration.
//!
//! A call is a stream of HTTP/2 to a host of a cluster, which is chosen, connected to and counted as
//! for any request. It lives in one worker, as an `Upstream` whose state is `Call`; whoever wants it
//! is elsewhere and has a `line::Line` to it: commands go to the worker by its mailbox, messages come
//! back through an `inbox`. What nobody takes stays in the stream's window, which is the
//! back-pressure.

mod call;
pub mod inbox;
mod line;
mod reader;
pub mod unary;

pub use call::Call;
pub use line::{Calls, Line, Order, Request};

/// gRPC's statuses that we say ourselves.
pub mod status {
    pub const OK: u32 = 0;
    pub const CANCELLED: u32 = 1;
    pub const UNKNOWN: u32 = 2;
    pub const DEADLINE_EXCEEDED: u32 = 4;
    pub const RESOURCE_EXHAUSTED: u32 = 8;
    pub const INTERNAL: u32 = 13;
    pub const UNAVAILABLE: u32 = 14;
}
