//! A connection before its filter chain is chosen: what listener filters find out about it.

mod facts;
mod filters;
mod stats;
#[cfg(test)]
mod tests;

pub use facts::{ConnectionFacts, TlsFailure, Transport, UpstreamSource};
pub use filters::{Inspection, Rejection, Step};
pub use stats::FilterStats;
