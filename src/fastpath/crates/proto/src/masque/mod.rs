//! UDP in HTTP (RFC 9298): where a request wants its datagrams sent, and the capsules (RFC 9297)
//! that carry them on a stream.

mod capsule;
mod target;
mod varint;

pub use capsule::{CapsuleError, CapsuleReader, MAX_CAPSULE, write_datagram};
pub use target::udp_authority;

/// The upgrade token, in HTTP/2 the `:protocol`.
pub const CONNECT_UDP: &[u8] = b"connect-udp";

/// Who sends it speaks in capsules from the head on (RFC 9297 §3.4): `capsule-protocol: ?1`.
pub const CAPSULE_PROTOCOL: (&[u8], &[u8]) = (b"capsule-protocol", b"?1");

/// The most that one datagram carries: what a UDP header can say, less itself (RFC 768).
pub const MAX_UDP_PAYLOAD: usize = 65_527;
