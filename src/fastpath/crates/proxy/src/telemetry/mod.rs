//! What the data plane tells about itself: statistics, access logs, the process log.

pub mod access_log;
pub mod dynamic_metadata;
pub mod format;
pub mod istio;
pub mod json;
pub mod log;
pub mod log_format;
pub mod response_flags;
pub mod stats;
pub mod stream_info;

pub use response_flags::ResponseFlags;
pub use stream_info::{LogContext, StreamInfo};
