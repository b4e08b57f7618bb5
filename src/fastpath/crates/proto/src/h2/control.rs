//! The frames that carry no message as they come in.

use super::connection::Connection;
use super::error::{ConnectionError, ErrorCode, StreamFault};
use super::event::Event;
use super::flow::INITIAL_WINDOW;
use super::frame::{self, FrameHead, HEAD, ID, depends_on, flag};
use super::receive::Frame;

impl Connection {
    /// RFC 9113 §6.3: priorities are not used, but counted and checked.
    pub(super) fn priority(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        self.flood.priority(&mut self.stats)?;
        let (fault, error) = if head.len != 5 {
            (StreamFault::FrameSize, ConnectionError::FrameSize)
        } else if depends_on(payload) == Some(head.stream) {
            (StreamFault::SelfDependency, ConnectionError::SelfDependency)
        } else {
            return Ok(None);
        };
        // A stream that is not there cannot be reset.
        match self.streams.get(head.stream) {
            Some(s) if !s.is_closed() => self.fault(out, head.stream, fault),
            _ => Err(error),
        }
    }

    /// RFC 9113 §6.4.
    pub(super) fn rst_stream(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Frame {
        let id = head.stream;
        if self.is_idle(id) {
            return Err(ConnectionError::IdleStream);
        }
        let code = ErrorCode(frame::number(payload).unwrap_or_default());
        let Some(s) = self.streams.get(id).copied() else {
            self.recent.forget_reset(id);
            self.count_reset()?;
            return Ok(None);
        };
        if s.is_closed() {
            // It is complete; what is left of it is the owner's.
            return Ok(None);
        }
        self.stats.rx_reset = self.stats.rx_reset.saturating_add(1);
        self.drop_stream(out, id);
        self.recent.ended_by_peer(id);
        self.count_premature(Some(&s))?;
        Ok(Some(Event::Reset { stream: id, code }))
    }

    /// RFC 9113 §6.5.
    pub(super) fn settings(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        if head.has(flag::ACK) {
            self.settings_acknowledged();
            return Ok(None);
        }
        let before = self.peer;
        self.peer.apply(payload, self.is_client)?;
        for size in [self.peer.least_table_size, self.peer.header_table_size] {
            self.encoder.set_max_table_size(size);
        }
        let change =
            i64::from(self.peer.initial_window).saturating_sub(i64::from(before.initial_window));
        if change != 0 && self.streams.len() > 0 {
            // A WINDOW_UPDATE of all streams, and counted as one.
            self.flood.window_update(&mut self.stats)?;
            if !self.streams.iter_mut().all(|s| s.send.change(change)) {
                return Err(ConnectionError::WindowOverflow);
            }
        }
        frame::put_settings_ack(out);
        self.flood.sent_control(HEAD);
        let first = !std::mem::replace(&mut self.greeted, true);
        Ok((first || self.peer.differs(&before)).then_some(Event::Settings))
    }

    /// From now on the peer keeps to ours.
    fn settings_acknowledged(&mut self) {
        if std::mem::replace(&mut self.acknowledged, true) {
            return;
        }
        self.decoder
            .set_max_table_size(self.options.header_table_size);
        let ours = i64::from(self.options.initial_stream_window);
        let change = ours.saturating_sub(i64::from(INITIAL_WINDOW));
        if change < 0 {
            for s in self.streams.iter_mut() {
                s.receive.shift(change);
            }
        }
    }

    /// RFC 9113 §6.7.
    pub(super) fn pinged(&mut self, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) -> Frame {
        let payload = payload.first_chunk().copied().unwrap_or_default();
        if head.has(flag::ACK) {
            return Ok(Some(Event::Pong { payload }));
        }
        frame::put_ping(out, flag::ACK, &payload);
        self.flood.sent_control(HEAD.saturating_add(8));
        Ok(None)
    }

    /// RFC 9113 §6.8.
    pub(super) fn goaway_frame(
        &mut self,
        _head: FrameHead,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Frame {
        let last = frame::number(payload).unwrap_or_default() & ID;
        let code = payload.get(4..).and_then(frame::number).unwrap_or_default();
        // It may only fall (§6.8), and it is news only if it does.
        if self.goaway_received.is_some_and(|before| before <= last) {
            return Ok(None);
        }
        self.goaway_received = Some(last);
        if self.is_client {
            while let Some(id) = self.streams.any_above(last) {
                self.drop_stream(out, id);
                self.remember_reset(id);
            }
        }
        Ok(Some(Event::Goaway {
            last,
            code: ErrorCode(code),
        }))
    }

    /// RFC 9113 §6.9.
    pub(super) fn window_update(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Frame {
        self.flood.window_update(&mut self.stats)?;
        let increment = frame::number(payload).unwrap_or_default() & ID;
        let (id, by) = (head.stream, i64::from(increment));
        if id == 0 {
            if increment == 0 {
                return Err(ConnectionError::ZeroIncrement);
            }
            if !self.send.change(by) {
                return Err(ConnectionError::WindowOverflow);
            }
            let reopened = std::mem::take(&mut self.blocked);
            return Ok(reopened.then_some(Event::Window { stream: 0 }));
        }
        let connection = self.send.available();
        let Some(s) = self.streams.get_mut(id) else {
            return if self.is_idle(id) {
                Err(ConnectionError::IdleStream)
            } else {
                Ok(None)
            };
        };
        if s.is_closed() {
            return Ok(None);
        }
        if increment == 0 {
            return self.fault(out, id, StreamFault::ZeroIncrement);
        }
        if !s.send.change(by) {
            return self.fault(out, id, StreamFault::WindowOverflow);
        }
        let waits = s.blocked && s.send.available() > 0;
        let reopened = waits && connection > 0;
        s.blocked &= !reopened;
        // What it waits for now is the connection's window.
        self.blocked |= waits && !reopened;
        Ok(reopened.then_some(Event::Window { stream: id }))
    }
}
