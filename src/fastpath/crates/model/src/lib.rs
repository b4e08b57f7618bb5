//! Envoy v3 resources to a compiled, immutable snapshot.
//!
//! Data flows one way: text (YAML/JSON) → resource bytes (`text`) → checked against the
//! descriptors (`schema`, `validate`, `supported`) → compiled (`compile`) → the types in
//! `resources`, which the data plane only reads.

#[allow(deprecated)] // What servers still say.
pub mod authorization;
pub mod bootstrap;
pub mod certs;
mod check;
#[allow(deprecated)] // What Envoy calls deprecated is still configuration.
pub mod compile;
pub mod discovery;
mod everywhere;
pub mod format;
pub mod introduction;
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
mod typed_struct;
mod validate;
pub mod value;
pub mod workload;
