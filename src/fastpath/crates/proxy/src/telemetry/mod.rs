//! What the data plane tells about itself: statistics, access logs, the process log.

pub mod json;
pub mod stats;
