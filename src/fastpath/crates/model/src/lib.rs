//! Envoy v3 resources to a compiled, immutable snapshot.
//!
//! Data flows one way: text (YAML/JSON) → resource bytes (`text`) → checked against the
//! descriptors (`schema`, `validate`, `supported`) → compiled (`compile`) → the types in
//! `resources`, which the data plane only reads.

pub mod format;
pub mod matching;
pub mod resources;
pub mod route_index;
pub mod store;
