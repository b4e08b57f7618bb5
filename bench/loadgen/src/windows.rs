//! What both ends of HTTP/2 allow: nothing here is to hold anybody back.

pub const STREAM_WINDOW: u32 = 4 << 20;
pub const CONNECTION_WINDOW: u32 = 64 << 20;
/// Small frames are what a gRPC stream is made of; the library's default takes many for an attack.
pub const DATA_FRAMES: usize = usize::MAX;
