//! Frame heads (RFC 9113 §4.1) and the frames that have a fixed form.

use super::error::ErrorCode;
use super::event::StreamId;

/// Bytes of a frame head.
pub(super) const HEAD: usize = 9;
/// The least `SETTINGS_MAX_FRAME_SIZE`, and the one a connection begins with.
pub(super) const MIN_MAX_FRAME_SIZE: u32 = 1 << 14;
/// The greatest one.
pub(super) const MAX_MAX_FRAME_SIZE: u32 = (1 << 24) - 1;
/// Ids have 31 bits; the one above them is reserved and ignored.
pub(super) const ID: u32 = u32::MAX >> 1;

/// Frame types (RFC 9113 §6).
pub(super) mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags; ACK and END_STREAM are the same bit.
pub(super) mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 32;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Payload bytes.
    pub len: u32,
    pub kind: u8,
    pub flags: u8,
    pub stream: StreamId,
}

impl FrameHead {
    /// The head at the start of `buf`, if it is there as a whole.
    #[inline]
    pub fn read(buf: &[u8]) -> Option<FrameHead> {
        let [a, b, c, kind, flags, id @ ..] = *buf.first_chunk::<HEAD>()?;
        Some(FrameHead {
            len: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes(id) & ID,
        })
    }

    #[inline]
    pub fn bytes(self) -> [u8; HEAD] {
        let [_, a, b, c] = self.len.to_be_bytes();
        let [s, t, u, v] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, s, t, u, v]
    }

    #[inline]
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The big-endian number at the start of `payload`.
#[inline]
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk::<4>().copied().map(u32::from_be_bytes)
}

/// The stream that a priority names.
pub(super) fn depends_on(priority: &[u8]) -> Option<StreamId> {
    number(priority).map(|id| id & ID)
}

fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: StreamId, payload: &[&[u8]]) {
    let len = payload
        .iter()
        .map(|p| p.len())
        .fold(0, usize::saturating_add);
    let head = FrameHead {
        len: u32::try_from(len).unwrap_or(MAX_MAX_FRAME_SIZE), // callers pass a few bytes
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&head.bytes());
    for part in payload {
        out.extend_from_slice(part);
    }
}

pub(super) fn put_reset(out: &mut Vec<u8>, stream: StreamId, code: ErrorCode) {
    put(out, kind::RST_STREAM, 0, stream, &[&code.0.to_be_bytes()]);
}

pub(super) fn put_window_update(out: &mut Vec<u8>, stream: StreamId, increment: u32) {
    put(
        out,
        kind::WINDOW_UPDATE,
        0,
        stream,
        &[&increment.to_be_bytes()],
    );
}

pub(super) fn put_ping(out: &mut Vec<u8>, flags: u8, payload: &[u8; 8]) {
    put(out, kind::PING, flags, 0, &[payload]);
}

pub(super) fn put_goaway(out: &mut Vec<u8>, last: StreamId, code: ErrorCode) {
    let payload: [&[u8]; 2] = [&last.to_be_bytes(), &code.0.to_be_bytes()];
    put(out, kind::GOAWAY, 0, 0, &payload);
}

pub(super) fn put_settings_ack(out: &mut Vec<u8>) {
    put(out, kind::SETTINGS, flag::ACK, 0, &[]);
}

/// The frame whose payload starts at `start + HEAD` and ends with `out`.
pub(super) fn fill_head(out: &mut [u8], start: usize, head: FrameHead) {
    if let Some(place) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *place = head.bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_written() {
        let head = FrameHead {
            len: 0x01_02_03,
            kind: kind::HEADERS,
            flags: flag::END_HEADERS | flag::END_STREAM,
            stream: 0x7f_ee_dd_cc,
        };
        assert_eq!(
            head.bytes(),
            [1, 2, 3, 1, 5, 0x7f, 0xee, 0xdd, 0xcc],
            "RFC 9113 §4.1"
        );
        assert_eq!(FrameHead::read(&head.bytes()), Some(head));
        assert_eq!(FrameHead::read(&head.bytes()[..8]), None);
        // The reserved bit is ignored.
        let mut bytes = head.bytes();
        bytes[5] |= 0x80;
        assert_eq!(FrameHead::read(&bytes), Some(head));
    }

    #[test]
    fn fixed_frames() {
        let mut out = Vec::new();
        put_reset(&mut out, 3, ErrorCode::CANCEL);
        assert_eq!(out, [0, 0, 4, 3, 0, 0, 0, 0, 3, 0, 0, 0, 8]);
        out.clear();
        put_goaway(&mut out, 5, ErrorCode::PROTOCOL_ERROR);
        assert_eq!(out, [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1]);
        out.clear();
        put_settings_ack(&mut out);
        put_window_update(&mut out, 1, 7);
        assert_eq!(
            out,
            [
                0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 0, 0, 7
            ]
        );
    }
}
