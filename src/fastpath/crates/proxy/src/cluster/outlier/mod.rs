//! Outlier detection (Envoy's `Upstream::Outlier`): hosts that answer badly are left out for a
//! while.
//!
//! Theory of operation. Workers count what happens with a host in its `Monitor`, which all of them
//! share: a few atomics, no lock, nothing allocated. A monitor that sees too many failures in a row
//! leaves a note in `Reports`, once. The control side owns one `Detector` a cluster, which judges
//! what the notes and, every interval, all monitors say. A host that is out is one whose health is
//! UNHEALTHY in the endpoints that workers get (`Detector::judged`): what chooses hosts, by tables
//! and subsets, in panic or not, has no other notion of one that is not available.

mod detector;
pub mod event_log;
mod events;
mod monitor;
mod reports;
#[cfg(test)]
mod testing;
mod verdict;

pub use detector::Detector;
pub use events::Attempt;
pub use monitor::Monitor;
pub use reports::{Report, Reports};
pub use verdict::Verdict;

/// Why a host is out, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Consecutive5xx,
    ConsecutiveGatewayFailure,
    ConsecutiveLocalOriginFailure,
    SuccessRate(Origin),
    FailurePercentage(Origin),
}

/// Whose failures they are: those of answers (all, where they are not split), or those of
/// connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    External,
    Local,
}
