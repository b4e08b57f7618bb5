//! The data plane: workers, listeners, HTTP, routing, pools, telemetry.
//!
//! A request goes `worker::listen` → `http::downstream` → `http::request` → `router` →
//! `cluster::lb` → `upstream::pool` → `upstream::exchange` → `http::response` → access log.
//! A configuration goes `engine` → `worker::command` → `worker::config`.

pub mod cluster;
pub mod engine;
pub mod grpc;
pub mod http;
pub mod http2;
pub mod listener;
pub mod net;
pub mod router;
pub mod tcp;
pub mod telemetry;
pub mod upstream;
pub mod worker;
