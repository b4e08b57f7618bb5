//! SETTINGS (RFC 9113 §6.5): ours as we announce them, the peer's as it did.

use super::error::ConnectionError;
use super::flow::{INITIAL_WINDOW, MAX_WINDOW};
use super::frame::{self, FrameHead, HEAD, MAX_MAX_FRAME_SIZE, MIN_MAX_FRAME_SIZE, kind};
use super::options::Options;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
/// RFC 8441 §3.
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// The table size that applies until SETTINGS say otherwise.
pub(super) const INITIAL_TABLE_SIZE: u32 = 4096;

/// What the peer allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerSettings {
    pub header_table_size: u32,
    /// The least that the last SETTINGS named on the way there (RFC 7541 §4.2).
    pub least_table_size: u32,
    pub max_concurrent_streams: u32,
    pub initial_window: u32,
    pub max_frame_size: u32,
    pub connect_protocol: bool,
}

impl Default for PeerSettings {
    fn default() -> PeerSettings {
        PeerSettings {
            header_table_size: INITIAL_TABLE_SIZE,
            least_table_size: INITIAL_TABLE_SIZE,
            max_concurrent_streams: u32::MAX,
            initial_window: INITIAL_WINDOW,
            max_frame_size: MIN_MAX_FRAME_SIZE,
            connect_protocol: false,
        }
    }
}

impl PeerSettings {
    /// Takes over a whole payload: the values that hold after it, so that a frame which names
    /// one a thousand times costs no more. `from_server`: the peer is one.
    pub fn apply(&mut self, payload: &[u8], from_server: bool) -> Result<(), ConnectionError> {
        let (entries, []) = payload.as_chunks::<6>() else {
            return Err(ConnectionError::FrameSize);
        };
        self.least_table_size = self.header_table_size;
        for [a, b, value @ ..] in entries {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*a, *b]) {
                HEADER_TABLE_SIZE => {
                    self.header_table_size = value;
                    self.least_table_size = self.least_table_size.min(value);
                }
                // A server may say 0 only (§6.5.2), and a client's wish does not matter: we
                // never push.
                ENABLE_PUSH if value > 1 || (from_server && value != 0) => {
                    return Err(ConnectionError::Setting);
                }
                MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = value,
                INITIAL_WINDOW_SIZE if value > MAX_WINDOW => {
                    return Err(ConnectionError::WindowOverflow);
                }
                INITIAL_WINDOW_SIZE => self.initial_window = value,
                MAX_FRAME_SIZE if !(MIN_MAX_FRAME_SIZE..=MAX_MAX_FRAME_SIZE).contains(&value) => {
                    return Err(ConnectionError::Setting);
                }
                MAX_FRAME_SIZE => self.max_frame_size = value,
                // RFC 8441 §3: never taken back.
                ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.connect_protocol) => {
                    return Err(ConnectionError::Setting);
                }
                ENABLE_CONNECT_PROTOCOL => self.connect_protocol = value == 1,
                // Advice (§6.5.2); like nghttp2 we send what the other side of the proxy sent.
                MAX_HEADER_LIST_SIZE => {}
                _ => {}
            }
        }
        Ok(())
    }

    /// Something that an owner can act on.
    pub fn differs(&self, other: &PeerSettings) -> bool {
        let news = |s: &PeerSettings| {
            (
                s.max_concurrent_streams,
                s.initial_window,
                s.max_frame_size,
                s.connect_protocol,
            )
        };
        news(self) != news(other)
    }
}

/// Appends our SETTINGS: what differs from the initial values, and those that Envoy always
/// sends. A client forbids push.
pub(super) fn put(out: &mut Vec<u8>, options: &Options, is_client: bool) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    let mut entry = |id: u16, value: u32| {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    };
    entry(HEADER_TABLE_SIZE, options.header_table_size);
    if is_client {
        entry(ENABLE_PUSH, 0);
    } else {
        entry(MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
    }
    entry(INITIAL_WINDOW_SIZE, options.initial_stream_window);
    if options.max_frame_size != MIN_MAX_FRAME_SIZE {
        entry(MAX_FRAME_SIZE, options.max_frame_size);
    }
    if options.allow_connect && !is_client {
        entry(ENABLE_CONNECT_PROTOCOL, 1);
    }
    let len = out.len().saturating_sub(start).saturating_sub(HEAD);
    let head = FrameHead {
        len: u32::try_from(len).unwrap_or(0), // a few entries
        kind: kind::SETTINGS,
        flags: 0,
        stream: 0,
    };
    frame::fill_head(out, start, head);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(entries: &[(u16, u32)], from_server: bool) -> Result<PeerSettings, ConnectionError> {
        let mut payload = Vec::new();
        for (id, value) in entries {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        let mut settings = PeerSettings::default();
        settings.apply(&payload, from_server)?;
        Ok(settings)
    }

    #[test]
    fn values_and_their_ranges() {
        let table: &[(u16, u32, bool)] = &[
            (1, 0, true),
            (1, u32::MAX, true),
            (2, 0, true),
            (2, 1, true),
            (2, 2, false),
            (3, 0, true),
            (4, MAX_WINDOW, true),
            (4, MAX_WINDOW + 1, false),
            (5, 16_383, false),
            (5, 16_384, true),
            (5, 16_777_215, true),
            (5, 16_777_216, false),
            (6, 0, true),
            (8, 1, true),
            (8, 2, false),
            (0xff, u32::MAX, true),
        ];
        for (id, value, ok) in table {
            assert_eq!(apply(&[(*id, *value)], false).is_ok(), *ok, "{id} {value}");
        }
        assert_eq!(apply(&[(2, 1)], true), Err(ConnectionError::Setting));
        assert!(apply(&[(2, 0)], true).is_ok());
        assert_eq!(
            apply(&[(8, 1), (8, 0)], true),
            Err(ConnectionError::Setting)
        );
        assert_eq!(
            apply(&[(4, MAX_WINDOW + 1)], true),
            Err(ConnectionError::WindowOverflow)
        );
        let mut settings = PeerSettings::default();
        assert_eq!(
            settings.apply(&[0; 5], false),
            Err(ConnectionError::FrameSize)
        );
    }

    #[test]
    fn ours_are_taken_as_meant() {
        let options = Options {
            allow_connect: true,
            max_frame_size: 20_000,
            max_concurrent_streams: 7,
            ..Options::default()
        };
        for is_client in [false, true] {
            let mut out = Vec::new();
            put(&mut out, &options, is_client);
            let mut peer = PeerSettings::default();
            assert_eq!(peer.apply(&out[HEAD..], !is_client), Ok(()));
            assert_eq!(peer.initial_window, options.initial_stream_window);
            assert_eq!(peer.max_frame_size, 20_000);
            assert_eq!(peer.connect_protocol, !is_client);
            assert_eq!(peer.max_concurrent_streams == 7, !is_client);
        }
    }
}
