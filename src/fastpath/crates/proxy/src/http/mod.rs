//! HTTP: client connections, streams, and what the connection manager does to a message.

pub mod authority;
pub mod client;
pub mod deadlines;
pub mod decimal;
pub mod downstream;
pub mod failure;
pub mod filters;
mod forwarded;
mod gather;
pub mod grpc;
pub mod local_reply;
mod network_filters;
pub mod own_call;
pub mod path;
pub mod request;
pub mod request_id;
pub mod response;
pub mod stream;
pub mod upgrade;
