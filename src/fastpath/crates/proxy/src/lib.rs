//! The data plane: workers, listeners, HTTP, routing, pools, telemetry.

pub mod telemetry;
