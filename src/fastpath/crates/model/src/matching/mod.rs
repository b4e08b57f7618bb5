//! The hot path's questions to a route configuration: pure functions, nothing allocated for any
//! request that is not out of the ordinary.

pub mod chain_tree;
pub mod filter_chain;
mod header;
mod hosts;
pub mod metadata;
pub mod query;
pub mod rbac;
mod route;
mod string;

pub use route::{Metadata, NoMetadata, Peer, with_plain_path};

#[cfg(test)]
mod tests;
