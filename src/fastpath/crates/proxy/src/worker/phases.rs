//! Events that came together are served together: first what small messages there are is read, then
//! all of them are handled, then what is to be sent leaves (docs/adr/0008).
//!
//! The kernel's code that reads, ours and the kernel's that sends each stay in the caches for a
//! while, where they pushed each other out with every message. One event alone is not read ahead.
//! Requests of HTTP/2 clients take no part (`upstream::upload`).

use rustix::event::epoll::{Event, EventFlags};

use super::slots::Key;
use super::{Kind, Worker, untoken};
use crate::http::stream::Upstreaming;
use crate::net::io::Io;
use crate::net::out_buffer::Gone;
use crate::upstream::Upstream;

/// Connections whose bytes wait: beyond it, as when very many time out at once, they leave at once.
const MOST_WAITING: usize = 128;

/// Events served together. What the first is answered waits for the last, so there is a bound, and
/// more than this is hardly cheaper.
pub const MOST_AT_ONCE: usize = 32;

impl Worker {
    /// Serves events that came together, `MOST_AT_ONCE` of them at most.
    pub(super) fn serve_events(&mut self, events: &[Event]) {
        if events.len() > 1 {
            for event in events {
                self.read_ahead(event);
            }
        }
        for event in events {
            self.dispatch(event.data.u64(), event.flags);
        }
        self.send_written();
    }

    /// Reads for an exchange over HTTP/1.1 if there is something, and nothing else to be known.
    fn read_ahead(&mut self, event: &Event) {
        let flags = event.flags;
        if flags != EventFlags::IN | EventFlags::OUT {
            return;
        }
        let (kind, key) = untoken(event.data.u64());
        let carrier = match kind {
            Kind::Downstream => match self.downstreams.get_mut(key) {
                Some(d) if d.wants_bytes() => &mut d.carrier,
                _ => return,
            },
            Kind::Upstream if self.has_room_below(key) => match self.upstreams.get_mut(key) {
                Some(u) => &mut u.carrier,
                None => return,
            },
            _ => return,
        };
        if let Some(io) = carrier.io_mut() {
            io.read_ahead();
        }
    }

    /// Whether the client of the exchange that a host answers takes what may be read ahead: what it
    /// does not is left in the kernel. Streams share the room of their connection, so that what was
    /// there for one may be gone when its turn comes: nothing is read ahead for them.
    fn has_room_below(&self, upstream: Key) -> bool {
        let client = self.upstreams.get(upstream).and_then(Upstream::downstream);
        client
            .and_then(|key| self.downstreams.get(key))
            .is_some_and(|d| {
                let backlog = d.carrier.io().map(Io::backlog);
                backlog.is_some_and(|backlog| backlog < d.buffer_limit())
            })
    }

    /// Writes to a connection over HTTP/1.1. `Ok(true)`: it has bytes that wait for `send_written`,
    /// and belongs in the list of those.
    pub fn write_soon(&self, io: &mut Io, parts: [&[u8]; 3]) -> Result<bool, Gone> {
        let waiting = self.written_downstreams.len();
        if waiting.saturating_add(self.written_upstreams.len()) < MOST_WAITING {
            io.write_later(parts)
        } else {
            io.write_parts(parts).map(|()| false)
        }
    }

    /// Sends what connections over HTTP/1.1 were given. One that turns out to be broken is looked
    /// at in the next turn.
    pub(super) fn send_written(&mut self) {
        let mut written = std::mem::take(&mut self.written_upstreams);
        for key in written.drain(..) {
            self.send_to_upstream(key);
        }
        self.written_upstreams = written;
        let mut written = std::mem::take(&mut self.written_downstreams);
        for key in written.drain(..) {
            self.send_to_downstream(key);
        }
        self.written_downstreams = written;
    }

    fn send_to_upstream(&mut self, key: Key) {
        let Some(u) = self.upstreams.get_mut(key) else {
            return;
        };
        let sent = u.carrier.io_mut().map(|io| io.send_waiting());
        if !matches!(sent, Some(Err(_))) {
            return;
        }
        u.note_broken();
        let stream = u.downstream().and_then(|d| self.downstreams.get_mut(d));
        if let Some(s) = stream.and_then(|d| d.stream.as_mut())
            && s.upstream == Upstreaming::On(key)
        {
            s.upstream = Upstreaming::Broken(key);
        }
        self.ready_upstreams.push(key);
    }

    fn send_to_downstream(&mut self, key: Key) {
        let Some(d) = self.downstreams.get_mut(key) else {
            return;
        };
        if d.carrier
            .io_mut()
            .is_some_and(|io| io.send_waiting().is_err())
        {
            d.note_broken();
            self.ready_downstreams.push(key);
        }
    }
}
