//! The HTTP/2 codec from outside: frames in, events and frames out.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)] // a test may panic

mod client;
mod exchange;
mod flood;
mod messages;
mod never_indexed;
mod receive;
mod send;
mod support;
