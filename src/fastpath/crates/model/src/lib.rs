//! Envoy v3 resources to a compiled, immutable snapshot.
//!
//! Data flows one way: text (YAML/JSON) → resource bytes (`text`) → checked against the
//! descriptors (`schema`, `validate`, `supported`) → compiled (`compile`) → the types in
//! `resources`, which the data plane only reads.

pub mod bootstrap;
pub mod certs;
mod check;
#[allow(deprecated)] // What Envoy calls deprecated is still configuration.
pub mod compile;
pub mod discovery;
pub mod format;
pub mod json;
pub mod jwt;
pub mod matching;
mod plan;
pub mod problem;
pub mod resources;
pub mod route_index;
pub mod schema;
pub mod store;
pub mod supported;
#[cfg(test)]
mod testing;
pub mod text;
mod validate;
pub mod value;
