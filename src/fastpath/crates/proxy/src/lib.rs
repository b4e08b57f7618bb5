//! The data plane: workers, listeners, HTTP, routing, pools, telemetry.
