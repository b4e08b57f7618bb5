//! The loads that `drive` runs: one file for each protocol. `follow` runs by itself.

pub mod connect;
pub mod follow;
pub mod grpc;
pub mod h2;
pub mod handshakes;
pub mod hold;
pub mod tcp;
pub mod websocket;
