//! Envoy v3 resources to a compiled, immutable snapshot.
