//! What a client says before there is a host: kept up to `max_early_data_bytes`, and with
//! `upstream_connect_mode: ON_DOWNSTREAM_DATA` no host is looked for before it.

use super::Tunnel;
use super::end::By;
use super::filters::{Gate, Passage};
use crate::net::io::{Input, Scratch};
use crate::telemetry::stats::{TcpCounter, TcpGauge};
use crate::worker::Worker;
use crate::worker::timers::NEVER;

/// What came of a look at a client.
enum Heard {
    /// More may come.
    Open,
    /// It ends without a word, which nobody has to be told; or a filter does not let it pass.
    Over(By),
    Broken,
}

impl Worker {
    /// Goes on with a tunnel that has no host yet.
    pub(super) fn drive_early(&mut self, mut t: Box<Tunnel>) {
        match self.read_early(&mut t) {
            Heard::Open => {}
            Heard::Over(by) => return self.end_tunnel(t, by),
            Heard::Broken => return self.client_lost(t),
        }
        let waits = t.queued.is_some() || t.retry_at != NEVER;
        let is_on_its_way = t.stage().is_some() || waits;
        if is_on_its_way || t.is_awaited() {
            self.tunnels.put(t.key, t);
        } else {
            self.connect_tunnel(t);
        }
    }

    fn read_early(&mut self, t: &mut Tunnel) -> Heard {
        let Some(most) = t.room_for_early() else {
            return Heard::Open;
        };
        if t.gate == Gate::Unasked && !t.early.is_empty() {
            // What listener filters have looked at.
            let held = std::mem::take(&mut t.early);
            if !self.pass_early(t, held) {
                return Heard::Over(By::Us);
            }
        }
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let mut heard = Heard::Open;
        while t.client.readable && !t.client.ended && t.early.len() < most && !t.is_stopped() {
            let room = most.saturating_sub(t.early.len());
            let is_over = match t.client.io.read_at_most(room, &mut scratch) {
                Input::Data { bytes, drained } => {
                    if drained && !t.client.hung_up {
                        t.client.readable = false;
                    }
                    !bytes.is_empty() && !self.take_early(t, bytes)
                }
                Input::Interrupted => false,
                Input::Empty => {
                    t.client.readable = false;
                    false
                }
                Input::Eof => {
                    t.client.readable = false;
                    t.client.ended = true;
                    !self.take_early(t, b"")
                }
                Input::Broken => {
                    heard = Heard::Broken;
                    break;
                }
            };
            if is_over {
                heard = Heard::Over(By::Us);
                break;
            }
        }
        self.scratch = scratch;
        if t.client.ended && t.is_awaited() {
            heard = Heard::Over(By::Peer);
        }
        heard
    }

    /// Keeps what the filters let pass. False: the tunnel is over.
    fn take_early(&mut self, t: &mut Tunnel, bytes: &[u8]) -> bool {
        if t.gate == Gate::Open {
            t.early.extend_from_slice(bytes);
        } else if !self.pass_early(t, bytes.to_vec()) {
            return false;
        }
        if !t.is_refused() {
            self.count_early(t, bytes.len() as u64);
        }
        true
    }

    fn pass_early(&mut self, t: &mut Tunnel, bytes: Vec<u8>) -> bool {
        match self.ask_about(t, bytes) {
            Passage::Bytes(mut bytes) => {
                t.early.append(&mut bytes);
                true
            }
            Passage::Refused | Passage::Gone => false,
        }
    }

    fn count_early(&mut self, t: &mut Tunnel, bytes: u64) {
        let before = std::mem::take(&mut t.early_counted);
        self.count_bytes(t, [bytes, 0, 0, 0]);
        t.early_counted = before.saturating_add(bytes);
        let stats = t.tcp.stats();
        stats.inc(TcpCounter::EarlyDataReceivedCountTotal);
        stats.gauge_add(TcpGauge::DownstreamCxRxBytesBuffered, bytes);
    }
}

impl Tunnel {
    /// A filter has refused it, and it is held for a while.
    fn is_refused(&self) -> bool {
        matches!(self.gate, Gate::Closed { .. })
    }

    /// It is not read: a filter has refused it, or asks about it.
    fn is_stopped(&self) -> bool {
        self.is_refused() || self.gate == Gate::Waiting
    }

    /// The client has to speak before a host is looked for.
    pub(super) fn is_awaited(&self) -> bool {
        self.tcp.config.connect_on_data && self.early.is_empty()
    }

    /// The most that is kept of it; `None`: it is not read. Of one that has to speak first
    /// something is taken, whatever the limit.
    fn room_for_early(&self) -> Option<usize> {
        let most = self.tcp.config.max_early_data?;
        Some(most.max(usize::from(self.tcp.config.connect_on_data)))
    }
}
